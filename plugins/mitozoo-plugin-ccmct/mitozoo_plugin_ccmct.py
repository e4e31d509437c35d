"""CCMCT (Bertram et al. 2019): mitotic figures of canine mast cell tumour, 32 whole slides, three labellings."""

from mitozoo import Crosswalk, DatasetSpec, SlideRunnerDatabase, hookimpl

LABELS = {
    "1": "other",
    "2": "positive",
    "3": "other",
    "7": "hard",
}  # granulocyte, mitotic figure, tumour cell, look-alike

#: 11 of 32; one slide is one case.
TEST_SLIDES = (
    "be10fa37ad6e88e1f406.svs", "f3741e764d39ccc4d114.svs", "c86cd41f96331adf3856.svs", "552c51bfb88fd3e65ffe.svs",
    "8c9f9618fcaca747b7c3.svs", "c91a842257ed2add5134.svs", "dd4246ab756f6479c841.svs", "f26e9fcef24609b988be.svs",
    "96274538c93980aad8d6.svs", "add0a9bbc53d1d9bac4c.svs", "1018715d369dd0df2fc0.svs",
)  # fmt: skip

MANUAL = "two pathologists and their consensus"
ASSISTED = "two pathologists and their consensus, also on the cells that a model brought up"


def variant(
    name: str, labelling: str, *, title: str, negatives_origin: str, labelled_by: str = ASSISTED, not_for_eval: str = ""
) -> DatasetSpec:
    """Return one labelling of the same slides."""
    return DatasetSpec(
        name=name,
        title=title,
        cells=SlideRunnerDatabase(
            path=f"databases/MITOS_WSI_CCMCT_{labelling}.sqlite",
            images="WSI",
            class_names={"2": r"mitotic figures?|mitos[ei]s?"},
        ),
        labels=LABELS,
        positive_class="mitotic figure",
        negative_class="look-alike",
        group="case",
        mpp=0.25,  # ScanScope CS2 at 40x
        test_slides=TEST_SLIDES,
        # what the code that comes with the data writes into its export; the files' own licence was not seen
        license="CC-BY-NC-ND-2.0",
        reference="https://doi.org/10.1038/s41597-019-0290-4",
        negatives_origin=negatives_origin,
        labelled_by=labelled_by,
        not_for_eval=not_for_eval,
        derived_from=() if labelling == "ODAEL" else ("ccmct",),
        crosswalks=() if labelling == "ODAEL" else (Crosswalk(dataset="ccmct"),),  # the same slides, by the same names
    )


CCMCT = variant(
    "ccmct",
    "ODAEL",
    title="CCMCT (ODAEL): mitotic figures against look-alikes, canine mast cell tumour",
    negatives_origin="cells that a pathologist or a detector took for a mitotic figure, and the consensus did not "
    "(object-detection augmented, expert labelled)",
)
HEAEL = variant(
    "ccmct-heael",
    "HEAEL",
    title="CCMCT (HEAEL): another task than ccmct, with 4.6 times fewer look-alikes",
    negatives_origin="cells that came up as hard examples and that the consensus did not take for a mitotic figure "
    "(hard-example augmented, expert labelled)",
)
MEL = variant(
    "ccmct-mel",
    "MEL",
    title="CCMCT (MEL): mitotic figures labelled by hand; no look-alikes",
    negatives_origin="none: look-alikes were not labelled; the other cells are granulocytes and tumour cells",
    labelled_by=MANUAL,
    not_for_eval="this labelling has no look-alikes, so that its scores would be those of another, easier task",
)


@hookimpl
def mitozoo_datasets() -> list[DatasetSpec]:
    """Offer the three labellings of CCMCT."""
    return [CCMCT, HEAEL, MEL]
