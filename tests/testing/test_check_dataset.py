"""A sound dataset passes every check; each fault is found by the check that is for it, with what to do about it."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import faulty_datasets
import pytest
from faulty_datasets import rows, spec, write_rows, write_sound
from PIL import Image

from mitozoo.errors import DataError, UnknownNameError
from mitozoo.plugins.crosswalk import Crosswalk
from mitozoo.plugins.formats import CellTable, SlideRunnerDatabase
from mitozoo.testing import Report, check_dataset
from mitozoo.testing.label_files import label_file_findings
from mitozoo.testing.records import dataset_record_findings, record_findings

EVERYTHING = {
    "record", "license", "reference", "task", "negatives", "labelled by", "derived from", "files", "fingerprint",
    "label files", "read twice", "classes", "groups", "official split", "domain scanner", "votes", "crosswalks",
    "positions", "table_sha256", "images", "mpp", "cells inside",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    return write_sound(tmp_path)


def found(report) -> dict[str, str]:
    return {finding.what: finding.status for finding in report.findings}


def quick_report(dataset, folder) -> Report:
    """Return what `check_dataset` says but for the process of its own that imports the plugin."""
    findings = (*record_findings(dataset), *dataset_record_findings(dataset), *label_file_findings(dataset, folder))
    return Report(dataset.name, findings, 0.0)


@pytest.mark.parametrize("cells", [faulty_datasets.LAYOUT, faulty_datasets.sound_reader], ids=["record", "function"])
def test_a_sound_dataset_passes_everything_in_seconds(folder, cells):
    report = check_dataset(spec(cells=cells), folder)
    assert set(found(report).values()) == {"PASS"}, str(report)
    assert set(found(report)) == EVERYTHING
    assert report.seconds < 30
    json.dumps(report.to_json())
    assert str(report).splitlines()[-1].startswith("toy: 22 PASS, 0 WARN, 0 FAIL, in ")


def edited(folder, **columns):
    """Change columns of the first cell."""
    names, lines = faulty_datasets.HEADER.split(","), rows()
    for name, value in columns.items():
        lines[0][names.index(name)] = value
    write_rows(folder, lines)


def in_all(folder, column, change):
    names, lines = faulty_datasets.HEADER.split(","), rows()
    for line in lines:
        line[names.index(column)] = change(dict(zip(names, line, strict=True)))
    write_rows(folder, lines)


def other_patch_size(folder):
    Image.new("RGB", (50, 60)).save(folder / "s3.png")


def cut_off(folder):
    path = folder / "s3.png"
    path.write_bytes(path.read_bytes()[:-30])


def says_the_opposite(folder):
    """Let both persons vote against each label."""
    lines = rows()
    for line in lines:
        line[-2] = line[-1] = "HN" if line[7] == "MF" else "MF"
    write_rows(folder, lines)


def nothing(folder):
    pass


#: What is wrong with the record; what is wrong with the files; which check finds it, and what it says.
FAULTS = [
    ({"negative_class": "mitotic figure"}, nothing, "task", "both classes are called 'mitotic figure'"),
    ({}, lambda folder: edited(folder, id="c01"), "label files", "line 3: the cell_id 'c01' was there before"),
    ({}, lambda folder: edited(folder, label="mf"), "label files", "line 2: unknown label 'mf'"),
    ({}, lambda folder: edited(folder, x="12.5.5"), "label files", "line 2: x is '12.5.5'"),
    ({}, lambda folder: edited(folder, case=""), "label files", "line 2: its case is empty"),
    ({}, lambda folder: edited(folder, scanner=" "), "label files", "line 2: domain 'scanner' is empty"),
    ({}, lambda folder: edited(folder, side="val"), "label files", "line 2: its side of the official split is 'val'"),
    ({"table_sha256": {"hard": "0" * 64}}, nothing, "table_sha256", "hard: declared is another than "),
    ({}, lambda folder: (folder / "cells.csv").write_text(""), "label files", "has no column 'id'; it has none"),
    (
        {"split": "", "test_slides": ("s4", "s5", "s9")}, nothing, "label files",
        "holds no cell on 1 of 3 official test slides of dataset 'toy', such as s9",
    ),
    ({"cells": faulty_datasets.raises}, nothing, "label files", "faulty_datasets:raises failed: KeyError: 'Slides'"),
    ({"cells": faulty_datasets.counts_on}, nothing, "read twice", "24 of 24 cell ids are others at the second reading"),
    ({"cells": faulty_datasets.by_set_order}, nothing, "read twice", "two readings give different cells"),
    ({"cells": faulty_datasets.needs_the_first_time}, nothing, "read twice", "the second reading fails"),
    ({}, lambda folder: in_all(folder, "label", lambda _: "MF"), "classes", "one class only: 24 positive"),
    ({}, lambda folder: edited(folder, case="p2"), "groups", "1 images are of several cases, such as s0.png: toy/p0"),
    (
        {}, lambda folder: in_all(folder, "side", lambda cell: "test" if cell["slide"] == "s1" else "train"),
        "official split", "1 cases lie on both sides, such as p0",
    ),
    (
        {}, lambda folder: in_all(folder, "label", lambda cell: "MF" if cell["side"] == "test" else cell["label"]),
        "official split", "a side has one class only",
    ),
    (
        {"group": "slide", "crosswalks": (), "derived_from": ()},
        lambda folder: in_all(folder, "side", lambda cell: "test" if cell["slide"] == "s1" else "train"),
        "official split", "1 cases lie on both sides, such as p0",
    ),
    ({"voters": 1}, nothing, "votes", "1 a cell are declared, and the files hold up to 2"),
    ({"voters": 0}, nothing, "votes", "0 a cell are declared, and the files hold up to 2"),
    (
        {"labels": {"MF": "hard", "HN": "positive"}, "cells": faulty_datasets.LAYOUT},
        says_the_opposite, "votes", "24 labels go against their majority",
    ),
    (
        {"crosswalks": (Crosswalk(dataset="midog21", ours=r"p(?P<key>[01])", theirs=r"(?P<key>\d+)"),)}, nothing,
        "crosswalks", "no crosswalk knows 1 of 3 cases, such as 'p2'",
    ),
    ({}, cut_off, "images", "those of 4 cells cannot be read, such as that of c30: slide "),
    ({}, lambda folder: edited(folder, x="4000"), "images", "cell c00 of dataset 'toy' lies at (4000, 40), outside"),
    ({"patch_px": 400}, other_patch_size, "images", "patch s3.png has 50 x 60 px, and the patches of"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "spoil", "what", "told"), FAULTS, ids=[f"{f[2]}: {f[3][:24]}" for f in FAULTS])
def test_each_fault_is_found_by_its_check(folder, changes, spoil, what, told):
    spoil(folder)
    report = quick_report(spec(**changes), folder)
    assert not report.passed
    [finding] = [finding for finding in report.having("FAIL") if finding.what == what]
    assert told in finding.detail
    assert "\n" not in finding.detail
    assert finding.mend


DOUBTS = [
    ({"license": "not stated"}, nothing, "license", "it says 'not stated'"),
    ({"reference": "https://example.org/toy"}, nothing, "reference", "still to come"),
    ({"labelled_by": ""}, nothing, "labelled by", "who labelled is not stated"),
    ({"negatives_origin": "not told"}, nothing, "negatives", "how the negatives came to be labelled is not stated"),
    ({"derived_from": ("midgo21",), "crosswalks": ()}, nothing, "derived from", "no installed plugin offers midgo21"),
    ({"by_hand": ""}, nothing, "files", "nothing says where they come from"),
    ({"voters": None}, nothing, "votes", "up to 2 a cell, and voters is not stated"),
    ({"voters": 3}, nothing, "votes", "3 a cell are declared, and the files hold up to 2"),
    (
        {"labels": {"MF": "positive", "HN": "other"}, "split": ""}, nothing, "classes",
        "12 positive, 12 other: eval refuses it without --negatives other",
    ),
    (
        {"split": ""}, lambda folder: in_all(folder, "case", lambda _: "p1"), "groups",
        "1 case, 1 with positives: no split by case can be made",
    ),
    (
        {"group": "slide", "crosswalks": (), "derived_from": ()}, nothing, "groups",
        "3 cases have several slides, and cells are grouped by slide",
    ),
    ({}, lambda folder: edited(folder, scanner="xr "), "domain scanner", "spelt in several ways: 'XR' and 'xr '"),
    (
        {"domains": {"lab": "{scanner}"}},
        lambda folder: in_all(folder, "scanner", lambda cell: "Hamammatsu" if cell["slide"] == "s1" else "Hamamatsu"),
        "domain lab", "'Hamamatsu' and 'Hamammatsu'",
    ),
    ({}, lambda folder: edited(folder, x="140", y="70"), "positions", "1 places hold several cells, 1 of them"),
    ({}, lambda folder: edited(folder, x="-3"), "cells inside", "1 cells are centred outside their image, such as c00"),
    ({}, lambda folder: (folder / "s3.png").unlink(), "images", "1 of 6 are not in "),
    ({"mpp": None}, nothing, "mpp", "no microns per pixel are known for 6 slides of dataset 'toy', such as s0"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "spoil", "what", "told"), DOUBTS, ids=[f"{d[2]}: {d[3][:24]}" for d in DOUBTS])
def test_doubts_are_warnings(folder, changes, spoil, what, told):
    spoil(folder)
    report = quick_report(spec(**changes), folder)
    assert report.passed, str(report)
    [finding] = report.having("WARN")
    assert (finding.what, told in finding.detail) == (what, True), str(report)
    assert finding.mend


def test_files_that_state_another_resolution_are_named(folder):
    import numpy as np
    import tifffile

    for slide in range(6):
        tifffile.imwrite(
            folder / f"s{slide}.tif", np.full((400, 400, 3), 255, np.uint8), tile=(64, 64), photometric="rgb",
            resolution=(2e4, 2e4), resolutionunit="CENTIMETER",
        )  # fmt: skip
    layout = CellTable(
        path="cells.csv", cell_id="{id}", slide="{slide}", file="{slide}.tif", x="x", y="y", label="{label}",
        case="{case}", votes=("a", "b"),
    )  # fmt: skip
    report = check_dataset(spec(cells=layout), folder)
    [finding] = report.having("WARN")
    assert "6 files state others, such as s0: 0.5, not 0.25" in finding.detail


def test_without_files_the_rest_is_left_out_aloud(folder):
    [finding] = check_dataset(spec()).having("WARN")
    assert finding.what == "label files"
    assert "NOT CHECKED: classes, groups" in finding.detail
    assert "They lie in the drawer." in finding.mend
    for slide in range(6):
        (folder / f"s{slide}.png").unlink()
    [finding] = check_dataset(spec(), folder).having("WARN")  # the label files are there, and no image is
    assert (finding.what, "none of 6 images is in" in finding.detail) == ("images", True)
    report = check_dataset(spec(), folder / "none")
    assert found(report)["label files"] == "FAIL"  # a folder was given, and is wrong


def test_a_dataset_that_is_only_described_passes_without_cases_and_negatives(folder):
    in_all(folder, "label", lambda _: "MF")
    report = check_dataset(spec(not_for_eval="it has no look-alikes", split=""), folder)
    assert report.passed, str(report)
    assert [one.detail for one in report.findings if one.what == "classes"] == [
        "24 positive; not evaluated: it has no look-alikes"
    ]


def test_images_that_nobody_can_read_or_place_cells_in_are_told(folder):
    layout = CellTable(
        path="cells.csv", cell_id="{id}", slide="{slide}", file="{slide}.png", x="", y="", label="{label}"
    )
    whole = spec(cells=layout, group="slide", not_for_eval="sizes differ", voters=0, crosswalks=(), derived_from=())
    told = {finding.what: finding for finding in quick_report(whole, folder).findings}
    assert "NOT CHECKED: 6 images, since nothing tells where in them the cells lie" in told["images"].detail
    assert told["positions"].detail == "not told: released patches"
    for slide in range(6):
        (folder / f"s{slide}.png").write_bytes(b"no image")
    [finding] = quick_report(spec(), folder).having("FAIL")
    assert (finding.what, "6 of 6 slides cannot be read" in finding.detail) == ("images", True)


def test_a_corrupt_database_fails_in_one_sentence(tmp_path):
    with closing(sqlite3.connect(tmp_path / "cells.sqlite")) as database:
        database.execute("CREATE TABLE Slides (uid INTEGER, filename TEXT)")
        database.commit()
    content = (tmp_path / "cells.sqlite").read_bytes()
    layout = SlideRunnerDatabase(path="cells.sqlite", images=".")
    for spoilt in (content, content[:-100], b"SQLite format 3\x00" + bytes(4000)):
        (tmp_path / "cells.sqlite").write_bytes(spoilt)
        report = quick_report(spec(cells=layout, labels={"2": "positive", "1": "hard"}), tmp_path)
        [finding] = report.having("FAIL")
        assert finding.what == "label files"
        assert "SlideRunner database" in finding.detail


def test_ones_own_table_is_checked_by_its_path(folder):
    lines = [[*line[:3], *line[5:7], "1" if line[7] == "MF" else "0"] for line in rows()]
    text = "cell_id,file,case,x,y,label\n" + "\n".join(",".join([a, f"{s}.png", *rest]) for a, s, *rest in lines)
    (folder / "mine.csv").write_text(text)
    report = check_dataset(str(folder / "mine.csv"))
    assert report.passed, str(report)
    assert {one.what for one in report.having("WARN")} == {"license", "reference", "negatives", "labelled by", "mpp"}
    with pytest.raises(DataError, match="there is no table of cells"):
        check_dataset(str(folder / "none.csv"))


def test_a_registered_dataset_is_checked_with_its_plugin():
    report = check_dataset("midog21")
    assert report.passed, str(report)
    assert report.findings[0].what == "light import"
    with pytest.raises(UnknownNameError, match="no dataset 'midog2'"):
        check_dataset("midog2")


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "part", "warned"),
    [("ami-br", "ami-br", []), ("midogpp", "annotations", ["images"])],
)
def test_real_datasets_pass(shared_data, name, part, warned):
    report = check_dataset(name, shared_data / part)
    assert report.passed, str(report)
    assert [finding.what for finding in report.having("WARN")] == warned


def test_the_tutorial_names_every_check():
    page = (Path(__file__).parents[2] / "docs" / "write-a-dataset.md").read_text()
    [table] = re.findall(r"\| check \|.*?(?=\n\n)", page, re.DOTALL)
    named = {word.strip() for row in table.splitlines()[2:] for word in row.split("|")[1].split(",")}
    of_plugins = {"light import", "entry point", "offers"}
    assert {what.removesuffix(" scanner") for what in EVERYTHING} == named - of_plugins
