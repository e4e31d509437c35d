"""AtNorM-Br and AtNorM-MD (Banerjee et al. 2026): atypical against normal mitotic figures, as released patches."""

from mitozoo import CellTable, DatasetSpec, PatchFolder, RemoteFile, hookimpl

LABELS = {"Atypical": "positive", "Normal": "hard"}
REFERENCE = "https://doi.org/10.59275/j.melba.2026-a3eb"
NEGATIVES_ORIGIN = "every cell is a mitotic figure of its source; the negatives are those called normal"
NO_SLIDE = "its patches do not tell slide or case, so that no split of it can be shown free of leaks"


def patches(folder: str) -> RemoteFile:
    """Return one of the folders of patches in the authors' repository; class folders tell the labels."""
    repository = "https://github.com/DeepMicroscopy/AMi-Br_Benchmark"
    return RemoteFile(
        url=f"{repository}/archive/3acf4da.zip", path=folder, holds="both", archive="zip", strip=1, only=folder
    )


ATNORM_BR = DatasetSpec(
    name="atnorm-br",
    title="AtNorM-Br: atypical against normal mitotic figures, human breast cancer of TCGA",
    cells=PatchFolder(path="AtNorM-Br"),
    labels=LABELS,
    positive_class="atypical mitotic figure",
    negative_class="normal mitotic figure",
    group="slide",
    mpp=None,
    patch_px=128,
    license="MIT",
    reference=REFERENCE,
    negatives_origin=NEGATIVES_ORIGIN,
    labelled_by="experts; the single votes are not released",
    voters=0,
    cohorts=("tcga",),
    files=(patches("AtNorM-Br"),),
    not_for_eval=NO_SLIDE,
)
ATNORM_MD = DatasetSpec(
    name="atnorm-md",
    title="AtNorM-MD: atypical against normal mitotic figures, several tumours of MIDOG++",
    cells=CellTable(
        path="AtNorM-MD_expert_votes.csv",
        cell_id="{Majority}/{Filename}",
        slide="",
        file="AtNorM-MD/{Majority}/{Filename}",
        x="",
        y="",
        label="{Majority}",
        votes=("Expert_1", "Expert_2", "Expert_3", "Expert_4", "Expert_5"),
    ),
    labels=LABELS,
    positive_class="atypical mitotic figure",
    negative_class="normal mitotic figure",
    group="slide",
    mpp=None,
    patch_px=128,
    license="MIT",
    reference=REFERENCE,
    negatives_origin=NEGATIVES_ORIGIN,
    labelled_by="five experts, each with a vote on every cell, in a table beside the patches; majority",
    voters=5,
    independent_votes=True,
    derived_from=("midogpp", "midog22", "midog21"),
    files=(patches("AtNorM-MD"),),
    by_hand="Put the table AtNorM-MD_expert_votes.csv of https://github.com/DeepMicroscopy/AMi-Br_Benchmark beside the "
    "folder AtNorM-MD: where it lies in the repository was not seen.",
    not_for_eval=NO_SLIDE,
)


@hookimpl
def mitozoo_datasets() -> list[DatasetSpec]:
    """Offer AtNorM-Br and AtNorM-MD."""
    return [ATNORM_BR, ATNORM_MD]
