"""The plugins of datasets: plain data, right splits and numbers, and each read whole on files of its layout."""

from __future__ import annotations

import importlib
import json
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from fuzzed_files import EDITS, FUZZED, edited, valid_or_refused
from hypothesis import given

from mitozoo import storage
from mitozoo.data.cells import read_cells
from mitozoo.data.describe import describe_dataset
from mitozoo.errors import DataError

FAMILIES = ("ccmct", "cmc", "midog", "tupac16_al", "atnorm", "omg_octo", "brecahad")
MODULES = tuple(f"mitozoo_plugin_{family}" for family in FAMILIES)
SPECS = {spec.name: spec for module in MODULES for spec in importlib.import_module(module).mitozoo_datasets()}


def test_every_dataset_that_was_asked_for_is_there():
    asked = """ccmct ccmct-heael ccmct-mel cmc cmc-odael cmc-mel midog21 midog22 midogpp midog25-atypical tupac16-al
        atnorm-br atnorm-md omg-octo brecahad brecahad-all"""
    assert sorted(SPECS) == sorted(asked.split())


@pytest.mark.parametrize("name", sorted(SPECS))
def test_each_is_plain_data_and_states_what_a_reader_must_know(name):
    spec = SPECS[name]
    assert json.loads(json.dumps(spec.to_json()))["name"] == name
    assert spec.negatives_origin
    assert spec.labelled_by
    assert spec.reference.startswith("https://doi.org/10.")


def test_importing_them_imports_nothing_heavy():
    heavy = "numpy pandas torch PIL openslide tifffile sklearn scipy"
    code = f"import sys, {', '.join(MODULES)}; print([name for name in '{heavy}'.split() if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_lineage_is_stated_whole():
    derived = {name: set(spec.derived_from) for name, spec in SPECS.items()}
    assert derived["midog22"] == {"midog21"}
    assert derived["midogpp"] == {"midog21", "midog22"}
    assert derived["atnorm-br"] == set()
    assert SPECS["atnorm-br"].cohorts == ("tcga",)
    assert [derived[name] for name in ("ccmct-heael", "cmc-mel", "brecahad-all")] == [{"ccmct"}, {"cmc"}, {"brecahad"}]
    assert {"midogpp", "midog22", "midog21"} == derived["atnorm-md"]
    for parents in derived.values():
        for parent in parents & SPECS.keys():
            assert derived[parent] <= parents  # whoever reads one name sees all relatives


def test_tumours_of_midog_are_called_alike():
    assert SPECS["midog22"].domains["tumour"].value("249.png") == "canine lymphosarcoma"
    assert SPECS["midogpp"].slides.mend["Tumor"]["canine lymphoma"] == "canine lymphosarcoma"


def test_votes_are_called_independent_only_where_named_persons_voted_alone():
    assert {name for name, spec in SPECS.items() if spec.independent_votes} == {"atnorm-md"}  # and ami-br, not in here
    assert (SPECS["atnorm-md"].voters, SPECS["midogpp"].voters, SPECS["midogpp"].independent_votes) == (5, 3, False)


@pytest.mark.parametrize(
    ("name", "domain", "counts"),
    [
        ("midog21", "scanner", {"Hamamatsu XR": 50, "Hamamatsu S360": 50, "Aperio CS2": 50, "Leica GT450": 50}),
        ("midog22", "scanner", {"Hamamatsu XR": 156, "Hamamatsu S360": 50, "Aperio CS2": 100, "3D Histech": 99}),
        (
            "midog22",
            "tumour",
            {
                "human breast cancer": 150, "canine lung cancer": 44, "canine lymphosarcoma": 55,
                "canine cutaneous mast cell tumor": 50, "human neuroendocrine tumor": 55, "human melanoma": 51,
            },
        ),
    ],
)  # fmt: skip
def test_numbers_of_images_tell_scanner_and_tumour(name, domain, counts):
    pattern, images = SPECS[name].domains[domain], 200 if name == "midog21" else 405
    values = [pattern.value(f"{number:03}.png") for number in range(1, images + 1)]
    assert {value: values.count(value) for value in dict.fromkeys(values)} == counts
    assert pattern.value(f"{images + 1:03}.png") is None


