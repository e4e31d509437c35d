"""Every encoder of this repository's plugins is declared as the sources state it (see tests/reference_models.toml)."""

from __future__ import annotations

import dataclasses
import math
import re
import tomllib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, get_args

import pytest

from mitozoo.errors import SpecError
from mitozoo.plugins.model_spec import Pooling
from mitozoo.plugins.preprocessing import Interpolation, Resize
from mitozoo.plugins.registry import load_registry
from mitozoo.plugins.sources import Checkpoint, PackagedWeights, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mitozoo.plugins.model_spec import ModelSpec

pytestmark = pytest.mark.usefixtures("fresh_registry")

REPOSITORY = Path(__file__).parents[2]
TABLES: dict[str, dict[str, Any]] = tomllib.loads((REPOSITORY / "tests/reference_models.toml").read_text("utf-8"))
NOT_PUBLIC = {"mitozoo-plugin-demo"}  # its model is made up, so no source states anything of it
ADDRESS = {
    "load": ("repo", "revision", "filename", "sha256", "architecture"),
    "preprocessing": ("size", "resize", "resize_to", "interpolation", "mean", "std", "mpp"),
    "": ("embed_dim", "pooling", "prefix_tokens", "license", "gated", "parameters"),
}
RECORD_OF = {field: record for record, fields in ADDRESS.items() for field in fields}
WORDS = {"resize": get_args(Resize), "interpolation": get_args(Interpolation), "pooling": get_args(Pooling)} | {
    "gated": (True, False)
}
UNSTATED = object()


def differences(spec: ModelSpec, table: dict[str, Any]) -> list[str]:
    """Return 'field: the spec declares ..., ... is stated' for each stated field that the spec declares otherwise."""
    lines = []
    for field, stated in table.items():
        declared = declared_value(spec, field)
        if declared is not UNSTATED and not any(same(field, declared, value, stated) for value in admitted(stated)):
            wanted = " or ".join(map(repr, admitted(stated)))
            lines.append(f"{field}: the spec declares {declared!r}, {wanted} is stated ({stated['source']})")
    return lines


def admitted(stated: dict[str, Any]) -> list[Any]:
    values = [stated["value"], *stated.get("alternatives", ()), *stated.get("equivalent", ())]
    return [None if value == "nothing" else value for value in values]


def declared_value(spec: ModelSpec, field: str) -> Any:
    """Return what the spec says, or UNSTATED: a function may load anything, and a record kind may lack the field."""
    record = getattr(spec, RECORD_OF[field]) if RECORD_OF[field] else spec
    value = getattr(record, attribute_of(record, field), UNSTATED)
    if record is spec.load and not isinstance(record, Source):
        return UNSTATED
    if field == "architecture":  # a plugin's own network has no name that a source could state
        return value.removeprefix("timm:").removeprefix("torchvision:") if isinstance(value, str) else UNSTATED
    return PurePosixPath(value).name if isinstance(record, PackagedWeights) and field == "filename" else value


def attribute_of(record: object, field: str) -> str:
    return "path" if isinstance(record, PackagedWeights) and field == "filename" else field


def same(field: str, declared: Any, value: Any, stated: dict[str, Any]) -> bool:
    if declared is None or value is None:
        return declared is value
    if field in ("mean", "std"):
        return all(math.isclose(one, other, abs_tol=1e-6) for one, other in zip(declared, value, strict=True))
    if field == "license" and stated.get("owner_name"):
        return words_of(value) <= words_of(declared)
    if field in ("license", "repo"):  # a hub does not tell cases apart
        return declared.casefold() == value.casefold()
    return declared == value


def words_of(text: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", text.casefold()))


def tabled() -> Iterator[tuple[ModelSpec, dict[str, Any]]]:
    for one in load_registry().models:
        for name in (one.spec.name, *one.spec.aliases):
            if name in TABLES:
                yield one.spec, TABLES[name]
                break


def otherwise(spec: ModelSpec, field: str, stated: dict[str, Any]) -> Iterator[ModelSpec]:
    """Yield valid specs that differ from this one in one field, whose value no source states."""
    record = getattr(spec, RECORD_OF[field]) if RECORD_OF[field] else spec
    for value in other_values(record, field, stated):
        changed = {attribute_of(record, field): value}
        if field == "mpp":
            changed["mpp_basis"] = "convention"
        if field == "repo" and isinstance(record, Checkpoint):
            changed["url"] = ""  # a file is published in one place
        try:
            other = dataclasses.replace(record, **changed)
            yield dataclasses.replace(spec, **{RECORD_OF[field]: other}) if RECORD_OF[field] else other
        except SpecError:
            continue  # such as 'cls' of a network without a class token


def other_values(record: object, field: str, stated: dict[str, Any]) -> list[Any]:
    declared = getattr(record, attribute_of(record, field))
    if field in WORDS:
        return [word for word in WORDS[field] if word not in admitted(stated)]
    if field in ("mean", "std"):
        return [(*declared[:2], declared[2] + (-0.001 if declared[2] > 0.5 else 0.001))]
    if field in ("revision", "sha256"):
        return ["0" * (40 if field == "revision" else 64)]
    if field == "size":
        return [declared - 1]
    if field in ("embed_dim", "prefix_tokens", "resize_to", "parameters"):
        return [(declared or 0) + 1]
    if field == "architecture" and isinstance(record, Checkpoint):
        return ["timm:another"]
    return [0.37 if field == "mpp" else "another/file"]


def test_each_table_states_known_fields_with_a_source() -> None:
    for name, table in TABLES.items():
        assert table, name
        assert table.keys() <= RECORD_OF.keys(), name
        for field, stated in table.items():
            assert stated.keys() <= {"value", "source", "disputed", "alternatives", "equivalent", "owner_name"}, name
            assert stated["source"], (name, field)
            assert stated.get("disputed", False) == bool(stated.get("alternatives")), (name, field)
            assert field not in WORDS or set(admitted(stated)) <= {*WORDS[field]}, (name, field)


def test_every_encoder_of_the_repository_has_a_table() -> None:
    ours = {folder.name for folder in (REPOSITORY / "plugins").iterdir()} - NOT_PUBLIC
    registry = load_registry()
    assert [row.sentence() for row in registry.rows if row.distribution in ours and not row.works] == []
    encoders = {one.spec.name for one in registry.models if one.plugin in ours and not one.spec.controls_only}
    assert encoders
    assert encoders - {spec.name for spec, _ in tabled()} == set()


def test_every_spec_is_declared_as_the_sources_state() -> None:
    lines = [f"{spec.name}.{line}" for spec, table in tabled() for line in differences(spec, table)]
    assert lines == [], "\n".join(lines)


def test_a_change_of_any_stated_field_is_a_difference() -> None:
    changes, missed = 0, []
    for spec, table in tabled():
        for field, stated in table.items():
            if declared_value(spec, field) is UNSTATED:
                continue
            others = list(otherwise(spec, field, stated))
            assert others or {*admitted(stated)} == {*WORDS[field]}, f"no valid change of {spec.name}.{field}"
            for other in others:
                changes += 1
                if not any(line.startswith(f"{field}: ") for line in differences(other, table)):
                    missed.append(f"{spec.name}.{field}")
    assert changes
    assert missed == []
