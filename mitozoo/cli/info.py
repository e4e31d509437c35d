"""`info NAME`: everything that is known about one model, dataset or protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mitozoo.cli.lists import as_entry
from mitozoo.cli.tables import print_json, print_table
from mitozoo.errors import MitozooError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mitozoo.plugins.dataset_spec import DatasetSpec
    from mitozoo.plugins.lineage import Relatives
    from mitozoo.plugins.names import Registered

KINDS = ("model", "dataset", "protocol")


@click.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), help="Where several kinds of things bear the name.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object, and nothing else, on stdout.")
def info(*, name: str, kind: str | None, as_json: bool) -> None:
    """Show everything about the model, dataset or protocol NAME."""
    found = _find(name, (kind,) if kind else KINDS)
    if len(found) > 1:
        ways = " or ".join(f"--kind {kind}" for kind in found)
        raise MitozooError(f"'{name}' is a {' and a '.join(found)}", hint=f"Say which: mitozoo info {name} {ways}")
    [(kind, entry)] = found.items()
    if as_json:
        print_json({"kind": kind} | entry)
        return
    if "files" in entry:
        entry |= {"files": _download(entry)}
    doubtful = entry.get("unverified", ())
    rows = []
    for field, value in _fields({"kind": kind} | entry):
        in_doubt = any(field == path or field.startswith(f"{path}.") for path in doubtful)
        rows.append((field, _shown(value), "verified: no" if in_doubt else ""))
    print_table(("FIELD", "VALUE", "REMARK"), rows)


def _find(name: str, kinds: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Return what bears the name, by kind. Protocols are looked at last, since they are slower to import."""
    from mitozoo.models.on_the_spot import find_on_the_spot, is_on_the_spot
    from mitozoo.plugins.registry import load_registry

    registry = load_registry()
    look_up: dict[str, Callable[[str], Registered[Any] | None]]
    if "model" in kinds and is_on_the_spot(name):
        return {"model": as_entry(find_on_the_spot(name))}
    look_up = {"model": registry.find_model, "dataset": registry.find_dataset}
    found: dict[str, dict[str, Any]] = {}
    for kind in kinds:
        if kind in look_up and (one := look_up[kind](name)):
            lineage = {} if "/" in name else _lineage(kind, one.spec)  # a qualified name imports its own plugin alone
            found[kind] = as_entry(one) | lineage
    protocols: Mapping[str, Any] = {}
    if not found and "protocol" in kinds:
        from mitozoo.protocols.presets import PRESETS

        protocols = PRESETS
        if name in protocols:
            found["protocol"] = {"hash": protocols[name].hash} | protocols[name].to_json()
    if not found:
        raise registry.unknown(name, *kinds, further=protocols)
    return found


def _lineage(kind: str, spec: Any) -> dict[str, Mapping[str, Any]]:
    """Return what a model has seen of each dataset; or whom a dataset shares images with, and which models saw them."""
    from mitozoo.plugins.lineage import CONTAMINATIONS, Relatives
    from mitozoo.plugins.registry import load_registry

    registry = load_registry()
    relatives = Relatives.among(one.spec for one in registry.datasets)
    by_state: dict[str, list[str]] = {state: [] for state in CONTAMINATIONS}
    if kind == "model":
        for dataset in registry.datasets:
            by_state[relatives.contamination(spec, dataset.spec.name)].append(dataset.shown_name)
        return {"contamination": {state: names for state, names in by_state.items() if names}}
    for model in registry.models:
        by_state[relatives.contamination(model.spec, spec.name)].append(model.shown_name)
    seen: dict[str, Mapping[str, Any]] = {
        "models": {state: names for state, names in by_state.items() if names and state != "declared none"}
    }
    return {"shares_images_with": _relations(spec, relatives)} | seen


def _relations(spec: DatasetSpec, relatives: Relatives) -> dict[str, str]:
    """Return each dataset that shares images with this one, and whether anything tells which cases these are."""
    from mitozoo.plugins.lineage import crosswalks_tell
    from mitozoo.plugins.registry import load_registry

    told = {True: "which cases is told", False: "which cases is not told"}
    return {
        other.shown_name: told[crosswalks_tell(spec, other.spec, origins)]
        for other in load_registry().datasets
        if other.spec.name != spec.name and (origins := relatives.decisive_origins(spec.name, other.spec.name))
    }


def _download(entry: Mapping[str, Any]) -> str:
    """Return in one line what `mitozoo fetch` would fetch: how many files, how large, from where."""
    from urllib.parse import urlsplit

    files = entry["files"]
    if not files:
        return "made on this machine" if entry["prepare"] else "by hand"
    count = sum(len(one.get("ids", "1")) for one in files)
    sizes = [one.get("size") for one in files]
    size = "size not published"
    if entry["download_gb"]:
        size = f"about {entry['download_gb']:g} GB"
    elif None not in sizes:
        size = f"{sum(sizes) / 1e6:,.1f} MB"
    hosts = ", ".join(dict.fromkeys(urlsplit(one["url"]).hostname or "" for one in files))
    return f"{count:,} file{'' if count == 1 else 's'} from {hosts}, {size}: mitozoo fetch {entry['name']}"


def _fields(entry: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every field by its dotted path; what a nested record is called comes before what it holds."""
    for field, value in entry.items():
        if isinstance(value, dict) and value:
            yield from _fields(value, f"{within}{field}.")
        else:
            yield f"{within}{field}", value


def _shown(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_shown, value)) or "none"
    return "none" if value in ("", {}) else str(value)
