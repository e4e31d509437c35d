"""The MIDOG family: MIDOG 2021, 2022, MIDOG++, and the atypical mitotic figures of MIDOG 2025."""

from mitozoo import (
    CellTable,
    Crosswalk,
    DatasetSpec,
    MidogJson,
    MppByDomain,
    RemoteFile,
    RemoteFolder,
    SlideNames,
    SlideTable,
    hookimpl,
)

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

MIDOGPP_REPOSITORY = "https://raw.githubusercontent.com/DeepMicroscopy/MIDOGpp"
#: Of images 1 to 150 and 201 to 553, as the authors' own Setup.ipynb has them; figshare's MD5s were not seen.
MIDOGPP_ON_FIGSHARE = """
    40282099 40282102 40282111 40282138 40282120 40282126 40282135 40282105 40282141 40282108 40282129 40282132
    40282117 40282114 40282123 40282096 40282153 40282144 40282180 40282150 40282162 40282147 40282159 40282171
    40282177 40282156 40282174 40282165 40282189 40282183 40282168 40282198 40282207 40282186 40282201 40282195
    40282204 40282192 40282210 40282225 40282231 40282213 40282234 40282216 40282243 40282222 40282228 40282219
    40282246 40282240 40282270 40282237 40282252 40282261 40282249 40282255 40282276 40282264 40282279 40282258
    40282285 40282267 40282291 40282273 40282294 40282282 40282297 40282288 40282309 40282300 40282324 40282318
    40282321 40282306 40282330 40282303 40282333 40282312 40282351 40282315 40282339 40282327 40282342 40282357
    40282354 40282336 40282372 40282366 40282378 40282363 40282375 40282348 40282381 40282360 40282387 40282345
    40282393 40282369 40282405 40282384 40282414 40282390 40282411 40282396 40282423 40282417 40282432 40282402
    40282435 40282420 40282444 40282429 40282450 40282441 40282456 40282408 40282462 40282438 40282468 40282459
    40282486 40282453 40282477 40282447 40282474 40282471 40282426 40282465 40282483 40282516 40282480 40282507
    40282492 40282498 40282489 40282504 40282495 40282510 40282501 40282513 40282534 40282522 40282519 40282540
    40282528 40282525 40282555 40282531 40282564 40282537 40282558 40282543 40282549 40282546 40282552 40282570
    40282561 40282567 40282573 40282594 40282612 40282621 40282576 40282618 40282600 40282615 40282603 40282627
    40282636 40282609 40282639 40282606 40282630 40282624 40282657 40282666 40282642 40282672 40282633 40282669
    40282648 40282675 40282651 40282681 40282645 40282684 40282654 40282687 40282660 40282708 40282663 40282714
    40282678 40282717 40282720 40282723 40282693 40282753 40282690 40282696 40282732 40282699 40282756 40282705
    40282762 40282702 40282765 40282711 40282768 40282771 40282774 40282726 40282813 40282729 40282795 40282741
    40282798 40282735 40282807 40282738 40282819 40282759 40282810 40282747 40282822 40282744 40282828 40282777
    40282849 40282780 40282840 40282801 40282858 40282786 40282852 40282789 40282864 40282783 40282855 40282792
    40282867 40282804 40282876 40282816 40282888 40282831 40282894 40282825 40282900 40282834 40282903 40282843
    40282897 40282837 40282915 40282846 40282918 40282861 40282933 40282879 40282939 40282873 40282951 40282870
    40282945 40282882 40282885 40282948 40282891 40282957 40282963 40282906 40282969 40282921 40282978 40282909
    40282912 40282993 40282990 40282924 40282999 40282927 40282996 40283005 40282930 40283014 40282936 40283008
    40282942 40283029 40282960 40282954 40283038 40282966 40283071 40282972 40283044 40282975 40283047 40282984
    40283041 40282987 40283056 40282981 40283062 40283002 40283017 40283074 40283023 40283086 40283020 40283083
    40283032 40283101 40283026 40283092 40283059 40283095 40283119 40283116 40283113 40283035 40283131 40283050
    40283134 40283053 40283137 40283068 40283146 40283065 40283149 40283158 40283167 40283179 40283077 40283188
    40283089 40283173 40283080 40283182 40283098 40283200 40283107 40283236 40283110 40283245 40283104 40283278
    40283122 40283287 40283293 40283125 40283302 40283128 40283311 40283164 40283326 40283143 40283335 40283140
    40283338 40283350 40283155 40283365 40283152 40283362 40283161 40283368 40283170 40283371 40283176 40283386
    40283194 40283389 40283212 40283380 40283242 40283392 40283221 40283407 40283206 40283224 40283257 40283419
    40283263 40283320 40283428 40283329 40283425 40283332 40283434 40283344 40283440 40283341 40283431 40283347
    40283446 40283356 40283452 40283353 40283461 40283359 40283479 40283374 40283473 40283377 40283383 40283488
    40283401 40283497 40283395 40283509 40283503 40283410 40283506 40283413 40283521 40283416 40283524 40283422
    40283527 40283437 40283539 40283443 40283536 40283449 40283545 40283458 40283563 40283464 40283560 40283455
    40283572 40283476 40283593 40283467 40283575 40283587 40283494 40283596 40283482 40283491 40283599 40283500
    40283605 40283614 40283512 40283617 40283518 40283632 40283515 40283641 40283533 40283644 40283530 40283647
    40283548 40283650 40283542 40283656 40283554 40283668 40283677 40283557 40283566 40283674 40283569 40283680
    40283689 40283584 40283683 40283581 40283686 40283578 40283692 40283602 40283695 40283611 40283701 40283608
    40283698 40283620 40283704 40283707 40283623 40283719 40283710 40283629 40283713 40283635 40283716 40283638
    40283722 40283653 40283725 40283665 40283728 40283659 40283731 40283662 40283734 40283671 40283740
"""


