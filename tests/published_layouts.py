"""Small datasets in the exact layouts of CCMCT and MIDOG++: their file names, label formats, classes and splits."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import tifffile

from mitozoo.exports.slide_runner import SCHEMA_V1

if TYPE_CHECKING:
    from pathlib import Path

SIDE, ACROSS, DOWN = 240, 3, 2  # a window of 56 um is 224 px at 0.25 um/px
CELLS = ACROSS * DOWN

CCMCT_CLASSES_AND_EXPERTS = """
INSERT INTO Classes VALUES
    (1, 'granulocyte'), (2, 'mitotic figure'), (3, 'tumor cell'), (7, 'mitotic figure look-alike');
INSERT INTO Persons VALUES (1, 'Expert 1'), (2, 'Expert 2');
"""


def paint(path: Path, seed: int) -> list[tuple[int, int, bool]]:
    """Write a tiled slide of upright bars (positive) and lying ones; return the place and kind of each."""
    random = np.random.default_rng(seed)
    small = random.integers(190, 230, (DOWN * SIDE // 8, ACROSS * SIDE // 8, 3), dtype=np.uint8)
    pixels = small.repeat(8, axis=0).repeat(8, axis=1)
    cells = []
    for place in range(CELLS):
        x = place % ACROSS * SIDE + SIDE // 2 + int(random.integers(-9, 10))
        y = place // ACROSS * SIDE + SIDE // 2 + int(random.integers(-9, 10))
        positive = (place + seed) % 2 == 0
        high, wide = (80, 20) if positive else (20, 80)
        pixels[y - high : y + high, x - wide : x + wide] //= 2
        cells.append((x, y, positive))
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pixels, tile=(128, 128), photometric="rgb", compression="deflate")
    return cells


def make_ccmct(folder: Path, slides: list[str]) -> None:
    """Write slides and the ODAEL database: cells of the two classes, and a granulocyte and a polygon beside."""
    (folder / "databases").mkdir(parents=True)
    with closing(sqlite3.connect(folder / "databases" / "MITOS_WSI_CCMCT_ODAEL.sqlite")) as database:
        database.executescript(SCHEMA_V1 + CCMCT_CLASSES_AND_EXPERTS)
        uid = 0

        def annotate(slide: int, kind: int, label: int, *corners: tuple[int, int]) -> None:
            nonlocal uid
            uid += 1
            database.execute("INSERT INTO Annotations VALUES (?, ?, ?, ?)", (uid, slide, kind, label))
            for order, (x, y) in enumerate(corners, start=1):
                database.execute(
                    "INSERT INTO Annotations_coordinates (coordinateX, coordinateY, slide, annoId, orderIdx) "
                    "VALUES (?, ?, ?, ?, ?)",
                    (x, y, slide, uid, order),
                )
            for person in (1, 2):
                database.execute(
                    "INSERT INTO Annotations_label (person, class, annoId) VALUES (?, ?, ?)", (person, label, uid)
                )

        for number, name in enumerate(slides, start=1):
            database.execute("INSERT INTO Slides (uid, filename) VALUES (?, ?)", (number, name))
            for x, y, positive in paint(folder / "WSI" / name, number):
                annotate(number, 1, 2 if positive else 7, (x, y))
            annotate(number, 1, 1, (50, 50))
            annotate(number, 3, 2, (0, 0), (9, 0), (9, 9))  # a polygon is no cell
        database.commit()


#: Tumour and scanner of each image, with the spellings of the published split file.
MIDOGPP_IMAGES = {
    number: (tumour, spelt, scanner, origin, species)
    for first, tumour, spelt, scanner, origin, species in (
        (1, "human breast cancer", "human breast cancer", "Hamammatsu XR", "UMC Utrecht", "Human"),
        (245, "canine lymphosarcoma", "canine lymphoma", "3D Histech", "VMU Vienna", "Canine"),
        (
            300,
            "canine cutaneous mast cell tumor",
            "canine cutaneous mast cell tumor",
            "Aperio CS2",
            "FU Berlin",
            "Canine",
        ),
    )
    for number in range(first, first + 5)
}


def make_midogpp(folder: Path) -> None:
    """Write images, MIDOG++.json with corner boxes and votes, and the split's table; one image has no label."""
    images, annotations = [], []
    rows = ["Slide;Dataset;Tumor;Scanner;Origin;Species"]
    for number, (tumour, spelt, scanner, origin, species) in MIDOGPP_IMAGES.items():
        name = f"{number:03}.tiff"
        for x, y, positive in paint(folder / "images" / name, number):
            label = 1 if positive else 2
            annotations.append(
                {
                    "bbox": [x - 25, y - 25, x + 25, y + 25], "category_id": label, "image_id": number,
                    "labels": [label, label] if x % 2 else [1, 2, label], "id": len(annotations) + 1,
                }
            )  # fmt: skip
        images.append(_image(number, tumour))
        rows.append(f"{number};{'test' if number % 5 in (0, 1) else 'train'};{spelt};{scanner};{origin};{species}")
    images.append(_image(151, "human breast cancer"))
    document = {
        "info": {"description": "a small one in the layout of MIDOG++"},
        "licenses": [{"id": 1, "name": "CC0"}],
        "images": images,
        "categories": [{"id": 1, "name": "mitotic figure"}, {"id": 2, "name": "not mitotic figure"}],
        "annotations": annotations,
    }
    (folder / "MIDOG++.json").write_text(json.dumps(document))
    (folder / "datasets_xvalidation.csv").write_text("\n".join(rows) + "\n")


def _image(number: int, tumour: str) -> dict[str, object]:
    size = {"width": ACROSS * SIDE, "height": DOWN * SIDE}
    return {"license": 1, "file_name": f"{number:03}.tiff", "id": number, "tumor_type": tumour} | size
