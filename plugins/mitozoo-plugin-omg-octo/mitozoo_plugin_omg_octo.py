"""OMG-Octo Atypical (Shen et al. 2025): atypical against normal mitotic figures, as released patches."""

from mitozoo import CellTable, DatasetSpec, hookimpl

OMG_OCTO = DatasetSpec(
    name="omg-octo",
    title="OMG-Octo Atypical: atypical against normal mitotic figures, as released patches",
    # the columns are the release's; what it calls its table and folder was not seen: put them under these names
    cells=CellTable(
        path="OMG-Octo.csv", cell_id="{image_file}", slide="", file="images/{image_file}", x="", y="", label="{label}"
    ),
    labels={"AMF": "positive", "MF": "hard"},
    positive_class="atypical mitotic figure",
    negative_class="normal mitotic figure",
    group="slide",
    mpp=None,
    license="not stated",
    reference="https://doi.org/10.5281/zenodo.16107743",
    negatives_origin="mitotic figures that were not called atypical",
    labelled_by="not told",
    voters=0,
    by_hand="Fetch the patches and their table from https://zenodo.org/records/16107743; call the table OMG-Octo.csv, "
    "and put the patches in a folder images beside it.",
    not_for_eval="which of its patches are of one slide or case is not established, nor is their size",
)


@hookimpl
def mitozoo_datasets() -> list[DatasetSpec]:
    """Offer OMG-Octo Atypical."""
    return [OMG_OCTO]