SCHEMA = """
CREATE TABLE Slides (uid INTEGER, filename TEXT, width INTEGER, height INTEGER, directory TEXT);
CREATE TABLE Annotations (uid INTEGER, slide INTEGER, type INTEGER, agreedClass INTEGER);
CREATE TABLE Annotations_coordinates (uid INTEGER, coordinateX INTEGER, coordinateY INTEGER, slide INTEGER,
    annoId INTEGER, orderIdx INTEGER);
CREATE TABLE Annotations_label (uid INTEGER, person INTEGER, class INTEGER, annoId INTEGER);
CREATE TABLE Classes (uid INTEGER, name TEXT);
"""


def make_database(folder, spec, train: list[str], classes: dict[int, str]) -> None:
    """Write two cells of each class on each slide of an official test set, and of some training slides."""
    path = folder / spec.cells.path
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as database:
        database.executescript(SCHEMA)
        database.executemany("INSERT INTO Classes VALUES (?, ?)", classes.items())
        uid = 0
        for slide, name in enumerate([*spec.test_slides, *train], start=1):
            database.execute("INSERT INTO Slides (uid, filename) VALUES (?, ?)", (slide, name))
            for label in [*classes, *classes]:
                uid += 1
                database.execute("INSERT INTO Annotations VALUES (?, ?, 1, ?)", (uid, slide, label))
                database.execute(
                    "INSERT INTO Annotations_coordinates VALUES (?, ?, 5, ?, ?, 1)", (uid, uid, slide, uid)
                )
        database.commit()


CCMCT_CLASSES = {1: "granulocyte", 2: "mitotic figure", 3: "tumor cell", 7: "mitotic figure look-alike"}


@pytest.mark.parametrize(("name", "slides"), [("ccmct", 11), ("ccmct-heael", 11)])
def test_ccmct_is_split_as_published(tmp_path, name, slides):
    spec = SPECS[name]
    make_database(tmp_path, spec, ["2f2591b840e83a4b4358.svs", "ce949341ba99845813ac.svs"], CCMCT_CLASSES)
    table = read_cells(spec, tmp_path).table
    assert set(table.loc[table["split"] == "test", "slide"]) == set(spec.test_slides)
    assert (len(spec.test_slides), table.loc[table["split"] == "train", "slide"].nunique()) == (slides, 2)
    assert table.groupby("split")["label"].agg(["size", "sum"]).to_numpy().tolist() == [[44, 22], [8, 4]]
    assert table["file"].iloc[0].startswith("WSI/")


@pytest.mark.shared
def test_the_test_slides_of_ccmct_are_those_of_the_published_statistics(shared_data):
    lines = (shared_data / "annotations" / "per_slide_counts_from_databaseStatistics.csv").read_text().splitlines()[1:]
    assert {line.split(",")[0] for line in lines if line.endswith("test")} == set(SPECS["ccmct"].test_slides)


def test_ccmct_without_look_alikes_is_described_and_never_evaluated(tmp_path):
    spec = SPECS["ccmct-mel"]
    make_database(tmp_path, spec, ["a.svs"], {1: "granulocyte", 2: "mitotic figure", 3: "tumor cell"})
    with pytest.raises(DataError, match=r"dataset 'ccmct-mel' is not evaluated: this labelling has no look-alikes"):
        read_cells(spec, tmp_path)
    assert describe_dataset(spec, tmp_path)["classes"] == {"positive": 24, "hard": 0, "other": 48, "ignored": 0}


def test_a_database_of_another_dataset_is_refused(tmp_path):
    make_database(tmp_path, SPECS["ccmct"], ["a.svs"], CCMCT_CLASSES)
    (tmp_path / SPECS["ccmct"].cells.path).rename(tmp_path / SPECS["cmc"].cells.path)
    with pytest.raises(DataError, match=r"unknown label '3', '7'"):
        read_cells(SPECS["cmc"], tmp_path)
    make_database(tmp_path, SPECS["cmc-mel"], ["a.svs"], {1: "mitotic figure", 2: "hard negative"})
    with pytest.raises(DataError, match=r"class 2 is called 'hard negative', and should be called"):
        read_cells(SPECS["cmc-mel"], tmp_path)


