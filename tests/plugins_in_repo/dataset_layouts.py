"""Tiny label files in the true layout of every dataset of this repository; images only where these are the labels."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from mitozoo.plugins.dataset_spec import DatasetSpec

DATABASE = """
CREATE TABLE Slides (uid INTEGER, filename TEXT, width INTEGER, height INTEGER, directory TEXT);
CREATE TABLE Annotations (uid INTEGER, slide INTEGER, type INTEGER, agreedClass INTEGER);
CREATE TABLE Annotations_coordinates (uid INTEGER, coordinateX INTEGER, coordinateY INTEGER, slide INTEGER,
    annoId INTEGER, orderIdx INTEGER);
CREATE TABLE Annotations_label (uid INTEGER, person INTEGER, class INTEGER, annoId INTEGER);
CREATE TABLE Classes (uid INTEGER, name TEXT);
"""
CCMCT = {1: "granulocyte", 2: "mitotic figure", 3: "tumor cell", 7: "mitotic figure look-alike"}
CMC = {1: "Non-mitotic", 2: "Mitotic figure"}


def database(classes: Mapping[int, str]) -> Callable[[Path, DatasetSpec], None]:
    """Return a writer of one cell of each class on each official test slide and two more."""

    def write(folder: Path, spec: DatasetSpec) -> None:
        path = folder / spec.cells.path
        path.parent.mkdir(parents=True)
        with closing(sqlite3.connect(path)) as made:
            made.executescript(DATABASE)
            made.executemany("INSERT INTO Classes VALUES (?, ?)", classes.items())
            uid = 0
            for slide, name in enumerate([*spec.test_slides, "0123456789abcdef0123.svs", "fedcba9876543210fedc.svs"]):
                made.execute("INSERT INTO Slides (uid, filename) VALUES (?, ?)", (slide, name))
                for label in classes:
                    uid += 1
                    made.execute("INSERT INTO Annotations VALUES (?, ?, 1, ?)", (uid, slide, label))
                    place = (uid, 100 * uid, 200, slide, uid)
                    made.execute("INSERT INTO Annotations_coordinates VALUES (?, ?, ?, ?, ?, 1)", place)
            made.commit()

    return write


def midog(names: Sequence[str], votes: int = 0) -> Callable[[Path, DatasetSpec], None]:
    """Return a writer of a mitotic figure and a hard negative on each image."""

    def write(folder: Path, spec: DatasetSpec) -> None:
        images = [
            {"id": int(name.partition(".")[0]), "file_name": name, "width": 7000, "height": 5000} for name in names
        ]
        annotations = [
            {
                "id": 2 * place + kind, "image_id": image["id"], "category_id": kind, "labels": [kind] * votes,
                "bbox": [1000 * kind, 900, 1000 * kind + 50, 950],
            }
            for place, image in enumerate(images)
            for kind in (1, 2)
        ]  # fmt: skip
        categories = [{"id": 1, "name": "mitotic figure"}, {"id": 2, "name": "hard negative"}]
        document = {"images": images, "categories": categories, "annotations": annotations}
        (folder / spec.cells.path).write_text(json.dumps(document))

    return write


def midogpp(folder: Path, spec: DatasetSpec) -> None:
    midog(["001.tiff", "151.tiff", "201.tiff", "352.tiff"], votes=3)(folder, spec)
    (folder / spec.slides.path).write_text(
        "Slide;Dataset;Tumor;Scanner;Species;Origin\n"
        "1;train;human breast cancer;Hamammatsu XR;Human;UMC Utrecht\n"
        "151;test;human breast cancer;Hamamatsu XR;Human;UMC Utrecht\n"
        "201;train;canine lung cancer;3D Histech;Canine;VMU Vienna\n"
        "352;test;canine lymphoma;3D Histech;Canine;VMU Vienna\n"
    )


def text(path: str, *lines: str) -> Callable[[Path, DatasetSpec], None]:
    """Return a writer of one text file."""

    def write(folder: Path, spec: DatasetSpec) -> None:
        (folder / path).write_text("\n".join(lines) + "\n")

    return write


def coordinates(folder: Path, spec: DatasetSpec) -> None:
    for number, table in enumerate(spec.cells.tables.values()):
        for case in ("01", "02"):
            (folder / table / case).mkdir(parents=True)
            (folder / table / case / "01.csv").write_text(f"839,{100 + 300 * number}\r\n")


def patches(folder: Path, spec: DatasetSpec) -> None:
    from PIL import Image

    for label in spec.labels:
        (folder / spec.cells.path / label).mkdir(parents=True)
        for number in (1, 2):
            colour = (40 * number, 100 * (label == "Normal"), 90)
            Image.new("RGB", (spec.patch_px,) * 2, colour).save(folder / spec.cells.path / label / f"{number}.png")


def brecahad(folder: Path, spec: DatasetSpec) -> None:
    (folder / "groundTruth").mkdir()
    for case in (1, 2):
        cells = {"mitosis": [{"x": 0.5, "y": 0.25}], "apoptosis": [{"x": 0.1, "y": 0.9}], "tumor": [{"x": 0.7, "y": 0}]}
        (folder / "groundTruth" / f"Case_{case}-01.json").write_text(json.dumps(cells | {"tubule": []}))


AMI_BR = text(
    "AMI-BR.csv",
    "uid,x,y,slide,dataset,expert1_atypical,expert2_atypical,expert3_atypical,majority_atypical",
    "1,100,200,001.tiff,MIDOG21,True,True,False,True",
    "2,300,200,001.tiff,MIDOG21,False,True,False,False",
    "1,100,200,07_stitched01.tif,TUPAC16,True,True,True,True",
    "2,300,200,08.tif,TUPAC16,False,False,False,False",
)
MIDOG25 = text(
    "MIDOG25_Atypical_Classification_Train_Set.csv",
    "image_id,filename,majority,Tumor,Scanner,Origin,Species",
    "1.png,001.tiff,AMF,human breast cancer,Hamamatsu XR,UMC Utrecht,Human",
    "2.png,001.tiff,NMF,human breast cancer,Hamamatsu XR,UMC Utrecht,Human",
    "3.png,201.tiff,AMF,canine lung cancer,3D Histech,VMU Vienna,Canine",
)
VOTES = text(
    "AtNorM-MD_expert_votes.csv",
    "Filename,Expert_1,Expert_2,Expert_3,Expert_4,Expert_5,Majority",
    "1.png,Normal,Normal,Atypical,Normal,Normal,Normal",
    "2.png,Normal,Atypical,Atypical,Atypical,Atypical,Atypical",
)
#: Dataset -> who writes its label files, and how many positives and hard negatives these hold.
LAYOUTS: dict[str, tuple[Callable[[Path, DatasetSpec], None], int, int]] = {
    "ami-br": (AMI_BR, 2, 2),
    "atnorm-br": (patches, 2, 2),
    "atnorm-md": (VOTES, 1, 1),
    "brecahad": (brecahad, 2, 2),
    "brecahad-all": (brecahad, 2, 4),
    "ccmct": (database(CCMCT), 13, 13),
    "ccmct-heael": (database(CCMCT), 13, 13),
    "ccmct-mel": (database({key: CCMCT[key] for key in (1, 2, 3)}), 13, 0),
    "cmc": (database(CMC), 9, 9),
    "cmc-mel": (database(CMC), 9, 9),
    "cmc-odael": (database(CMC), 9, 9),
    "midog21": (midog(["001.tiff", "060.tiff", "101.tiff"]), 3, 3),
    "midog22": (midog(["001.png", "151.png", "251.png", "354.png"]), 4, 4),
    "midogpp": (midogpp, 4, 4),
    "midog25-atypical": (MIDOG25, 2, 1),
    "omg-octo": (text("OMG-Octo.csv", "image_file,label", "a_1.png,MF", "b_1.png,AMF"), 1, 1),
    "tupac16-al": (coordinates, 2, 2),
}
