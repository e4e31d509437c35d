"""The lists: `models`, `datasets`, `protocols`, `plugins`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mitozoo.cli.tables import print_json, print_table
from mitozoo.errors import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mitozoo.plugins.dataset_spec import DatasetSpec
    from mitozoo.plugins.model_spec import ModelSpec
    from mitozoo.plugins.names import Registered
    from mitozoo.plugins.rows import PluginRow

json_option = click.option("--json", "as_json", is_flag=True, help="Print a JSON array, and nothing else, on stdout.")


@click.command()
@json_option
def models(*, as_json: bool) -> None:
    """List the models that installed plugins offer."""
    from mitozoo.plugins.registry import load_registry

    registry = load_registry()
    if as_json:
        print_json([as_entry(model) for model in registry.models])
    else:
        headers = ("MODEL", "DIM", "POOLING", "INPUT", "TRAINED AT", "LICENSE", "PLUGIN", "MARKS", "TITLE")
        print_table(headers, [_model_line(model) for model in registry.models])
    _tell_of_missing("model", registry.models, registry.rows)


@click.command()
@json_option
def datasets(*, as_json: bool) -> None:
    """List the datasets that installed plugins offer."""
    from mitozoo.plugins.registry import load_registry

    registry = load_registry()
    if as_json:
        print_json([as_entry(dataset) for dataset in registry.datasets])
    else:
        headers = ("DATASET", "POSITIVE", "NEGATIVE", "GROUP", "DOMAINS", "LICENSE", "PLUGIN", "MARKS", "TITLE")
        print_table(headers, [_dataset_line(dataset) for dataset in registry.datasets])
    _tell_of_missing("dataset", registry.datasets, registry.rows)


@click.command()
@json_option
def protocols(*, as_json: bool) -> None:
    """List the protocols: the frozen recipes that scores are made by."""
    from mitozoo.protocols.presets import PRESETS

    if as_json:
        print_json([{"hash": protocol.hash} | protocol.to_json() for protocol in PRESETS.values()])
    else:
        rows = [(name, protocol.hash[:12], protocol.title) for name, protocol in PRESETS.items()]
        print_table(("PROTOCOL", "HASH", "TITLE"), rows)


@click.command()
@json_option
@click.option("--traceback", "traced", metavar="NAME", help="Show where the plugin of that name failed.")
def plugins(*, as_json: bool, traced: str | None) -> None:
    """List the installed plugins, and why any of them does not work."""
    from mitozoo.plugins.registry import load_registry

    rows = load_registry().rows
    if traced is not None:
        for row in _rows_named(traced, rows):
            _print_traceback(row)
    elif as_json:
        print_json([row.to_json() for row in rows])
    else:
        print_table(
            ("PLUGIN", "DISTRIBUTION", "VERSION", "STATUS", "SECONDS", "OFFERS", "REMARKS"),
            list(map(_plugin_line, rows)),
        )


def as_entry(one: Registered[Any]) -> dict[str, Any]:
    """Return a registered spec as one flat JSON object: who offers it, its fingerprint, its fields."""
    return {
        "plugin": one.plugin,
        "version": one.version,
        "qualified_name": one.qualified_name,
        "short_name_works": one.short_name_works,
        "fingerprint": one.spec.fingerprint(),
    } | one.spec.to_json()


def _model_line(model: Registered[ModelSpec]) -> tuple[str, ...]:
    spec = model.spec
    mpp = f"{spec.preprocessing.mpp:g} um/px" if spec.preprocessing.mpp else ""
    marks = {"gated": spec.gated, "license disputed": spec.license_conflict, "control": spec.controls_only}
    return (
        model.shown_name, str(spec.embed_dim), spec.pooling, f"{spec.preprocessing.size} px", mpp, spec.license,
        model.plugin, ", ".join(mark for mark, holds in marks.items() if holds), spec.title,
    )  # fmt: skip


def _dataset_line(dataset: Registered[DatasetSpec]) -> tuple[str, ...]:
    spec = dataset.spec
    marks = {"synthetic": spec.synthetic, "not for eval": bool(spec.not_for_eval)}
    return (
        dataset.shown_name, spec.positive_class, spec.negative_class, spec.group, ", ".join(spec.domains), spec.license,
        dataset.plugin, ", ".join(mark for mark, holds in marks.items() if holds), spec.title,
    )  # fmt: skip


def _plugin_line(row: PluginRow) -> tuple[str, ...]:
    counts = {"model": len(row.models), "dataset": len(row.datasets), "tracker": len(row.trackers)}
    offers = ", ".join(f"{count} {kind}{'s' * (count != 1)}" for kind, count in counts.items() if count)
    failed = f"{row.stage}: " if row.status == "broken" else ""
    remarks = "; ".join(filter(None, (f"{failed}{row.reason}", *row.notes)))
    status = f"{row.status}, slow" if row.slow else row.status
    return row.name, row.distribution, row.version, status, f"{row.seconds:.2f}", offers, remarks


def _tell_of_missing(kind: str, found: Sequence[object], rows: Sequence[PluginRow]) -> None:
    """Say on stderr what the list does not show."""
    failed = [row.name for row in rows if not row.works and row.status != "disabled"]
    if failed:
        verb = "plugin does" if len(failed) == 1 else "plugins do"
        click.echo(f"{len(failed)} {verb} not work: {', '.join(failed)} (see why: mitozoo plugins)", err=True)
    elif not found:
        click.echo(
            f"No installed plugin offers a {kind}. Try: pip install mitozoo-plugin-imagenet mitozoo-plugin-demo",
            err=True,
        )


def _rows_named(name: str, rows: Sequence[PluginRow]) -> list[PluginRow]:
    import difflib

    named = [row for row in rows if name in row.names]
    if not named:
        near = difflib.get_close_matches(name, [known for row in rows for known in row.names], n=1)
        meant = f"Did you mean '{near[0]}'? " if near else ""
        raise UnknownNameError(f"no plugin '{name}' is installed", hint=f"{meant}See them all: mitozoo plugins")
    return named


def _print_traceback(row: PluginRow) -> None:
    import traceback

    if row.error is not None:
        click.echo("".join(traceback.format_exception(row.error)), nl=False)
    works = f"{row.distribution} {row.version} works" if row.works else row.sentence()
    click.echo(works, err=True)