def test_cmc_is_split_as_published(tmp_path):
    spec = SPECS["cmc"]
    make_database(tmp_path, spec, ["fa4959e484beec77543b.svs"], {1: "Non-mitotic", 2: "Mitotic figure"})
    table = read_cells(spec, tmp_path).table
    assert set(table.loc[table["split"] == "train", "slide"]) == {"fa4959e484beec77543b.svs"}
    assert table.loc[table["split"] == "test", "slide"].nunique() == 7


def test_tupac_lines_are_row_then_column(tmp_path):
    for name, line in (("mitoses", "839,2"), ("nonmitoses", "10,20")):
        path = tmp_path / "TUPAC_AL" / f"{name}_ground_truth" / "01" / "01.csv"
        path.parent.mkdir(parents=True)
        path.write_text(f"{line}\n")
    table = read_cells(SPECS["tupac16-al"], tmp_path).table
    assert table[["x", "y", "label"]].to_numpy().tolist() == [[2, 839, 1], [20, 10, 0]]
    assert table["group"].unique().tolist() == ["tupac16-al/01"]
    assert table["file"].unique().tolist() == ["mitoses_image_data/01/01.tif"]


def test_released_patches_without_slide_are_described_only(tmp_path):
    (tmp_path / "AtNorM-MD_expert_votes.csv").write_text(
        "Filename,Expert_1,Expert_2,Expert_3,Expert_4,Expert_5,Majority\n"
        "1.png,Normal,Normal,Atypical,Normal,Normal,Normal\n"
        "2.png,Normal,Atypical,Atypical,Atypical,Atypical,Atypical\n"
    )
    with pytest.raises(DataError, match=r"is not evaluated: its patches do not tell slide or case"):
        read_cells(SPECS["atnorm-md"], tmp_path)
    cells = read_cells(SPECS["atnorm-md"], tmp_path, to_evaluate=False).table.set_index("file")
    assert cells["votes"].to_dict() == {
        "AtNorM-MD/Normal/1.png": [0, 0, 1, 0, 0],
        "AtNorM-MD/Atypical/2.png": [0, 1, 1, 1, 1],
    }
    found = describe_dataset(SPECS["atnorm-md"], tmp_path)
    assert (found["classes"]["positive"], found["votes"], found["images"]["missing"]) == (
        1,
        {"cells": 2, "unanimous": 0},
        2,
    )
    (tmp_path / "OMG-Octo.csv").write_text("image_file,label\na_1.png,MF\nb_1.png,AMF\n")
    found = describe_dataset(SPECS["omg-octo"], tmp_path)
    assert (found["classes"]["positive"], found["classes"]["hard"], found["groups"]["total"]) == (1, 1, 0)


def test_midog25_is_grouped_by_the_image_that_its_patches_were_cut_from(tmp_path):
    (tmp_path / "MIDOG25_Atypical_Classification_Train_Set.csv").write_text(
        "image_id,filename,majority,Tumor,Scanner,Origin,Species\n"
        "1.png,001.tiff,AMF,human breast cancer,Hamamatsu XR,UMC Utrecht,Human\n"
        "2.png,001.tiff,NMF,human breast cancer,Hamamatsu XR,UMC Utrecht,Human\n"
    )
    table = read_cells(SPECS["midog25-atypical"], tmp_path).table
    assert table["group"].tolist() == ["midog25-atypical/001.tiff"] * 2
    assert table["label"].tolist() == [1, 0]
    assert table["file"].tolist()[0] == "MIDOG25_Binary_Classification_Train_Set/1.png"


@pytest.mark.shared
def test_brecahad_has_its_mitoses_in_one_case(shared_data):
    cells = read_cells(SPECS["brecahad"], shared_data / "brecahad")
    assert (len(cells), cells.labels.sum()) == (35, 12)
    assert cells.table["group"].unique().tolist() == ["brecahad/Case_10"]
    every = read_cells(SPECS["brecahad-all"], shared_data / "brecahad")
    assert len(every) == 1663
    assert every.table.groupby("group")["label"].sum().to_dict() == {
        "brecahad-all/Case_10": 12,
        "brecahad-all/Case_11": 0,
    }


