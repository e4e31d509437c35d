"""`mitozoo card`: a run for a model's page, and what to cite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mitozoo.cli.options import LocalPath, runs_option

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("run")
@click.option(
    "-o", "path", type=LocalPath(dir_okay=False), metavar="FILE",
    help="Where to write it; the default is stdout.",
)  # fmt: skip
@click.option(
    "--bibtex", "references", type=LocalPath(dir_okay=False), metavar="FILE",
    help="Write the references to a .bib file too.",
)  # fmt: skip
@runs_option
def card(*, run: str, path: Path | None, references: Path | None, out: Path | str) -> None:
    """Write a run as the evaluation block of a Hugging Face model card, with BibTeX of everything that it used.

    RUN is a run's folder, its result.json, or a unique prefix of its id. The block is the card's front matter
    (model-index); authors of papers are never guessed: entries bear the DOI or arXiv number of each source.
    """
    from mitozoo.errors import VerificationError
    from mitozoo.exports.citations import bibtex, everything_used
    from mitozoo.exports.model_card import mitozoo_version, model_card
    from mitozoo.results.find_run import find_run
    from mitozoo.results.result import Result
    from mitozoo.results.run_folder import RESULT
    from mitozoo.results.schema import violations
    from mitozoo.storage import write_whole

    result = Result.read(find_run(run, out))
    if found := violations(result.document):
        raise VerificationError(f"{result.folder / RESULT} breaks its schema: {found[0]}")
    text = model_card(result)
    if references is not None:
        with write_whole(references) as unfinished:
            used = everything_used(result.document, mitozoo_version(result.folder))
            unfinished.write_text(bibtex(used), encoding="utf-8")
        click.echo(f"references: {references}", err=True)
    if path is None:
        click.echo(text, nl=False)
        return
    with write_whole(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    click.echo(f"card: {path}", err=True)
