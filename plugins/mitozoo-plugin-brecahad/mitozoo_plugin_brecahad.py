"""BreCaHAD (Aksac et al. 2019): mitosis against apoptosis, or against all other nuclei, of human breast cancer."""

from mitozoo import CellTable, DatasetSpec, hookimpl

#: Fields of 1360 x 1024 px beside a table of cells; several fields are of one case.
CELLS = CellTable(
    path="cells.csv",
    cell_id="{image}@{x},{y}",
    slide="{image}",
    file="images/{image}",
    x="x",
    y="y",
    label="{class}",
    case="{case}",
)


def task(name: str, title: str, negative_class: str, nuclei: str, negatives_origin: str) -> DatasetSpec:
    """Return one of the two tasks on the same cells."""
    return DatasetSpec(
        name=name,
        title=title,
        cells=CELLS,
        labels={"Mitosis": "positive", "Apoptosis": "hard", "Tumor_nuclei": nuclei, "Non_tumor_nuclei": nuclei},
        positive_class="mitosis",
        negative_class=negative_class,
        group="case",
        mpp=0.25,  # the convention for 40x, since no file states one
        license="CC-BY-4.0",
        reference="https://doi.org/10.1186/s13104-019-4121-7",
        negatives_origin=negatives_origin,
        labelled_by="pathologists of one institution; how many for each cell is not told",
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
