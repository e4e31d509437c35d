"""Predictions as a label file of the MIDOG family: corner boxes, the labels as categories, predictions beside."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mitozoo import storage
from mitozoo.exports.placed import boxes, plain, records

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.exports.placed import PlacedCells

POSITIVE, NEGATIVE = 1, 2  # category ids, as in all of MIDOG's own files


def write_midog(placed: PlacedCells, path: Path, *, box_px: float) -> None:
    """Write one JSON file. Boxes are corners (x1, y1, x2, y2), as MIDOG's, and not COCO's corner and size.

    An annotation's `category_id` is its label, `labels` are the votes; `cell_id`, `score`, `predicted` (a category id)
    and `outcome` stand beside, which readers of MIDOG's own files pass over. Width and height of an image are left out
    where it is not at hand.

    Args:
        placed: the cells.
        path: the file.
        box_px: side of the boxes, px.
    """
    ids = {image: number for number, image in enumerate(placed.images, start=1)}
    images = []
    for image, number in ids.items():
        width, height = placed.size(image)
        known = {} if width is None else {"width": width, "height": height}
        images.append({"id": number, "file_name": image} | known)
    annotations = [
        {
            "id": number, "image_id": ids[cell["image"]], "bbox": box, "category_id": _category(cell["label"]),
            "labels": [_category(vote) for vote in cell["votes"]], "cell_id": cell["cell_id"],
            "score": plain(cell["score"]), "predicted": _category(cell["predicted"]), "outcome": cell["outcome"],
        }
        for number, (cell, box) in enumerate(
            zip(records(placed.table), boxes(placed.table, box_px), strict=True), start=1
        )
    ]  # fmt: skip
    document: dict[str, Any] = {
        "info": {"description": f"Test cells with the scores of {placed.model}, by mitozoo"},
        "images": images,
        "categories": [
            {"id": POSITIVE, "name": placed.positive_class}, {"id": NEGATIVE, "name": placed.negative_class},
        ],
        "annotations": annotations,
    }  # fmt: skip
    with storage.write_whole(path) as unfinished:
        unfinished.write_text(json.dumps(document, ensure_ascii=False, allow_nan=False), encoding="utf-8")


def _category(label: int) -> int:
    return POSITIVE if label else NEGATIVE
