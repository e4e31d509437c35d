"""An environment of its own for a model: its packages are resolved once, and installed once, whole or not at all."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mitozoo import leftovers, storage
from mitozoo.errors import ModelError
from mitozoo.plugins.discovery import normalise
from mitozoo.plugins.record import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from packaging.requirements import Requirement

    from mitozoo.plugins.model_spec import ModelSpec
    from mitozoo.plugins.names import Registered

ROOM = "environments"
#: What mitozoo's loaders themselves need; the rest of what mitozoo requires stays with the host.
LOADERS_NEED = frozenset(
    {"huggingface-hub", "numpy", "packaging", "pillow", "platformdirs", "pluggy", "safetensors", "timm", "torch",
     "torchvision"}
)  # fmt: skip
WORDS_KEPT = 800  # characters of the end of what uv said
NO_UV = "Try: pip install uv"


@dataclass(frozen=True)
class Environment:
    """The exact packages of an environment, and where it lies once it is built.

    Attributes:
        model: whose it is, for messages; models with the same packages share one.
        python: implementation, version and platform.
        lock: what uv resolved: every package with its version and the sha256 of its files.
    """

    model: str
    python: str
    lock: str

    @property
    def packages(self) -> list[str]:
        """'name==version' of every package, sorted."""
        lines = (line for line in self.lock.splitlines() if line and line[0] not in " #-")
        return sorted(line.removesuffix("\\").strip() for line in lines)

    @property
    def key(self) -> str:
        """Return 64 hex digits over Python and the lock, which name the folder."""
        return hashlib.sha256(f"{self.python}\n{self.lock}".encode()).hexdigest()

    def document(self) -> dict[str, Any]:
        """Return what a result records of it; the same on every machine that resolved the same packages."""
        packages = self.packages
        identity = hashlib.sha256(canonical_json([self.python, packages]).encode()).hexdigest()
        return {"sha256": identity, "python": self.python, "packages": packages}

    @property
    def folder(self) -> Path:
        """Where it lies; `python` in it is there only if all of it is."""
        return storage.home() / ROOM / self.key[:32]

    def executable(self) -> Path:
        """Return its Python, built first where it is not there yet.

        Raises:
            ModelError: uv is not here, or cannot install the packages.
            StorageError: the folder cannot be written.
        """
        whole = self.folder / "python"
        python = whole / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        if not python.exists():  # or the Python that it was made from has gone away
            from filelock import FileLock

            _made(self.folder)
            with FileLock(self.folder / ".lock"):  # whoever waited finds it there
                if not python.exists():
                    self._build(whole)
        return python

    def _build(self, whole: Path) -> None:
        leftovers.remove_from(self.folder)
        shutil.rmtree(whole, ignore_errors=True)
        with storage.write_folder_whole(whole) as unfinished:
            _uv(self.model, "venv", "--relocatable", "--allow-existing", "--python", sys.executable, str(unfinished))
            lock = unfinished / "requirements.txt"
            lock.write_text(self.lock, encoding="utf-8")
            _uv(self.model, "pip", "sync", "--python", str(unfinished), str(lock))


def environment_of(registered: Registered[ModelSpec]) -> Environment:
    """Return a model's environment: its packages as they were resolved here the first time.

    Raises:
        ModelError: they were never resolved, and there is no uv, no connection, or no solution.
        StorageError: what was resolved cannot be kept.
    """
    spec, python = registered.spec, this_python()
    asked = asked_for(spec, registered.plugin)
    digest = hashlib.sha256(canonical_json([python, asked]).encode()).hexdigest()
    kept = storage.home() / ROOM / f"{digest[:32]}.txt"
    if not kept.is_file():
        _made(kept.parent)
        lock = _resolved(spec.name, asked)
        with storage.write_whole(kept) as unfinished:
            unfinished.write_text(lock, encoding="utf-8")
    return Environment(spec.name, python, kept.read_text(encoding="utf-8"))


def asked_for(spec: ModelSpec, distribution: str) -> list[str]:
    """Return the requirements of a model's environment.

    These are the model's own; those of its plugin's distribution; and what mitozoo's loaders need. Where two name the
    same package, the model's word stands alone: it is isolated because it knows better.
    """
    own = {_name(one): one for one in _parsed(spec.requires, f"model '{spec.name}'")}
    plugin = {_name(one): one for one in _installed_requirements(distribution)}
    loaders = {_name(one): one for one in _installed_requirements("mitozoo") if _name(one) in LOADERS_NEED}
    return sorted(str(one) for name, one in (loaders | plugin | own).items() if name != "mitozoo")


def this_python() -> str:
    """Return implementation, version and platform: what an environment cannot be shared across."""
    version = platform.python_version()
    return f"{platform.python_implementation()} {version} {sysconfig.get_platform()}"


@functools.cache
def find_uv() -> str | None:
    """Return the path of uv: beside this Python, else on the PATH; None where it is not installed."""
    beside = shutil.which("uv", path=sysconfig.get_path("scripts"))
    return beside or shutil.which("uv")


def _resolved(model: str, asked: list[str]) -> str:
    """Resolve requirements, keeping to the host's versions wherever they fit: the same torch gives the same numbers."""
    with tempfile.TemporaryDirectory() as folder:
        requirements, lock = Path(folder) / "requirements.in", Path(folder) / "requirements.txt"
        requirements.write_text("\n".join(asked), encoding="utf-8")
        lock.write_text("\n".join(_host_versions()), encoding="utf-8")  # uv prefers what its output held before
        _uv(
            model, "pip", "compile", "--no-header", "--no-annotate", "--generate-hashes", "--python", sys.executable,
            "--output-file", str(lock), str(requirements), cwd=folder,
        )  # fmt: skip
        return lock.read_text(encoding="utf-8")


