"""The pages that follow from the plugins, the protocols and the commands, as Markdown."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mitozoo.cli import main as mitozoo
from mitozoo.download.folder import published_bytes, sources
from mitozoo.plugins.formats import MppByDomain, SlideNames
from mitozoo.protocols.presets import PRESETS
from mitozoo.results.schema import schema
from mitozoo.submission.schemas import submission_schema, verdict_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from plugin_families import Family

    from mitozoo.plugins.dataset_spec import DatasetSpec
    from mitozoo.plugins.model_spec import ModelSpec
    from mitozoo.protocols.spec import Protocol

PARTS = Path(__file__).resolve().parent / "parts"
NOT_HERE = PARTS / "not-here.md"
FETCHING = PARTS / "fetching.md"
HELP_WIDTH = 100


def models_page(plugins: Sequence[Family]) -> str:
    """Return every model by family, and what is not here."""
    offering = [plugin for plugin in plugins if plugin.models]
    count = sum(len(plugin.models) for plugin in offering)
    parts = [
        f"# Models\n\n{count} encoders in {len(offering)} plugins. One plugin: `pip install mitozoo-plugin-NAME`; all"
        " the pathology encoders: `pip install 'mitozoo[foundation]'`; those that every one of them should beat:"
        " `pip install 'mitozoo[baselines]'`. Everything about one of them: `mitozoo info NAME`.\n\n"
        "* *prefix*: class and register tokens before the patch tokens. *mpp*: microns per pixel of the training tiles,"
        " and whether the authors stated it, named a magnification, or it is the convention.\n"
        "* *gated*: the owner grants access one by one. *pretraining* is what marks a result as contaminated.\n"
        "* *not confirmed*: what no primary source that could be read says; `mitozoo info` shows `verified: no`.\n"
    ]
    for extra, title in (("foundation", "Pathology encoders"), ("baselines", "Baselines and controls")):
        parts.append(f"\n## {title}\n")
        parts += [_family_section(plugin) for plugin in offering if plugin.extra == extra]
    return "".join(parts) + "\n" + NOT_HERE.read_text(encoding="utf-8")


def _family_section(plugin: Family) -> str:
    headers = (
        "model", "dim", "pooling", "prefix", "input", "mpp", "licence", "gated", "parameters", "pretraining",
        "not confirmed",
    )  # fmt: skip
    install = f"{plugin.description.rstrip('.')}. `pip install {plugin.distribution}`"
    head = f"\n### {plugin.distribution.removeprefix('mitozoo-plugin-')}\n\n{install}\n\n"
    return head + _table(headers, map(_model_row, plugin.models)) + _remarks(plugin.models)


def _remarks(models: Sequence[ModelSpec]) -> str:
    """Return what loading needs and does, each remark once, with the models that it holds for."""
    concerned: dict[str, list[str]] = {}
    for spec in models:
        needs = [f"needs `{requirement}`" for requirement in spec.requires]
        for remark in filter(None, [spec.side_effects, *needs]):
            concerned.setdefault(remark, []).append(f"`{spec.name}`")
    lines = [f"* {', '.join(names)}: {remark}\n" for remark, names in concerned.items()]
    return "".join(["\n", *lines]) if lines else ""


def _model_row(spec: ModelSpec) -> tuple[str, ...]:
    view = spec.preprocessing
    resize = {"none": "no resize", "square": f"square {view.resize_to}", "short-side": f"short side {view.resize_to}"}
    pretraining = "not stated" if spec.pretraining is None else ", ".join(spec.pretraining) or "none"
    return (
        f"[{spec.name}]({spec.reference})" if "://" in spec.reference else spec.name,
        str(spec.embed_dim), spec.pooling, str(spec.prefix_tokens),
        f"{view.size} px, {resize[view.resize]}, {view.interpolation}",
        "-" if view.mpp is None else f"{view.mpp:g} ({view.mpp_basis})",
        spec.license + (" (**sources disagree**)" if spec.license_conflict else ""),
        "yes" if spec.gated else "no",
        "-" if spec.parameters is None else f"{spec.parameters / 1e6:,.1f} M",
        pretraining,
        ", ".join(path.removeprefix("preprocessing.") for path in spec.unverified) or "-",
    )  # fmt: skip


def datasets_page(plugins: Sequence[Family]) -> str:
    """Return every dataset with what a careful user asks."""
    parts = [
        "# Datasets\n\nAll of them: `pip install 'mitozoo[datasets]'`. Datasets whose labels differ are different"
        " datasets; `derived from` tells which ones share cells, so that no model is trained on one and tested on the"
        " other unawares. What a dataset's files hold, once they are here: `mitozoo describe NAME`;"
        " whether they are what is declared: `mitozoo check NAME`. Cells of your own:"
        " [a table or a plugin](write-a-dataset.md).\n\n",
        _table(
            ("dataset", "task", "group", "official split", "domains", "files", "licence"),
            [_dataset_line(spec) for plugin in plugins for spec in plugin.datasets],
        ),
        "\n",
        FETCHING.read_text(encoding="utf-8"),
    ]
    for plugin in plugins:
        for spec in plugin.datasets:
            install = f"{(spec.title or plugin.description).rstrip('.')}. `pip install {plugin.distribution}`\n\n"
            parts.append(f"\n## {spec.name}\n\n{install}{_table(('', ''), _dataset_rows(spec))}")
    return "".join(parts)


def _dataset_line(spec: DatasetSpec) -> tuple[str, ...]:
    published = published_bytes(spec)
    fetched = "size not published" if published is None else f"{published / 1e9:,.3g} GB"
    return (
        f"[{spec.name}](#{spec.name})",
        f"{spec.positive_class} against {spec.negative_class}{' (described only)' * bool(spec.not_for_eval)}",
        spec.group,
        "yes" if spec.split or spec.test_slides else "no",
        ", ".join(spec.domains) or "-",
        fetched if spec.files else "made here" if spec.prepare else "by hand",
        spec.license,
    )


def _dataset_rows(spec: DatasetSpec) -> Iterator[tuple[str, str]]:
    yield "positive class", spec.positive_class
    yield "negative class", spec.negative_class
    yield "labels in its files", ", ".join(f"`{raw}`: {role}" for raw, role in spec.labels.items())
    yield "where the negatives come from", spec.negatives_origin
    yield "labelled by", spec.labelled_by or "not stated"
    yield "never divided between training and test", spec.group
    for name, source in spec.domains.items():
        values = sorted(set(source.patterns.values())) if isinstance(source, SlideNames) else []
        yield f"domain *{name}*", ", ".join(values) or "named in the label file"
    named = f"{len(spec.test_slides)} slides" if spec.test_slides else "none: grouped folds"
    yield "official test part", "named in the label file" if spec.split else named
    if spec.mpp is None:
        yield "microns per pixel", "not declared: the image file's own, else `--mpp`"
    elif isinstance(spec.mpp, MppByDomain):
        by_domain = ", ".join(f"{value}: {mpp:g}" for value, mpp in spec.mpp.values.items())
        yield "microns per pixel", f"by {spec.mpp.domain}: {by_domain}"
    else:
        yield "microns per pixel", f"{spec.mpp:g}"
    if spec.not_for_eval:
        yield "not for `mitozoo eval`", spec.not_for_eval
    if spec.patch_px:
        yield "released as", f"patches of {spec.patch_px} px"
    yield "derived from", ", ".join([*spec.derived_from, *spec.cohorts]) or "no other dataset"
    if spec.crosswalks:
        yield "shared cases are known with", ", ".join(one.dataset for one in spec.crosswalks)
    votes = f"{spec.voters} a cell, at most" if spec.voters else "none" if spec.voters == 0 else "not told"
    yield "single votes in its files", votes + (", independent of each other" if spec.independent_votes else "")
    known = ", ".join(f"`--negatives {one}`" for one in spec.table_sha256)
    yield "labels of submissions", f"checked by the sha256 of the table: {known}" if known else "no sha256 known"
    yield "synthetic", "yes: no number on it says anything about tissue" if spec.synthetic else "no"
    yield "files", _download(spec)
    if spec.by_hand:
        yield "by hand", spec.by_hand
    yield "licence", spec.license
    yield "reference", f"<{spec.reference}>" if "://" in spec.reference else spec.reference


def _download(spec: DatasetSpec) -> str:
    """Return how large a dataset is, where it comes from, and what to type."""
    if not spec.files:
        return "made on this machine when it is first used" if spec.prepare else "to be fetched by hand"
    files, published = spec.remote_files(), published_bytes(spec)
    size = "size not published" if published is None else f"about {published / 1e9:,.3g} GB"
    count = f"{len(files):,} file{'' if len(files) == 1 else 's'}"
    if 0 < (labels := sum(file.holds == "labels" for file in files)) < len(files):
        count += f" ({labels:,} with labels: `--labels-only`)"
    shared = f"; one folder with the other labellings of `{spec.folder}`" if spec.folder else ""
    return f"{count}, {size}, from {', '.join(sources(spec))}: `mitozoo fetch {spec.name}`{shared}"


def protocols_page() -> str:
    """Return every protocol that ships, with every parameter that can change a score."""
    parts = [
        "# Protocols\n\nA protocol is frozen, versioned and hashed: scores of different hashes are never ranked"
        " together. `--set KEY=VALUE` changes a parameter, and with it the hash and the name shown.\n"
    ]
    for protocol in PRESETS.values():
        meanings = _meanings(type(protocol))
        values = {key: value for key, value in protocol.parameters().items() if key != "kind"}
        rows = [(f"`{key}`", f"`{_plain(value)}`", meanings[key]) for key, value in values.items()]
        about = (inspect.getdoc(type(protocol)) or "").partition("\nAttributes:")[0].strip()
        head = f"\n## {protocol.name}@{protocol.version}\n\n*{protocol.title}.* {about}\n\nHash: `{protocol.hash}`\n\n"
        parts.append(head + _table(("parameter", "value", "meaning"), rows))
    return "".join(parts)


def _meanings(protocol: type[Protocol]) -> dict[str, str]:
    """Return what each field means: the `Attributes:` of the class's docstring and of those it inherits from."""
    meanings = {}
    for cls in reversed(protocol.__mro__):
        listed = inspect.cleandoc(cls.__doc__ or "").partition("\nAttributes:\n")[2]
        for entry in re.split(r"\n(?= {4}\w)", "\n" + listed):
            name, _, meaning = entry.strip().partition(": ")
            meanings[name] = " ".join(meaning.split())
    return meanings


def schemas() -> dict[str, str]:
    """Return the JSON schemas of a result, a submission and a verdict, by the name of their page."""
    definitions = {"result": schema(), "submission": submission_schema(), "verdict": verdict_schema()}
    return {name: json.dumps(definition, indent=2) + "\n" for name, definition in definitions.items()}


def cli_page() -> str:
    """Return the help text of every command."""
    return f"# Command line\n\n{''.join(_help(mitozoo, None, 'mitozoo'))}"


def _help(command: click.Command, parent: click.Context | None, name: str) -> Iterator[str]:
    context = click.Context(
        command, parent=parent, info_name=name, terminal_width=HELP_WIDTH, max_content_width=HELP_WIDTH, color=False,
        **command.context_settings,
    )  # fmt: skip
    path = context.command_path
    heading = "" if parent is None else f"\n## {path}\n\n"
    yield f"{heading}```text\n{click.unstyle(command.get_help(context)).rstrip()}\n```\n"
    if isinstance(command, click.Group):
        for child_name in command.list_commands(context):
            child = command.get_command(context, child_name)
            assert child is not None
            yield from _help(child, context, child_name)


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; a bar inside a value would end its cell."""
    lines = [headers, ["---"] * len(headers), *([value.replace("|", r"\|") for value in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
