"""CMC (Aubreville et al. 2020): mitotic figures of canine mammary carcinoma, 21 whole slides, three labellings."""

from mitozoo import Crosswalk, DatasetSpec, SlideRunnerDatabase, hookimpl

#: 7 of 21; one slide is one case. As in the paper; by the authors' erratum of August 2021 its own evaluation had
#: 4eee7b944ad5e46c60ce in training and fa4959e484beec77543b among these.
TEST_SLIDES = (
    "4eee7b944ad5e46c60ce.svs", "e09512d530d933e436d5.svs", "2d56d1902ca533a5b509.svs", "13528f1921d4f1f15511.svs",
    "69a02453620ade0edefd.svs", "b1bdee8e5e3372174619.svs", "022857018aa597374b6c.svs",
)  # fmt: skip


def variant(name: str, labelling: str, *, title: str, negatives_origin: str, labelled_by: str) -> DatasetSpec:
    """Return one labelling of the same slides."""
    return DatasetSpec(
        name=name,
        title=title,
        cells=SlideRunnerDatabase(
            path=f"databases/MITOS_WSI_CMC_{labelling}.sqlite",
            images="WSI",
            class_names={"2": r"mitotic figures?|mitos[ei]s?"},
        ),
        labels={"1": "hard", "2": "positive"},  # in CCMCT's databases 1 is a granulocyte
        positive_class="mitotic figure",
        negative_class="look-alike",
        group="case",
        mpp=None,  # the slide files' own
        test_slides=TEST_SLIDES,
        license="not stated",
        reference="https://doi.org/10.1038/s41597-020-00756-z",
        negatives_origin=negatives_origin,
        labelled_by=labelled_by,
        derived_from=() if name == "cmc" else ("cmc",),
        crosswalks=() if name == "cmc" else (Crosswalk(dataset="cmc"),),  # the same slides, by the same names
    )


CODAEL = variant(
    "cmc",
    "CODAEL_TR_ROI",
    title="CMC (CODAEL): mitotic figures against look-alikes, canine mammary carcinoma",
    negatives_origin="cells that an expert, a detector or a clustering took for a mitotic figure, and the agreed label "
    "did not (clustering- and object-detection augmented, expert labelled)",
    labelled_by="experts, also on the cells that a detector found and a clustering called in doubt",
)
ODAEL = variant(
    "cmc-odael",
    "ODAEL",
    title="CMC (ODAEL): labels before the clustering step of cmc",
    negatives_origin="cells that an expert or a detector took for a mitotic figure, and the agreed label did not "
    "(object-detection augmented, expert labelled)",
    labelled_by="experts, also on the cells that a detector found",
)
MEL = variant(
    "cmc-mel",
    "MEL",
    title="CMC (MEL): labelled by hand alone, with fewer look-alikes than cmc",
    negatives_origin="cells that an expert called a look-alike, or the agreed label no mitotic figure",
    labelled_by="experts; no model had a part in it",
)


@hookimpl
def mitozoo_datasets() -> list[DatasetSpec]:
    """Offer the three labellings of CMC."""
    return [CODAEL, ODAEL, MEL]
