"""OMG-Octo Atypical (Shen et al. 2025): atypical against normal mitotic figures, as released patches."""

from mitozoo import CellTable, DatasetSpec, hookimpl

OMG_OCTO = DatasetSpec(
    name="omg-octo",
    title="OMG-Octo Atypical: atypical against normal mitotic figures, as released patches",
    # the release's own names of table and folder were not seen; put them under these
    cells=CellTable(
        path="OMG-Octo.csv",
        cell_id="{image_file}",
        slide="{image_file}",
        file="images/{image_file}",
        x="",
        y="",
        label="{label}",
    ),
    labels={"AMF": "positive", "MF": "hard"},
    positive_class="atypical mitotic figure",
    negative_class="normal mitotic figure",
    group="slide",
    patch_px=64,
    mpp=0.25,  # the convention for 40x; no file states one
    license="not stated",
    reference="https://doi.org/10.5281/zenodo.16107743",
    negatives_origin="mitotic figures that were not called atypical",
    labelled_by="not told",
)


@hookimpl
def mitozoo_datasets() -> list[DatasetSpec]:
    """Offer OMG-Octo Atypical."""
    return [OMG_OCTO]
