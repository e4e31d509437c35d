"""A map of cached embeddings in two dimensions, coloured by label, by domain and by error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mitozoo.embeddings.store import EmbeddingKey, EmbeddingStore
from mitozoo.report.figure import Figure
from mitozoo.report.pictures import cell_scores
from mitozoo.report.projections import project
from mitozoo.report.svg import COLOURS, Drawing, shortened

if TYPE_CHECKING:
    from mitozoo.data.patches import PatchPlan
    from mitozoo.report.figure import Rows
    from mitozoo.report.gathering import Run
    from mitozoo.report.projections import Projection

POINTS = 800  # of a map; each adds some 60 bytes to the page
MARGIN = 0.03  # around the points, of their spread
COLOURED = len(COLOURS) - 1  # values with a colour of their own; all others share the last


def cached_embeddings(run: Run, plan: PatchPlan) -> npt.NDArray[np.float32] | None:
    """Return (n, d) of all cells of a run, where the cache holds every one of them; else None."""
    document = run.document
    model = document["model"]
    if document["precision"] is None or model["weights_sha256"] is None:
        return None
    key = EmbeddingKey(
        model["name"], model["fingerprint"], model["weights_sha256"], document["precision"], model["embed_dim"],
        document.get("deterministic", False),
    )  # fmt: skip
    store, rows = EmbeddingStore(key), plan.row_keys()
    return None if store.missing(rows).any() else store.load(rows)[0]


def embedding_maps(run: Run, embeddings: npt.NDArray[np.float32], prefix: str) -> list[Figure]:
    """Return a map of at most 800 tested cells for each way of colouring them."""
    scored = cell_scores(run)
    kept = np.unique(np.linspace(0, len(scored.cell) - 1, min(POINTS, len(scored.cell))).astype(np.int64))
    cells = scored.cell[kept]
    projection = project(np.asarray(embeddings[cells], dtype=np.float64))
    names = {side: run.document["dataset"]["classes"][side]["name"] for side in ("positive", "negative")}
    label = run.labels[cells]
    right = (scored.called[kept] >= 0.5) == (label == 1)
    colourings = {
        "label": [names["positive" if each else "negative"] for each in label],
        **{
            name.removeprefix("domain_"): run.cells[name].iloc[cells].astype(str).tolist()
            for name in run.cells.columns
            if name.startswith("domain_")
        },
        "error": ["right in most fits" if each else "wrong in most fits" for each in right],
    }
    return [
        _map(run, projection, cells, by, values, f"{prefix}-map-{number}")
        for number, (by, values) in enumerate(colourings.items())
        if len(set(values)) > 1
    ]


def _map(
    run: Run, projection: Projection, cells: npt.NDArray[np.int64], by: str, values: list[str], name: str
) -> Figure:
    places = projection.places
    common = sorted(set(values), key=lambda value: (-values.count(value), value))
    shown = common if len(common) <= len(COLOURS) else [*common[:COLOURED], "any other"]
    margin = np.ptp(places, axis=0) * MARGIN
    low, high = (places.min(axis=0) - margin).tolist(), (places.max(axis=0) + margin).tolist()
    drawing = Drawing(460, 360, (low[0], high[0]), (low[1], high[1]))
    drawing.axes(*projection.axes, (), ())
    for (x, y), value in zip(places.tolist(), values, strict=True):
        place = shown.index(value) if value in shown else len(shown) - 1
        drawing.point(x, y, COLOURS[place], radius=2.5, opacity=0.7)
    for place, value in enumerate(shown):
        drawing.height += 18
        drawing.parts.append(
            f'<circle cx="{drawing.left + 6:g}" cy="{drawing.height - 8:g}" r="5" fill="{COLOURS[place]}"/>'
        )
        drawing.text(drawing.left + 18, drawing.height - 4, shortened(value, 56))
    title = f"Embeddings of {run.name}, by {by}"
    note = (
        f"{len(cells):,} tested cells {projection.note}. The embeddings are those of the encoder as it was published, "
        "before any fit."
    )
    ids = run.cells["cell_id"].iloc[cells].tolist()
    rows: Rows = [
        [cell, float(x), float(y), value] for cell, (x, y), value in zip(ids, places.tolist(), values, strict=True)
    ]
    headers = ["cell", *projection.axes, by]
    return Figure(name, title, note, drawing.finished(name, title, note), headers, rows, shown=max(1, len(rows) // 20))
