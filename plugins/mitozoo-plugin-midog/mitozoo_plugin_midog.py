"""The MIDOG family: MIDOG 2021, 2022, MIDOG++, and the atypical mitotic figures of MIDOG 2025."""

from mitozoo import CellTable, Crosswalk, DatasetSpec, MidogJson, MppByDomain, SlideNames, SlideTable, hookimpl

CLASS_NAMES = {"1": "mitotic figure|mitose", "2": "not mitotic figure|hard negative"}
LABELS = {"1": "positive", "2": "hard"}
LABELLED_BY = "three experts, two votes a cell and a third where they differ; a detector proposed missed figures"
NEGATIVES_ORIGIN = "cells that an expert or a detector took for a mitotic figure, and the experts' majority did not"

# um/px as the challenge's reports and the data descriptor state them
MPP = MppByDomain(
    domain="scanner",
    values={"Hamamatsu XR": 0.23, "Hamamatsu S360": 0.23, "Aperio CS2": 0.25, "Leica GT450": 0.26, "3D Histech": 0.25},
)
BREAST_SCANNERS = {
    r"0(0[1-9]|[1-4]\d|50)\.\w+": "Hamamatsu XR",
    r"0(5[1-9]|[6-9]\d)\.\w+|100\.\w+": "Hamamatsu S360",
    r"1(0[1-9]|[1-4]\d|50)\.\w+": "Aperio CS2",
}


NUMBER = r"(?P<key>\d+)"  # a case bears its image's number
#: Found by matching coordinates; MIDOG++ has two hard negatives fewer, and no matched label differs. Images 355 to 405,
#: without labels in MIDOG 2022, are looked for in vain.
MIDOG22_IN_MIDOGPP = Crosswalk(
    dataset="midog22",
    ours=NUMBER,
    theirs=NUMBER,
    renumbered=((1, 150, 1), (151, 346, 201), (347, 353, 398), (354, 354, 397)),
)


MIDOG21 = DatasetSpec(
    name="midog21",
    title="MIDOG 2021: mitotic figures against hard negatives, human breast cancer, three labelled scanners",
    cells=MidogJson(path="MIDOG.json", images="images", boxes="corners", class_names=CLASS_NAMES),
    labels=LABELS,
    positive_class="mitotic figure",
    negative_class="hard negative",
    group="case",  # one region of one slide a case
    domains={"scanner": SlideNames(patterns=BREAST_SCANNERS | {r"(1(5[1-9]|[6-9]\d)|200)\.\w+": "Leica GT450"})},
    mpp=MPP,
    license="CC-BY-NC-ND-2.0",
    reference="https://doi.org/10.1016/j.media.2022.102699",
    negatives_origin=NEGATIVES_ORIGIN,
    labelled_by=LABELLED_BY,
    voters=0,
)

MIDOG22 = DatasetSpec(
    name="midog22",
    title="MIDOG 2022 training set: mitotic figures against hard negatives, five labelled tumours of human and dog",
    cells=MidogJson(path="MIDOG2022_training_png.json", images=".", boxes="corners", class_names=CLASS_NAMES),
    labels=LABELS,
    positive_class="mitotic figure",
    negative_class="hard negative",
    group="case",
    # the label file tells neither tumour nor scanner; both go by number
    domains={
        "tumour": SlideNames(
            patterns={
                r"(0\d\d|1[0-4]\d|150)\.\w+": "human breast cancer",
                r"1(5[1-9]|[6-8]\d|9[0-4])\.\w+": "canine lung cancer",
                r"(19[5-9]|2[0-4]\d)\.\w+": "canine lymphosarcoma",
                r"2[5-9]\d\.\w+": "canine cutaneous mast cell tumor",
                r"3([0-4]\d|5[0-4])\.\w+": "human neuroendocrine tumor",
                r"(35[5-9]|3[6-9]\d|40[0-5])\.\w+": "human melanoma",
            }
        ),
        "scanner": SlideNames(
            patterns=BREAST_SCANNERS
            | {
                r"(1(5[1-9]|[6-9]\d)|2[0-4]\d)\.\w+": "3D Histech",
                r"2[5-9]\d\.\w+": "Aperio CS2",
                r"(3\d\d|40[0-5])\.\w+": "Hamamatsu XR",
            }
        ),
    },
    mpp=MPP,
    license="CC-BY-NC-ND-4.0",  # the challenge's rules; the archive's own record is said to state CC-BY-4.0
    reference="https://doi.org/10.5281/zenodo.6547151",
    negatives_origin=NEGATIVES_ORIGIN,
    labelled_by=LABELLED_BY,
    voters=0,
    derived_from=("midog21",),
    crosswalks=(Crosswalk(dataset="midog21", ours=NUMBER, theirs=NUMBER, renumbered=((1, 150, 1),)),),
)

MIDOGPP = DatasetSpec(
    name="midogpp",
    title="MIDOG++: mitotic figures against hard negatives, seven tumours of human and dog",
    cells=MidogJson(path="MIDOG++.json", images="images", boxes="corners", class_names=CLASS_NAMES),
    slides=SlideTable(
        path="datasets_xvalidation.csv",
        slide="{Slide}",
        matches="{image_id}",
        mend={
            "Scanner": {"Hamammatsu XR": "Hamamatsu XR"},
            "Tumor": {"canine lymphoma": "canine lymphosarcoma"},  # as the label file calls it
        },
    ),
    split="{Dataset}",
    labels=LABELS,
    positive_class="mitotic figure",
    negative_class="hard negative",
    group="case",
    domains={"tumour": "{Tumor}", "scanner": "{Scanner}", "species": "{Species}", "lab": "{Origin}"},
    mpp=MPP,
    license="CC0-1.0",
    reference="https://doi.org/10.1038/s41597-023-02327-4",
    negatives_origin=NEGATIVES_ORIGIN,
    labelled_by=LABELLED_BY,
    voters=3,  # the third one decides: of every cell with three, the label is the third
    derived_from=("midog21", "midog22"),
    crosswalks=(
        Crosswalk(dataset="midog21", ours=NUMBER, theirs=NUMBER, renumbered=((1, 200, 1),)),
        MIDOG22_IN_MIDOGPP,
    ),
)

MIDOG25_ATYPICAL = DatasetSpec(
    name="midog25-atypical",
    title="MIDOG 2025 track 2 training set: atypical against normal mitotic figures, as released patches",
    cells=CellTable(
        path="MIDOG25_Atypical_Classification_Train_Set.csv",
        cell_id="{image_id}",
        slide="{filename}",
        file="MIDOG25_Binary_Classification_Train_Set/{image_id}",
        x="",
        y="",
        label="{majority}",
    ),
    labels={"AMF": "positive", "NMF": "hard"},
    positive_class="atypical mitotic figure",
    negative_class="normal mitotic figure",
    group="slide",
    domains={"tumour": "{Tumor}", "scanner": "{Scanner}", "species": "{Species}", "lab": "{Origin}"},
    patch_px=128,  # a file of another size is refused
    mpp=0.25,  # the convention for 40x; no file of the release states one
    license="not stated",
    reference="https://doi.org/10.5281/zenodo.16044804",
    negatives_origin="every cell is a mitotic figure of MIDOG++; the negatives are those that most called normal",
    labelled_by="experts, by majority; the single votes are not released",
    voters=0,
    derived_from=("midogpp", "midog22", "midog21", "ami-br"),
)


@hookimpl
def mitozoo_datasets() -> list[DatasetSpec]:
    """Offer the MIDOG family."""
    return [MIDOG21, MIDOG22, MIDOGPP, MIDOG25_ATYPICAL]
