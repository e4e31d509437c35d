"""CMC (Aubreville et al. 2020): mitotic figures of canine mammary carcinoma, 21 whole slides, three labellings."""

from mitozoo import Crosswalk, DatasetSpec, RemoteFile, RemoteFolder, SlideRunnerDatabase, hookimpl

#: 7 of 21; one slide is one case. As in the paper; by the authors' erratum of August 2021 its own evaluation had
#: 4eee7b944ad5e46c60ce in training and fa4959e484beec77543b among these.
TEST_SLIDES = (
    "4eee7b944ad5e46c60ce.svs", "e09512d530d933e436d5.svs", "2d56d1902ca533a5b509.svs", "13528f1921d4f1f15511.svs",
    "69a02453620ade0edefd.svs", "b1bdee8e5e3372174619.svs", "022857018aa597374b6c.svs",
)  # fmt: skip

#: As the authors' own Setup.ipynb fetches them; figshare's MD5s were not seen.
SLIDES = RemoteFolder(
    url="https://ndownloader.figshare.com/files/{id}",
    path="WSI/{name}.svs",
    holds="images",
    ids={
        "022857018aa597374b6c": "22407537", "084383c18b9060880e82": "22407486", "13528f1921d4f1f15511": "22407519",
        "2191a7aa287ce1d5dbc0": "22407525", "2d56d1902ca533a5b509": "22407522", "3d3d04eca056556b0b26": "22407585",
        "460906c0b1fe17ea5354": "22407447", "4eee7b944ad5e46c60ce": "22407528", "50cf88e9a33df0c0c8f9": "22407531",
        "69a02453620ade0edefd": "22407411", "72c93e042d0171a61012": "22407456", "a8773be388e12df89edd": "22407540",
        "b1bdee8e5e3372174619": "22407423", "c4b95da36e32993289cb": "22407552", "d0423ef9a648bb66a763": "22407624",
        "d37ab62158945f22deed": "22585835", "d7a8af121d7d4f3fbf01": "22407477", "da18e7b9846e9d38034c": "22407453",
        "deb768e5efb9d1dcbc13": "22407414", "e09512d530d933e436d5": "22407465", "fa4959e484beec77543b": "22407459",
    },
)  # fmt: skip
#: The databases lie in the authors' repository.
DATABASE = "https://raw.githubusercontent.com/DeepMicroscopy/MITOS_WSI_CMC/HEAD/databases/{name}"


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
        files=(
            RemoteFile(
                url=DATABASE.format(name=f"MITOS_WSI_CMC_{labelling}.sqlite"),
                path=f"databases/MITOS_WSI_CMC_{labelling}.sqlite",
                holds="labels",
            ),
            SLIDES,
        ),
        download_gb=37,  # as the authors say: "above 37 GB"
        folder="cmc",  # one set of slides for all labellings
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