RELEASED = {
    "mitosis": [{"x": 0.5, "y": 0.25}],
    "apoptosis": [{"x": 0, "y": 1}],
    "tumor": [{"x": 0.1, "y": 0.1}],
    "non_tumor": [],
    "tubule": [{"x": 0.3, "y": 0.3}],
    "non_tubule": [],
}


def release_brecahad(folder, name="Case_1-02.json", **changed) -> None:
    (folder / "groundTruth").mkdir(exist_ok=True)
    (folder / "groundTruth" / name).write_text(json.dumps(RELEASED | changed))


def test_brecahad_is_read_as_it_was_released(tmp_path):
    release_brecahad(tmp_path)
    release_brecahad(tmp_path, "Case_12-10.json", mitosis=[])
    table = read_cells(SPECS["brecahad"], tmp_path).table
    assert table[["cell_id", "x", "y", "label"]].to_numpy().tolist() == [
        ["Case_1-02/apoptosis/0", 0, 1024, 0],
        ["Case_1-02/mitosis/0", 680, 256, 1],
        ["Case_12-10/apoptosis/0", 0, 1024, 0],
    ]
    assert table["group"].unique().tolist() == ["brecahad/Case_1", "brecahad/Case_12"]
    assert table["file"].iloc[0] == "images/Case_1-02.tif"
    assert len(read_cells(SPECS["brecahad-all"], tmp_path)) == 5


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"mitosis": [{"x": 1.2, "y": 0.5}]}, r"Case_1-02.json, mitosis 0: its x is 1.2, and a place is a share"),
        ({"tumor": [{"x": "0.1", "y": 0.5}]}, r"tumor 0: its x is 0.1"),
        ({"tumor": [3]}, r"tumor 0: its x is None"),
        ({"mitosis": {"x": 1}}, r"its 'mitosis' is no list of places"),
        ({"nuclei": []}, r"does not list cells by mitosis, apoptosis"),
    ],
)
def test_a_broken_release_of_brecahad_is_refused(tmp_path, changed, why):
    release_brecahad(tmp_path, **changed)
    with pytest.raises(DataError, match=why):
        read_cells(SPECS["brecahad"], tmp_path)


def test_a_folder_that_is_neither_layout_of_brecahad_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"holds neither cells.csv nor groundTruth/\*.json"):
        read_cells(SPECS["brecahad"], tmp_path)
    release_brecahad(tmp_path, "1.json")
    with pytest.raises(DataError, match=r"its name does not tell its case"):
        read_cells(SPECS["brecahad"], tmp_path)
    (tmp_path / "groundTruth" / "1.json").rename(tmp_path / "groundTruth" / "Case_1-01.json")
    (tmp_path / "groundTruth" / "Case_1-01.json").write_text("{")
    with pytest.raises(DataError, match=r"Case_1-01.json cannot be read as JSON"):
        read_cells(SPECS["brecahad"], tmp_path)


def test_what_is_never_evaluated_can_be_audited(tmp_path):
    from PIL import Image

    from mitozoo.engine.audit import audit_dataset
    from mitozoo.engine.dataset_audit import AuditRequest
    from mitozoo.engine.progress import Progress

    make_database(tmp_path, SPECS["ccmct-mel"], ["a.svs"], {1: "granulocyte", 2: "mitotic figure", 3: "tumor cell"})
    audit = audit_dataset(AuditRequest(dataset="ccmct-mel", data=tmp_path), Progress())
    found = {one.kind: one for one in audit.findings}
    assert (audit.facts["cells"], audit.facts["split"]) == (24, "the official split")
    assert (found["group leaks"].count, found["one-class groups"].count) == (0, 12)
    assert found["overlapping crops"].count == 12  # both figures of a slide were put at one height

    (tmp_path / "AtNorM-MD_expert_votes.csv").write_text(
        "Filename,Expert_1,Expert_2,Expert_3,Expert_4,Expert_5,Majority\n"
        + "".join(f"{n}.png,{5 * (label + ',')}{label}\n" for n, label in enumerate(["Normal", "Atypical", "Normal"]))
    )
    for n, label in enumerate(["Normal", "Atypical", "Normal"]):
        (tmp_path / "AtNorM-MD" / label).mkdir(parents=True, exist_ok=True)
        picture = Image.effect_noise((128, 128), 60 + n % 2)
        picture.convert("RGB").save(tmp_path / "AtNorM-MD" / label / f"{n}.png")
    (tmp_path / "AtNorM-MD" / "Normal" / "2.png").write_bytes((tmp_path / "AtNorM-MD/Atypical/1.png").read_bytes())
    audit = audit_dataset(AuditRequest(dataset="atnorm-md", data=tmp_path), Progress())
    found = {one.kind: one for one in audit.findings}
    assert "tell no slide" in found["no split"].meaning
    assert found["group leaks"].severity == found["duplicates across the split"].severity == "not looked at"
    assert found["pixel-identical crops"].count == found["duplicates with conflicting labels"].count == 1
    against = AuditRequest(dataset="ccmct-mel", data=tmp_path, against="atnorm-md", against_data=tmp_path)
    assert {one.kind: one.count for one in audit_dataset(against, Progress()).findings}["shared cases"] == 0


