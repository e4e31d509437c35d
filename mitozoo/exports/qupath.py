"""Predictions as GeoJSON for QuPath: one file an image, one object a cell, its class what became of the cell."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from mitozoo import storage
from mitozoo.exports.placed import boxes, plain, records

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mitozoo.exports.placed import PlacedCells

#: Told apart whatever the kind of colour vision (Okabe and Ito).
COLOURS = {
    "true positive": [0, 158, 115], "false positive": [213, 94, 0], "missed": [86, 180, 233],
    "true negative": [153, 153, 153],
}  # fmt: skip
#: Of a cell's id: QuPath takes a UUID only, and gives an object that is imported twice the same one.
CELLS = uuid.uuid5(uuid.NAMESPACE_URL, "mitozoo:cell")


def write_qupath(placed: PlacedCells, folder: Path, *, points: bool, box_px: float) -> None:
    """Write 'IMAGE.geojson' into a new folder for each image that shows a tested cell.

    Objects are detections, squares around the cells, whose colour QuPath can take from a measurement; or point
    annotations. Name: the cell's id. Classification: the outcome. Measurements: score, threshold, called (share of
    fits) and label. Coordinates are px at full resolution.

    Args:
        placed: the cells.
        folder: to make.
        points: points in place of squares.
        box_px: side of the squares, px.
    """
    table = placed.table
    features = [
        _feature(cell, box, points=points) for cell, box in zip(records(table), boxes(table, box_px), strict=True)
    ]
    names = file_names(placed.images)
    of_image: dict[str, list[dict[str, Any]]] = {image: [] for image in names}
    for image, feature in zip(table["image"], features, strict=True):
        of_image[image].append(feature)
    with storage.write_folder_whole(folder) as unfinished:
        for image, name in names.items():
            collection = {"type": "FeatureCollection", "features": of_image[image]}
            text = json.dumps(collection, ensure_ascii=False, allow_nan=False)
            (unfinished / f"{name}.geojson").write_text(text, encoding="utf-8")


def moved_in_qupath(placed: PlacedCells) -> list[str]:
    """Return the images at hand whose origin QuPath moves, unless it is told --no-crop; objects would be misplaced."""
    import openslide

    moved = []
    for image in placed.images:
        try:
            with openslide.OpenSlide(placed.root / image) as slide:
                if is_cropped(slide.properties, slide.dimensions):
                    moved.append(image)
        except (OSError, openslide.OpenSlideError):  # not at hand, or no format of OpenSlide's
            continue
    return moved


def is_cropped(properties: Mapping[str, str], size: tuple[int, int]) -> bool:
    """Tell whether QuPath shows a slide from the corner of the box that OpenSlide states, and not from the slide's."""
    box = [properties.get(f"openslide.bounds-{side}") for side in ("x", "y", "width", "height")]
    if not all(value is not None and value.isdecimal() for value in box):
        return False
    x, y, width, height = (int(value) for value in box if value is not None)
    return (x, y) != (0, 0) and width != size[0] and height != size[1]


def file_names(images: Sequence[str]) -> dict[str, str]:
    """Return a file name, without its ending, for each image: its own, led by its folders where two are alike."""
    paths = [PurePosixPath(image.replace("\\", "/")) for image in images]
    alike = len({path.stem.casefold() for path in paths}) < len(paths)
    chosen: dict[str, str] = {}
    for image, path in zip(images, paths, strict=True):
        wanted = str(path).removesuffix(path.suffix) if alike else path.stem
        name = re.sub(r"[^\w .()+@=-]", "_", wanted).strip(" .") or "image"
        taken = {each.casefold() for each in chosen.values()}
        number, numbered = 1, name
        while numbered.casefold() in taken:
            number += 1
            numbered = f"{name} ({number})"
        chosen[image] = numbered
    return chosen


def _feature(cell: dict[str, Any], box: list[float], *, points: bool) -> dict[str, Any]:
    x1, y1, x2, y2 = box
    outline = [[x1, y1], [x2, y1], [x2, y2], [x1, y2], [x1, y1]]
    geometry = (
        {"type": "Point", "coordinates": [plain(cell["x"]), plain(cell["y"])]}
        if points
        else {"type": "Polygon", "coordinates": [outline]}
    )
    measured = {name: plain(cell[name]) for name in ("score", "threshold", "called", "label")}
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(CELLS, cell["cell_id"])),
        "geometry": geometry,
        "properties": {
            "objectType": "annotation" if points else "detection",
            "name": cell["cell_id"],
            "classification": {"name": cell["outcome"], "color": COLOURS[cell["outcome"]]},
            "measurements": measured,
        },
    }
