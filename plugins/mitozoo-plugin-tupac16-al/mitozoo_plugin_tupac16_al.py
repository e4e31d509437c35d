"""TUPAC16 with alternative labels (Bertram et al. 2020): mitotic figures of human breast cancer, 73 cases."""

from mitozoo import CoordinateTables, DatasetSpec, RemoteFile, hookimpl

TUPAC16_AL = DatasetSpec(
    name="tupac16-al",
    title="TUPAC16 with alternative labels: mitotic figures against look-alikes, human breast cancer",
    cells=CoordinateTables(
        tables={
            "mitosis": "TUPAC_AL/mitoses_ground_truth",
            "nonmitosis": "TUPAC_AL/nonmitoses_ground_truth",
        },
        images="mitoses_image_data",  # the challenge's own tiles, not the stitched ones
        suffix=".tif",
        order="row,column",
        case="{folder}",
    ),
    labels={"mitosis": "positive", "nonmitosis": "hard"},
    positive_class="mitotic figure",
    negative_class="look-alike",
    group="case",
    mpp=0.25,  # the convention for 40x, since no file states one
    license="not stated",
    reference="https://doi.org/10.1007/978-3-030-61166-8_22",
    negatives_origin="cells that an expert or a detector took for a mitotic figure and the agreed label did not",
    labelled_by="two experts, blinded, also on the cells that a detector added",
    voters=0,
    files=(
        RemoteFile(
            url="https://github.com/DeepMicroscopy/TUPAC16_AlternativeLabels/archive/"
            "e9ba69f38e01ffd893656b95a8d6f3bf53c5ba1a.zip",
            path="TUPAC_AL",
            holds="labels",
            archive="zip",
            strip=1,
            only="TUPAC_AL",
        ),
    ),
    by_hand="The images are given to those who register for the challenge, at https://tupac.grand-challenge.org: put "
    "the tiles of its auxiliary set for mitosis detection at mitoses_image_data/CASE/TILE.tif.",
    cohorts=("tupac16",),
)


@hookimpl
def mitozoo_datasets() -> list[DatasetSpec]:
    """Offer TUPAC16 with alternative labels."""
    return [TUPAC16_AL]
