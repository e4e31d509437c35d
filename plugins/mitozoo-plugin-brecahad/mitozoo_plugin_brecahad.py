"""BreCaHAD (Aksac et al. 2019): mitosis against apoptosis, or against all other nuclei, of human breast cancer."""

import json
import re
from pathlib import Path

from mitozoo import CellTable, Crosswalk, DataError, DatasetSpec, hookimpl

#: A table of cells beside the images, fields of 1360 x 1024 px; several fields are of one case.
TABLE = CellTable(
    path="cells.csv",
    cell_id="{image}@{x},{y}",
    slide="{image}",
    file="images/{image}",
    x="x",
    y="y",
    label="{class}",
    case="{case}",
)

#: The release: `images/Case_1-02.tif` and `groundTruth/Case_1-02.json`, which lists the centres of each class as shares
#: of the image's sides. Tubules and other areas are no cells.
CLASSES = {"mitosis": "Mitosis", "apoptosis": "Apoptosis", "tumor": "Tumor_nuclei", "non_tumor": "Non_tumor_nuclei"}
AREAS = ("tubule", "non_tubule", "lumen", "non_lumen")
WIDTH, HEIGHT = 1360, 1024
NAME = re.compile(r"(?P<case>Case_\d+)-\d+")


def cells(folder: Path) -> CellTable | list[dict[str, object]]:
    """Return how to read a folder: by its table of cells, else the cells of the release's own files."""
    if (folder / TABLE.path).is_file():
        return TABLE
    files = sorted((folder / "groundTruth").glob("*.json"))
    if not files:
        raise DataError(
            f"{folder} holds neither cells.csv nor groundTruth/*.json",
            hint="Point --data to the folder BreCaHAD of the release, or to one with cells.csv and images.",
        )
    return [row for file in files for row in _rows(file)]


def _rows(file: Path) -> list[dict[str, object]]:
    named = NAME.fullmatch(file.stem)
    if named is None:
        raise DataError(f"{file}: its name does not tell its case, as in Case_1-02.json")
    try:
        found = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file} cannot be read as JSON: {error}") from error
    if not isinstance(found, dict) or not set(found) <= {*CLASSES, *AREAS} or not set(CLASSES) & set(found):
        raise DataError(f"{file} does not list cells by {', '.join(CLASSES)}")
    rows = []
    for name, label in CLASSES.items():
        places = found.get(name, [])
        if not isinstance(places, list):
            raise DataError(f"{file}: its '{name}' is no list of places")
        for number, place in enumerate(places):
            x, y = (_share(place, axis, f"{file}, {name} {number}") for axis in "xy")
            rows.append(
                {
                    "cell_id": f"{file.stem}/{name}/{number}",
                    "slide": file.stem,
                    "case": named["case"],
                    "file": f"images/{file.stem}.tif",
                    "x": x * WIDTH,
                    "y": y * HEIGHT,
                    "raw_label": label,
                }
            )
    return rows


def _share(place: object, axis: str, where: str) -> float:
    value = place.get(axis) if isinstance(place, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise DataError(f"{where}: its {axis} is {str(value)[:40]}, and a place is a share of the image from 0 to 1")
    return float(value)


def task(name: str, title: str, negative_class: str, nuclei: str, negatives_origin: str) -> DatasetSpec:
    """Return one of the two tasks on the same cells."""
    return DatasetSpec(
        name=name,
        title=title,
        cells=cells,
        labels={"Mitosis": "positive", "Apoptosis": "hard", "Tumor_nuclei": nuclei, "Non_tumor_nuclei": nuclei},
        positive_class="mitosis",
        negative_class=negative_class,
        group="case",
        mpp=0.25,  # the convention for 40x, since no file states one
        license="CC-BY-4.0",
        reference="https://doi.org/10.1186/s13104-019-4121-7",
        negatives_origin=negatives_origin,
        labelled_by="pathologists of one institution; how many for each cell is not told",
        voters=0,
        by_hand="Fetch the release from https://figshare.com/articles/dataset/"
        "BreCaHAD_A_Dataset_for_Breast_Cancer_Histopathological_Annotation_and_Diagnosis/7379186, and unpack it so "
        "that its folders images and groundTruth lie side by side.",
        folder="brecahad",  # one release for both tasks
        derived_from=() if name == "brecahad" else ("brecahad",),
        crosswalks=() if name == "brecahad" else (Crosswalk(dataset="brecahad"),),  # the same cases
    )


BRECAHAD = task(
    "brecahad", "BreCaHAD: mitosis against apoptosis, human breast cancer", "apoptosis", "other",
    "nuclei labelled as apoptotic",
)  # fmt: skip
BRECAHAD_ALL = task(
    "brecahad-all", "BreCaHAD: mitosis against all other nuclei, human breast cancer", "another nucleus", "hard",
    "every other labelled nucleus: apoptosis, tumour and other nuclei",
)  # fmt: skip


@hookimpl
def mitozoo_datasets() -> list[DatasetSpec]:
    """Offer both tasks of BreCaHAD."""
    return [BRECAHAD, BRECAHAD_ALL]
