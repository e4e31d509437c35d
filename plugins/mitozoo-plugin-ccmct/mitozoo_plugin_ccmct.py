"""CCMCT (Bertram et al. 2019): mitotic figures of canine mast cell tumour, 32 whole slides, three labellings."""

from mitozoo import Crosswalk, DatasetSpec, RemoteFile, RemoteFolder, SlideRunnerDatabase, hookimpl

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

#: As the authors' own Setup.ipynb fetches them; figshare's MD5s were not seen.
FIGSHARE = "https://ndownloader.figshare.com/files/{id}"
DATABASES = {"ODAEL": "16261571", "HEAEL": "16261583", "MEL": "16261574"}
SLIDES = RemoteFolder(
    url=FIGSHARE,
    path="WSI/{name}.svs",
    holds="images",
    ids={
        "066c94c4c161224077a9": "16261547", "0e56fd11a762be0983f0": "16261442", "1018715d369dd0df2fc0": "16261562",
        "20c0753af38303691b27": "16261532", "285f74bb6be025a676b6": "16261550", "2e611073cff18d503cea": "16261439",
        "2efb541724b5c017c503": "16261520", "2f17d43b3f9e7dacf24c": "16261535", "2f2591b840e83a4b4358": "16261514",
        "34eb28ce68c1106b2bac": "16261538", "39ecf7f94ed96824405d": "16261529", "3f2e034c75840cb901e6": "16261505",
        "552c51bfb88fd3e65ffe": "16261556", "70ed18cd5f806cf396f0": "16261541", "8bebdd1f04140ed89426": "16261523",
        "8c9f9618fcaca747b7c3": "16261526", "91a8e57ea1f9cb0aeb63": "16261544", "9374efe6ac06388cc877": "16261553",
        "96274538c93980aad8d6": "16261559", "a0c8b612fe0655eab3ce": "16261424", "ac1168b2c893d2acad38": "16261445",
        "add0a9bbc53d1d9bac4c": "16261436", "be10fa37ad6e88e1f406": "16261469", "c3eb4b8382b470dd63a9": "16261466",
        "c86cd41f96331adf3856": "16261475", "c91a842257ed2add5134": "16261481", "ce949341ba99845813ac": "16261484",
        "dd4246ab756f6479c841": "16261487", "dd6dd0d54b81ebc59c77": "16261478", "f26e9fcef24609b988be": "16261496",
        "f3741e764d39ccc4d114": "16261493", "fff27b79894fe0157b08": "16261490",
    },
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
        files=(
            RemoteFile(
                url=FIGSHARE.format(id=DATABASES[labelling]),
                path=f"databases/MITOS_WSI_CCMCT_{labelling}.sqlite",
                holds="labels",
            ),
            SLIDES,
        ),
        download_gb=44,  # as the authors say: "above 44 GB"
        folder="ccmct",  # one set of slides for all labellings
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
