"""Check what was built before it is published: one wheel and one sdist of the version asked for, nothing foreign in."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path


def faults(folder: Path, name: str, version: str) -> list[str]:
    """Return what is wrong with the wheel and the sdist in the folder; empty where nothing is.

    Args:
        folder: where both were built to.
        name: of the distribution, such as 'mitozoo-plugin-uni'.
        version: that its pyproject.toml states.
    """
    module = name.replace("-", "_")
    stem = f"{module}-{version}"
    wheel, sdist = folder / f"{stem}-py3-none-any.whl", folder / f"{stem}.tar.gz"
    missing = [f"{file.name} was not built" for file in (wheel, sdist) if not file.is_file()]
    built = [*folder.glob("*.whl"), *folder.glob("*.tar.gz")]
    strangers = [f"{file.name} was built, too" for file in sorted(built) if file not in (wheel, sdist)]
    if missing:
        return missing + strangers
    return strangers + _wheel_faults(wheel, stem, module) + _sdist_faults(sdist, stem)


def _wheel_faults(wheel: Path, stem: str, module: str) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = HeaderParser().parsestr(archive.read(f"{stem}.dist-info/METADATA").decode())
    allowed = {module, f"{module}.py", f"{stem}.dist-info"}
    found = [f"{wheel.name} holds {name}" for name in names if name.split("/")[0] not in allowed]
    if "mitozoo-plugin" in wheel.name.replace("_", "-") and f"{stem}.dist-info/entry_points.txt" not in names:
        found.append(f"{wheel.name} has no entry point: mitozoo would not find it")
    if metadata["Requires-Python"] != ">=3.11":
        found.append(f"{wheel.name} requires Python '{metadata['Requires-Python']}'")
    return found


def _sdist_faults(sdist: Path, stem: str) -> list[str]:
    with tarfile.open(sdist) as archive:
        folders = {name.removeprefix(f"{stem}/").split("/")[0] for name in archive.getnames()}
    return [f"{sdist.name} holds {name}/" for name in sorted(folders & {"plugins", "tests", ".ci", ".github"})]


if __name__ == "__main__":
    wrong = faults(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
    print("\n".join(wrong) or f"{sys.argv[2]} {sys.argv[3]}: the wheel and the sdist are as they should be")
    raise SystemExit(bool(wrong))
