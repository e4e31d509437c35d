"""AMi-Br (Bertram et al. 2025): atypical against normal mitotic figures of human breast cancer, as released patches."""

from mitozoo import CellTable, Crosswalk, DatasetSpec, MppByDomain, RemoteFile, SlideNames, hookimpl

AMI_BR = DatasetSpec(
    name="ami-br",
    title="AMi-Br: atypical against normal mitotic figures, human breast cancer",
    cells=CellTable(
        path="AMI-BR.csv",
        cell_id="{dataset}_{uid}",
        slide="{dataset}/{slide}",  # both sources number their slides
        file="AMi-Br/{majority_atypical}/{dataset}_{uid}.png",
        file_words={"majority_atypical": {"True": "Atypical", "False": "Normal"}},
        x="x",
        y="y",
        label="{majority_atypical}",
        votes=("expert1_atypical", "expert2_atypical", "expert3_atypical"),
    ),
    labels={"True": "positive", "False": "hard"},
    positive_class="atypical mitotic figure",
    negative_class="normal mitotic figure",
    group="slide",  # the release names no case; the sources have one slide a case
    domains={
        "source": SlideNames(
            patterns={
                r"MIDOG21/0(0[1-9]|[1-4]\d|50)\.tiff": "Hamamatsu XR",
                r"MIDOG21/(0(5[1-9]|[6-9]\d)|100)\.tiff": "Hamamatsu S360",
                r"MIDOG21/1(0[1-9]|[1-4]\d|50)\.tiff": "Aperio CS2",
                r"TUPAC16/.*": "TUPAC16",
            }
        )
    },
    patch_px=128,
    # MIDOG's are those of its challenge report; TUPAC16's is the convention for 40x, since no file of it states one
    mpp=MppByDomain(
        domain="source", values={"Hamamatsu XR": 0.23, "Hamamatsu S360": 0.23, "Aperio CS2": 0.25, "TUPAC16": 0.25}
    ),
    files=(
        RemoteFile(
            url="https://raw.githubusercontent.com/DeepMicroscopy/AMi-Br/HEAD/AMI-BR.csv",
            path="AMI-BR.csv",
            holds="labels",
            size=348_367,
            sha256="49eb286b4b45f524f34ee2655c4d2e8f1e0c94618424a59b30ff7412fea77690",
        ),
        RemoteFile(
            url="https://github.com/DeepMicroscopy/AMi-Br_Benchmark/archive/3acf4da.zip",
            path="AMi-Br",
            holds="images",
            archive="zip",
            strip=1,
            only="AMi-Br",
        ),
    ),
    license="MIT",  # of the repository that releases patches and labels together; the label file's first home has none
    reference="https://doi.org/10.1007/978-3-658-47422-5_25",
    negatives_origin="every cell is a mitotic figure by the labels of MIDOG21 or TUPAC16 (alternative labels); "
    "the negatives are those that most of three experts called normal",
    labelled_by="three experts, each with a vote on every cell; majority",
    voters=3,
    independent_votes=True,
    table_sha256=dict.fromkeys(("hard", "all"), "2a1fff81ee705420c21d450476bf626e73ccd1f075ee6690228f41dcb8d503b3"),
    derived_from=("midog21", "tupac16-al"),
    crosswalks=(
        Crosswalk(dataset="midog21", ours=r"MIDOG21/(?P<key>\d+)\.tiff", theirs=r"(?P<key>\d+)"),
        # a slide is a case, its tiles stitched where there are several
        Crosswalk(dataset="tupac16-al", ours=r"TUPAC16/(?P<key>\d+)(_stitched\d+)?\.tif", theirs=r"(?P<key>\d+)"),
    ),
)


@hookimpl
def mitozoo_datasets() -> list[DatasetSpec]:
    """Offer AMi-Br."""
    return [AMI_BR]
