"""Reads `QuPathGeoJson`: one exported file an image, points and outlines with a class."""

from __future__ import annotations

import math
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mitozoo.data.annotations import json_file
from mitozoo.data.annotations.raw import RawCells
from mitozoo.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.plugins.formats import QuPathGeoJson

Point = tuple[float, float]


def read(layout: QuPathGeoJson, root: Path) -> RawCells:
    """Return one cell for each point and each outline; its id is '<image>/<QuPath's id>', else its number in the file.

    Raises:
        DataError: there are no files, one is no GeoJSON, or an object is neither points nor an outline.
    """
    folder = root / layout.path
    files = sorted(folder.glob("*.geojson")) if folder.is_dir() else []
    if not files:
        raise DataError(
            f"the .geojson files are expected in {folder}, and there are none",
            hint="In QuPath: File, Export objects as GeoJSON, one file an image, not compressed.",
        )
    rows: list[tuple[str, str, float, float, str]] = []
    for path in files:
        for number, feature in enumerate(_features(path)):
            where = f"{path}, object {number}"
            key, label = f"{path.stem}/{feature.get('id', number)}", _label(feature, where)
            points = _points(feature.get("geometry"), where)
            many = len(points) > 1
            rows += [(f"{key}/{k}" if many else key, path.stem, x, y, label) for k, (x, y) in enumerate(points)]

    def file(image: str) -> str:
        return str(PurePosixPath(layout.images, f"{image}{layout.suffix}"))

    ids, images, x, y, labels = (list(column) for column in zip(*rows, strict=True)) if rows else ([],) * 5
    table = pd.DataFrame(
        {
            "cell_id": ids,
            "slide": images,
            "case": "",
            "file": [file(image) for image in images],
            "x": x,
            "y": y,
            "raw_label": labels,
        },
        index=pd.Index(ids, dtype=object),
    )
    table["raw_votes"] = pd.Series([[] for _ in ids], index=table.index, dtype=object)
    slides = {"slide": [path.stem for path in files], "file": [file(path.stem) for path in files]}
    return RawCells(table=table, own={"slide": images}, source=str(folder), row_word="object", slides=slides)


def _features(path: Path) -> list[dict[str, Any]]:
    document = json_file.load(path)
    if isinstance(document, dict):
        document = [document] if document.get("type") == "Feature" else document.get("features")
    if not isinstance(document, list) or not all(isinstance(feature, dict) for feature in document):
        raise DataError(f"{path} is no GeoJSON of objects: it has no list of features")
    return document


def _label(feature: dict[str, Any], where: str) -> str:
    """Return the name of an object's class, '' where it has none."""
    properties = feature.get("properties") or {}
    classification = (properties.get("classification") if isinstance(properties, dict) else None) or {}
    name = classification.get("name", "") if isinstance(classification, dict) else classification
    if not isinstance(name, str):
        raise DataError(f"{where}: its classification has no name")
    return name


def _points(geometry: object, where: str) -> list[Point]:
    """Return a geometry's cells: its points, or the centroid of its outline."""
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    coordinates = geometry.get("coordinates") if isinstance(geometry, dict) else None
    if kind == "Point":
        return [_point(coordinates, where)]
    if kind == "MultiPoint" and isinstance(coordinates, list):
        return [_point(one, where) for one in coordinates]
    if kind == "Polygon" and isinstance(coordinates, list) and coordinates and isinstance(coordinates[0], list):
        return [_centroid([_point(one, where) for one in coordinates[0]], where)]
    raise DataError(f"{where}: a cell is a point, points or an outline, not a {str(kind)[:40]}")


def _point(value: object, where: str) -> Point:
    if not isinstance(value, list) or len(value) < 2 or not all(_is_px(part) for part in value[:2]):
        raise DataError(f"{where}: {str(value)[:40]} is no point")
    return float(value[0]), float(value[1])


def _is_px(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9


def _centroid(outline: list[Point], where: str) -> Point:
    """Return the centroid of the area inside an outline, px."""
    if not outline:
        raise DataError(f"{where}: its outline has no points")
    x, y = np.array(outline, dtype=np.float64).T
    left, top = x[0], y[0]  # relative to one corner, since far from the origin the areas would cancel badly
    x, y = x - left, y - top
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    area = cross.sum() / 2
    extent = float(np.ptp(x) * np.ptp(y))
    if math.isclose(extent, 0.0) or abs(area) < 1e-6 * extent:
        raise DataError(f"{where}: its outline has no area")
    centre_x = float(((x + np.roll(x, -1)) * cross).sum() / (6 * area))
    centre_y = float(((y + np.roll(y, -1)) * cross).sum() / (6 * area))
    return centre_x + float(left), centre_y + float(top)
