"""AtNorM-Br and AtNorM-MD (Banerjee et al. 2026): atypical against normal mitotic figures, as released patches."""

from mitozoo import DatasetSpec, PatchFolder, hookimpl

NO_SLIDE = "its patches do not tell slide or case, so that no split of it can be shown free of leaks"


def patches(name: str, folder: str, *, title: str, derived_from: tuple[str, ...], labelled_by: str) -> DatasetSpec:
    """Return one of the two sets; both are released in the same way."""
    return DatasetSpec(
        name=name,
        title=title,
        cells=PatchFolder(path=folder),
        labels={"Atypical": "positive", "Normal": "hard"},
        positive_class="atypical mitotic figure",
        negative_class="normal mitotic figure",
        group="slide",
        mpp=None,
        license="MIT",
        reference="https://doi.org/10.59275/j.melba.2026-a3eb",
        negatives_origin="every cell is a mitotic figure of its source; the negatives are those called normal",
        labelled_by=labelled_by,
        derived_from=derived_from,
        not_for_eval=NO_SLIDE,
    )


ATNORM_BR = patches(
    "atnorm-br",
    "AtNorM-Br",
    title="AtNorM-Br: atypical against normal mitotic figures, human breast cancer of TCGA",
    derived_from=("tcga",),
    labelled_by="experts; the single votes are not released",
)
ATNORM_MD = patches(
    "atnorm-md",
    "AtNorM-MD",
    title="AtNorM-MD: atypical against normal mitotic figures, several tumours of MIDOG++",
    derived_from=("midogpp", "midog22", "midog21"),
    labelled_by="five experts, each with a vote on every cell, in a table beside the patches; majority",
)


@hookimpl
def mitozoo_datasets() -> list[DatasetSpec]:
    """Offer AtNorM-Br and AtNorM-MD."""
    return [ATNORM_BR, ATNORM_MD]
