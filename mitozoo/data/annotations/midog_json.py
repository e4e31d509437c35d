"""Reads a `MidogJson`: images, categories, and boxes whose meaning, corners or sizes, is told from all of them."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mitozoo.data.annotations import json_file
from mitozoo.data.annotations.raw import RawCells, require_class_names, shorten
from mitozoo.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.plugins.formats import MidogJson

Floats = npt.NDArray[np.float64]

WORDS = {"corners": "corners (x1, y1, x2, y2)", "sizes": "a corner and a size (x, y, width, height)"}
FAR = 1e9  # px; no image is as wide
FEW = 0.01  # share of boxes that may be wrong one by one before the whole reading is
NAMES, NUMBERS = frozenset((int, str)), frozenset((int, float))  # exact types: a JSON true is no number here
ALIKE = 4.0  # cells of one file are boxed alike; positions taken for sizes are not


def read(layout: MidogJson, path: Path) -> RawCells:
    """Return one cell for each annotation, at the centre of its box, which may lie a little outside its image.

    Raises:
        DataError: the file is no such JSON, an annotation is not what it must be, or the boxes' meaning is in doubt.
    """
    document = _document(path)
    images = _by_id(document["images"], "image", path)
    names = {key: str(entry.get("name", "")) for key, entry in _by_id(document["categories"], "category", path).items()}
    require_class_names(layout.class_names, names, str(path))
    annotations = document["annotations"]
    if not annotations:
        raise DataError(f"{path} holds no cells: its list of annotations is empty")
    ids = [_id(entry.get("id"), path, f"annotation number {place}") for place, entry in enumerate(annotations)]
    of_image = [_known(entry, "image_id", images, path, uid) for entry, uid in zip(annotations, ids, strict=True)]
    labels = [_known(entry, "category_id", names, path, uid) for entry, uid in zip(annotations, ids, strict=True)]
    frames = {key: [_px(image.get("width")), _px(image.get("height"))] for key, image in images.items()}
    centres = _centres(layout, _boxes(annotations, ids, path), np.array([frames[key] for key in of_image]), ids, path)
    files = {key: _file_name(image, key, path) for key, image in images.items()}
    slides = {
        "slide": list(files.values()),
        "file": [str(PurePosixPath(layout.images, name)) for name in files.values()],
        "image_id": list(images),
    } | _own_fields(list(images.values()))
    place = {key: number for number, key in enumerate(images)}
    places = [place[key] for key in of_image]
    own = {field: [values[number] for number in places] for field, values in slides.items()}
    stems = [PurePosixPath(name).stem for name in files.values()]
    table = pd.DataFrame(
        {
            "cell_id": ids,
            "slide": own["slide"],
            "case": [stems[number] for number in places],
            "file": own["file"],
            "x": centres[:, 0],
            "y": centres[:, 1],
            "raw_label": labels,
        },
        index=pd.Index(ids, dtype=object),
    )
    votes = [_votes(entry, path, uid) for entry, uid in zip(annotations, ids, strict=True)]
    table["raw_votes"] = pd.Series(votes, index=table.index, dtype=object)
    return RawCells(table=table, own=own, source=str(path), row_word="annotation", slides=slides)


def _document(path: Path) -> dict[str, list[dict[str, Any]]]:
    document = json_file.load(path)
    for part in ("images", "categories", "annotations"):
        entries = document.get(part) if isinstance(document, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise DataError(f"{path} is no label file of the MIDOG family: it has no list of objects '{part}'")
    return document


def _id(value: object, path: Path, what: str) -> str:
    if type(value) not in NAMES:
        raise DataError(f"{path}, {what}: its id is {shorten(value)}, and an id is a whole number or text")
    return str(value)


def _by_id(entries: list[dict[str, Any]], what: str, path: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for place, entry in enumerate(entries):
        key = _id(entry.get("id"), path, f"{what} number {place}")
        if key in found:
            raise DataError(f"{path}, {what} {key}: another {what} has the same id")
        found[key] = entry
    return found


def _known(entry: dict[str, Any], field: str, known: dict[str, Any], path: Path, uid: str) -> str:
    value = entry.get(field)
    key = str(value)
    if key not in known or type(value) not in NAMES:
        raise DataError(f"{path}, annotation {uid}: its {field} is {shorten(value)}, which the file does not list")
    return key


def _file_name(image: dict[str, Any], key: str, path: Path) -> str:
    name = image.get("file_name")
    if not isinstance(name, str) or not name.strip():
        raise DataError(f"{path}, image {key}: it has no file_name")
    return name.replace("\\", "/")


def _own_fields(images: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Return the images' own plain fields as text, '' where one has none."""
    fields = dict.fromkeys(field for image in images for field in image if field not in ("id", "slide", "file"))
    return {field: [_plain(image.get(field)) for image in images] for field in fields if field != "image_id"}


