"""`mitozoo embed`: an encoder's embeddings of a dataset, as a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mitozoo.cli.options import MODEL_HELP, LocalPath, dataset_options, device_options, log_options, weight_options

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.option("--model", "-m", required=True, metavar="NAME", help=MODEL_HELP)
@weight_options
@dataset_options
@device_options
@click.option("--crop-um", type=float, metavar="UM", help="Side of the window; default: the protocols' 56 um.")
@click.option(
    "-o", "--output", required=True, type=LocalPath(), metavar="FILE",
    help="A .safetensors or .parquet file with cell_id, vector and provenance.",
)  # fmt: skip
@log_options
def embed(*, model: str, dataset: str, output: Path, **asked: Any) -> None:
    """Write an encoder's embeddings of a dataset to a file."""
    from mitozoo.engine.find_dataset import require_known_names
    from mitozoo.engine.request import Request

    require_known_names(Request(model=model, dataset=dataset))  # before anything that takes long to import

    from mitozoo.cli.progress import Bars
    from mitozoo.engine.embed import embed_dataset

    bars = Bars()
    cells = embed_dataset(model, dataset, output, progress=bars, **asked)
    bars.note(f"{cells:,} embeddings in {output}")