@given(edits=EDITS)
@FUZZED
def test_any_release_of_brecahad_is_valid_or_refused(tmp_path, edits):
    release_brecahad(tmp_path)
    release_brecahad(tmp_path, "Case_2-01.json")
    changed = tmp_path / "groundTruth" / "Case_2-01.json"
    changed.write_bytes(edited(changed.read_bytes(), edits))
    valid_or_refused(SPECS["brecahad"], tmp_path)


#: name -> how many files, how many of them hold labels.
FILES = {
    "ccmct": (33, 1), "ccmct-heael": (33, 1), "ccmct-mel": (33, 1), "cmc": (22, 1), "cmc-odael": (22, 1),
    "cmc-mel": (22, 1), "midog21": (151, 1), "midog22": (355, 1), "midogpp": (505, 2), "tupac16-al": (1, 1),
    "atnorm-br": (1, 1), "atnorm-md": (1, 1), "midog25-atypical": (0, 0), "omg-octo": (0, 0), "brecahad": (0, 0),
    "brecahad-all": (0, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(SPECS))
def test_each_can_be_fetched_or_says_how_to_get_it_by_hand(name):
    spec = SPECS[name]
    files, labels = spec.remote_files(), spec.remote_files(labels_only=True)
    assert (len(files), len(labels)) == FILES[name]
    assert files or "https://" in spec.by_hand
    assert len({file.url for file in files}) == len(files)
    assert all(file.url.startswith("https://") for file in files)
    read = getattr(spec.cells, "path", "") or (*getattr(spec.cells, "tables", {"": ""}).values(),)[0]
    fetched = [file.path for file in labels]
    assert not files or any(read == path or read.startswith(f"{path}/") for path in fetched) or spec.by_hand


def test_labellings_of_the_same_slides_share_a_folder():
    for family, members in (("ccmct", 3), ("cmc", 3), ("brecahad", 2)):
        sharing = [spec for spec in SPECS.values() if spec.folder == family]
        assert len(sharing) == members
        assert len({frozenset(f.path for f in spec.remote_files() if f.holds == "images") for spec in sharing}) == 1


@pytest.mark.parametrize("name", ["ccmct", "cmc"])
def test_every_test_slide_is_fetched(name):
    assert {f"WSI/{slide}" for slide in SPECS[name].test_slides} <= {file.path for file in SPECS[name].remote_files()}


@pytest.mark.shared
def test_the_label_files_at_hand_are_those_that_would_be_fetched(shared_data):
    spec, folder = SPECS["midogpp"], shared_data / "annotations"
    labels = spec.remote_files(labels_only=True)
    assert [storage.content_ids([folder / file.path])[0] for file in labels] == [file.sha256 for file in labels]
    assert [(folder / file.path).stat().st_size for file in labels] == [file.size for file in labels]
    document = json.loads((folder / "MIDOG++.json").read_text())
    labelled = {annotation["image_id"] for annotation in document["annotations"]}
    images = {f"images/{image['file_name']}" for image in document["images"] if image["id"] in labelled}
    assert images == {file.path for file in spec.remote_files() if file.holds == "images"}
    [table] = importlib.import_module("mitozoo_plugin_ami_br").AMI_BR.remote_files(labels_only=True)
    assert storage.content_id(shared_data / "ami-br" / table.path) == table.sha256