def _plain(value: object) -> str:
    return str(value) if isinstance(value, str | int | float) else ""


def _px(value: object) -> float:
    """Return an image's side, NaN where the file does not tell it."""
    return float(value) if isinstance(value, int | float) and 0 < value < FAR else np.nan


def _votes(entry: dict[str, Any], path: Path, uid: str) -> list[str]:
    votes = entry.get("labels", [])
    if not isinstance(votes, list) or not NAMES.issuperset(map(type, votes)):
        raise DataError(f"{path}, annotation {uid}: its labels are {shorten(votes)}, and votes are a list of class ids")
    return [str(vote) for vote in votes]


def _boxes(annotations: list[dict[str, Any]], ids: list[str], path: Path) -> Floats:
    """Return (n, 4) finite numbers."""
    for entry, uid in zip(annotations, ids, strict=True):
        box = entry.get("bbox")
        if (
            not isinstance(box, list)
            or len(box) != 4
            or not NUMBERS.issuperset(map(type, box))
            or max(map(abs, box)) > FAR
        ):
            raise DataError(f"{path}, annotation {uid}: its bbox is {shorten(box)}, and a box is four numbers")
    return np.array([entry["bbox"] for entry in annotations], dtype=np.float64)


def _centres(layout: MidogJson, boxes: Floats, frames: Floats, ids: list[str], path: Path) -> Floats:
    """Return (n, 2) the boxes' centres, px; refuse a box without area, or one that lies wholly outside its image."""
    sizes = {"corners": boxes[:, 2:] - boxes[:, :2], "sizes": boxes[:, 2:]}
    objections = {reading: _objection(boxes[:, :2], size, frames) for reading, size in sizes.items()}
    fitting = [reading for reading, objection in objections.items() if not objection]
    if layout.boxes == "evidence":
        if len(fitting) != 1:
            why = "; ".join(f"as {WORDS[name]}, {text}" for name, text in objections.items() if text) or "both would do"
            raise DataError(
                f"{path}: whether its boxes are {WORDS['corners']} or {WORDS['sizes']} is in doubt: {why}",
                hint="Where you know it, say boxes='corners' or boxes='sizes' in the dataset's MidogJson.",
            )
        [reading] = fitting
    else:
        reading = layout.boxes
        if objections[reading]:
            instead = f"; they look like {WORDS[fitting[0]]}" if fitting else ""
            raise DataError(f"{path}: its boxes are not {WORDS[reading]}: {objections[reading]}{instead}")
    corner, size = boxes[:, :2], sizes[reading]
    for bad, problem in (
        ((size <= 0).any(axis=1), "has no area"),
        (((corner + size <= 0) | (corner >= frames)).any(axis=1), "lies outside its image"),
    ):
        rows = np.flatnonzero(bad)
        if rows.size:
            more = f" (and {rows.size - 1:,} annotations more)" if rows.size > 1 else ""
            box = ", ".join(f"{side:g}" for side in boxes[rows[0]])
            raise DataError(f"{path}, annotation {ids[rows[0]]}: its box ({box}) {problem}{more}")
    return corner + size / 2


def _objection(corner: Floats, size: Floats, frames: Floats) -> str:
    """Return what speaks against reading the boxes so, '' where nothing does."""
    flat = np.asarray((size <= 0).any(axis=1))
    if flat.mean() > FEW:
        return f"{flat.sum():,} of {len(flat):,} have no area"
    low, high = np.percentile(size[~flat], (5, 95))
    if high > ALIKE * low:
        return f"their sides go from {low:g} to {high:g} px"
    centre = corner + size / 2
    outside = np.asarray(((centre < -size / 2) | (centre > frames + size / 2)).any(axis=1))
    if outside.mean() > FEW:
        return f"{outside.sum():,} of {len(outside):,} lie outside their image"
    return ""