def _host_versions() -> Iterator[str]:
    found = {normalise(one.name): one.version for one in importlib.metadata.distributions() if one.name}
    for name, version in sorted(found.items()):
        if not name.startswith("mitozoo"):
            yield f"{name}=={version}"


def _uv(model: str, *arguments: str, cwd: str | None = None) -> None:
    """Run uv. Raises `ModelError` with the end of its own words where it fails."""
    if (uv := find_uv()) is None:
        needs = "needs an environment of its own, which uv makes, and uv is not here"
        raise ModelError(f"model '{model}' {needs}", hint=NO_UV)
    command = [uv, *arguments, "--quiet", "--color", "never"]
    try:
        done = subprocess.run(  # noqa: S603 (uv itself, and arguments made here; no shell)
            command, capture_output=True, text=True, encoding="utf-8", errors="replace", check=False, cwd=cwd
        )
    except OSError as error:
        raise ModelError(f"model '{model}' needs uv, which cannot be run: {error}", hint=NO_UV) from error
    if done.returncode != 0:
        words = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise ModelError(
            f"uv cannot make the environment of model '{model}': {words[-WORDS_KEPT:]}",
            hint="It needs a connection to a package index the first time, and none once it is built.",
        )


def _parsed(texts: Iterable[str], whose: str) -> Iterator[Requirement]:
    from packaging.requirements import InvalidRequirement, Requirement

    for text in texts:
        try:
            yield Requirement(text)
        except InvalidRequirement as error:
            raise ModelError(f"{whose} requires '{text}', which is no Python requirement") from error


def _installed_requirements(distribution: str) -> Iterator[Requirement]:
    """Yield what an installed distribution requires without any extra; nothing where it is not installed."""
    try:
        stated = importlib.metadata.requires(distribution) or ()
    except importlib.metadata.PackageNotFoundError:
        return
    for one in _parsed(stated, distribution):
        if one.marker is None or one.marker.evaluate({"extra": ""}):
            yield one


def _name(requirement: Requirement) -> str:
    return normalise(requirement.name)


def _made(folder: Path) -> None:
    from mitozoo.errors import StorageError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"cannot write in {folder}: {error.strerror or error}",
            hint="Point MITOZOO_HOME to a folder that you can write to.",
        ) from error
