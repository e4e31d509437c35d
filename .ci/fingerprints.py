"""Keep the fingerprints of every plugin's models, changed by major versions alone, and all else that they state."""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden_fingerprints.json"

STATED = ROOT / "tests" / "golden_statements.json"

Fingerprints = dict[str, tuple[int, str]]  # qualified name -> major version of the plugin, fingerprint


def read(text: str) -> Fingerprints:
    """Return kept fingerprints."""
    return {name: (major, fingerprint) for name, (major, fingerprint) in json.loads(text).items()}


def dump(fingerprints: Fingerprints) -> str:
    """Return them as JSON, a line a model, so that a change shows as one line."""
    lines = [f"  {json.dumps(name)}: {json.dumps(kept)}" for name, kept in sorted(fingerprints.items())]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def of_this_tree() -> Fingerprints:
    """Return those of every model that plugins/ offers, with the major versions that their pyproject.toml state."""
    from mitozoo.plugins.registry import load_registry

    majors = {}
    for file in (ROOT / "plugins").glob("*/pyproject.toml"):
        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        majors[project["name"]] = int(project["version"].split(".")[0])
    models = [one for one in load_registry().models if one.plugin in majors]
    return {one.qualified_name: (majors[one.plugin], one.spec.fingerprint()) for one in models}


def stated_in_this_tree() -> dict[str, dict[str, object]]:
    """Return what every model states that changes no feature: licence, precision, pretraining data and so on."""
    from mitozoo.plugins.registry import load_registry

    here = {file.parent.name for file in (ROOT / "plugins").glob("*/pyproject.toml")}
    return {one.qualified_name: statements(one.spec) for one in load_registry().models if one.plugin in here}


def statements(spec: Any) -> dict[str, object]:
    """Return what a spec and its preprocessing say in the fields that their fingerprint leaves out."""
    said: dict[str, object] = {}
    for record, prefix in ((spec, ""), (spec.preprocessing, "preprocessing.")):
        for field in dataclasses.fields(record):
            value = getattr(record, field.name)
            if field.name not in (*record.fingerprinted, "load", "preprocessing") and value not in (
                "",
                (),
                False,
                None,
            ):
                said[prefix + field.name] = list(value) if isinstance(value, tuple) else value
    return said


def dump_statements(stated: dict[str, dict[str, object]]) -> str:
    """Return them as JSON, a line a model."""
    lines = [f"  {json.dumps(name)}: {json.dumps(said, sort_keys=True)}" for name, said in sorted(stated.items())]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def changed_without_bump(kept: Fingerprints, now: Fingerprints) -> dict[str, str]:
    """Return the models that changed or went away under an unchanged major version, and what became of them."""
    standing = {name.partition("/")[0]: major for name, (major, _) in now.items()}
    changed = {}
    for name, (major, fingerprint) in kept.items():
        if standing.get(name.partition("/")[0]) != major:
            continue  # bumped, or its plugin was taken out as a whole
        if name not in now:
            changed[name] = "is offered no longer"
        elif now[name][1] != fingerprint:
            changed[name] = "gives other features"
    return changed


def released(name: str, major: int) -> bool:
    """Tell whether any version of that major number of the model's plugin bears a tag."""
    return bool(_git("tag", "--list", f"{name.partition('/')[0]}-v{major}.*"))


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def main() -> int:
    """Write the golden file, or compare it with the one of another commit."""
    parser = argparse.ArgumentParser(description=__doc__)
    wish = parser.add_mutually_exclusive_group(required=True)
    wish.add_argument("--write", action="store_true", help="keep this tree's fingerprints")
    wish.add_argument("--against", metavar="COMMIT", help="compare the kept ones with those kept there")
    asked = parser.parse_args()
    now = of_this_tree() if asked.write else read(GOLDEN.read_text(encoding="utf-8"))
    if asked.write:
        before = GOLDEN.read_text(encoding="utf-8") if GOLDEN.exists() else "{}"
    else:
        _git("rev-parse", "--verify", "--quiet", f"{asked.against}^{{commit}}")
        file = GOLDEN.relative_to(ROOT).as_posix()
        before = _git("show", f"{asked.against}:{file}") if _git("ls-tree", asked.against, file) else "{}"
    kept = read(before)
    refused = {name: what for name, what in changed_without_bump(kept, now).items() if released(name, kept[name][0])}
    for name, what in refused.items():
        plugin = name.partition("/")[0]
        print(f"{name} {what}: raise the major version in plugins/{plugin}/pyproject.toml above {kept[name][0]}")
    if refused:
        return 1
    if asked.write:
        GOLDEN.write_text(dump(now), encoding="utf-8")
        STATED.write_text(dump_statements(stated_in_this_tree()), encoding="utf-8")
        print(f"kept the fingerprints of {len(now)} models")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