def numbered(first: int, last: int) -> dict[str, str]:
    """Return the names of images from one number to another, each for itself: '007' -> '007'."""
    return {f"{number:03}": f"{number:03}" for number in range(first, last + 1)}


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
    files=(
        RemoteFile(
            url="https://raw.githubusercontent.com/DeepMicroscopy/MIDOG/"
            "9cec488f1acee63d1ca79505d6c8b1e988fbe573/databases/MIDOG.json",
            path="MIDOG.json",
            holds="labels",
        ),
        RemoteFolder(
            url="https://zenodo.org/records/4643381/files/{id}.tiff",
            path="images/{name}.tiff",
            holds="images",
            ids=numbered(1, 150),  # 151 to 200 have no labels
        ),
    ),
    license="CC-BY-NC-ND-2.0",
    reference="https://doi.org/10.1016/j.media.2022.102699",
    negatives_origin=NEGATIVES_ORIGIN,
    labelled_by=LABELLED_BY,
    voters=0,
    region_mm2=2.0,
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
    files=(
        RemoteFile(
            url="https://zenodo.org/records/6547151/files/MIDOG2022_training_png.json",
            path="MIDOG2022_training_png.json",
            holds="labels",
        ),
        RemoteFolder(
            url="https://zenodo.org/records/6547151/files/{id}.png",
            path="{name}.png",
            holds="images",
            ids=numbered(1, 354),  # 355 to 405 have no labels
        ),
    ),
    download_gb=30,  # with the unlabelled ones, which are left out
    license="CC-BY-NC-ND-4.0",  # the challenge's rules; the archive's own record is said to state CC-BY-4.0
    reference="https://doi.org/10.5281/zenodo.6547151",
    negatives_origin=NEGATIVES_ORIGIN,
    labelled_by=LABELLED_BY,
    voters=0,
    region_mm2=2.0,
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
    files=(
        RemoteFile(
            url=f"{MIDOGPP_REPOSITORY}/bd26c8197fc785b3e414ff2d41a63c1809dae1bc/databases/MIDOG%2B%2B.json",
            path="MIDOG++.json",
            holds="labels",
            size=2_759_851,
            md5="686c91bcabcc079a000a5be13cc2f542",
            sha256="8c87ab4276eb11f6b6b5ac0d956b89dad7568a5474e0904b653d54dc68091f47",
        ),
        RemoteFile(
            url=f"{MIDOGPP_REPOSITORY}/c2726b1f40a1bfe4f0acce9c7f1d186eec12e914/datasets_xvalidation.csv",
            path="datasets_xvalidation.csv",
            holds="labels",
            size=31_405,
            md5="6a0345e5c5a7cdca748b660010c5aee0",
            sha256="211140f590199d50ee98d923ddc923c382c3a5543ea3b430612c3624570b26b8",
        ),
        RemoteFolder(
            url="https://ndownloader.figshare.com/files/{id}",
            path="images/{name}.tiff",
            holds="images",
            ids=dict(zip([*numbered(1, 150), *numbered(201, 553)], MIDOGPP_ON_FIGSHARE.split(), strict=True)),
        ),
    ),
    download_gb=65,
    license="CC0-1.0",
    reference="https://doi.org/10.1038/s41597-023-02327-4",
    negatives_origin=NEGATIVES_ORIGIN,
    labelled_by=LABELLED_BY,
    voters=3,  # the third one decides: of every cell with three, the label is the third
    table_sha256=dict.fromkeys(("hard", "all"), "7deb7cc83ec10415090584318844e90ee7608eaf1ab0716586808f4b44aeabb4"),
    region_mm2=2.0,
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
    by_hand="Fetch MIDOG25_Atypical_Classification_Train_Set.csv and the patches from "
    "https://zenodo.org/records/16044804, and unpack them so that the table lies beside the folder "
    "MIDOG25_Binary_Classification_Train_Set.",
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
