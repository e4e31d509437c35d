"""Published values: the records that ship, and repetitions of tiny ones that are within, outside, or not judged."""

from __future__ import annotations

import json

import click.testing
import numpy as np
import pytest
from sklearn.metrics import f1_score

import mitozoo
from mitozoo.cli import main
from mitozoo.engine.at_hand import AtHand
from mitozoo.engine.published import find_rows, published_rows
from mitozoo.engine.reproduce import reproduce
from mitozoo.errors import DataError, UnknownNameError
from mitozoo.results.tested import read_tested

TABLE = """
[[table]]
name = "us"
source = "a table of ours"
reference = "https://example.org/table"
basis = "own"
dataset = "tiny"
protocol = "linear-probe"
tolerance_basis = "made up"
"""


def row(name: str, **fields) -> str:
    """Return one row as TOML; JSON's texts, numbers and lists are TOML's too."""
    values = ", ".join(
        "{ " + ", ".join(f"{key} = {json.dumps(part)}" for key, part in value.items()) + " }"
        for value in fields.pop("values")
    )
    lines = [f"{key} = {json.dumps(value)}" for key, value in fields.items()]
    return "\n".join(["[[table.row]]", f'name = "{name}"', *lines, f"values = [{values}]", ""])


def records(tmp_path, *rows: str, table: str = TABLE):
    path = tmp_path / "published.toml"
    path.write_text(table + "\n".join(rows))
    return path


@pytest.fixture(scope="module")
def run(zoo, tmp_path_factory):
    """Return a run of the tiny zoo, whose numbers are what the records below publish."""
    return mitozoo.evaluate("steady", "tiny", out=tmp_path_factory.mktemp("runs"), fractions=(0.5, 1.0))


def test_within_and_outside(run, tmp_path):
    auroc = run.mean("auroc")
    path = records(
        tmp_path,
        row("near", model="steady", values=[{"metric": "auroc", "value": auroc + 0.009, "tolerance": 0.01}]),
        row("far", model="steady", values=[{"metric": "auroc", "value": auroc - 0.011, "tolerance": 0.01}]),
    )
    near, far = (reproduce(one, {}, out=run.folder.parent)[0] for one in published_rows(path))
    assert (near.verdict, far.verdict) == ("within", "outside")
    assert near.difference == pytest.approx(-0.009)
    assert far.difference == pytest.approx(0.011)
    assert near.here == auroc


def test_what_is_inferred_is_never_judged(run, tmp_path):
    far = [{"metric": "auroc", "value": 0.01}]
    path = records(
        tmp_path,
        row("by-row", model="steady", inferred=["the model"], values=far),
        row("by-protocol", model="steady", protocol="ganz2025-inferred", values=far),
    )
    by_row, by_protocol = published_rows(path)
    assert not by_row.is_judged
    assert not by_protocol.is_judged
    [done] = reproduce(by_row, {}, out=run.folder.parent)
    assert done.verdict == "difference only"


def test_each_kind_of_value(run, tmp_path):
    path = records(
        tmp_path,
        row("half", model="steady", fraction=0.5, values=[
            {"metric": "auroc", "value": run.mean("auroc", 0.5), "tolerance": 1e-9},
            {"metric": "balanced_accuracy_at_half", "value": run.mean("balanced_accuracy_at_half", 0.5),
             "tolerance": 1e-9},
            {"metric": "weighted_f1", "value": 0.5, "tolerance": 1},
        ]),
    )  # fmt: skip
    [one] = published_rows(path)
    auroc, accuracy, f1 = reproduce(one, {}, out=run.folder.parent)
    assert (auroc.verdict, accuracy.verdict, f1.verdict) == ("within",) * 3
    tested = read_tested(run.folder, fraction=0.5)
    labels = tested.cells["label"].to_numpy()
    by_hand = []
    for fit in tested.fits:
        positive, truth = fit.scores >= 0.5, labels[fit.cell]
        of_each = [f1_score(truth == side, positive == side) for side in (0, 1)]
        by_hand.append(np.average(of_each, weights=np.bincount(truth)))
    assert f1.here == pytest.approx(np.mean(by_hand))


def test_in_and_out_of_domain(zoo, tmp_path):
    shared = {"model": "steady", "split": "single-domain", "domain": "scanner"}
    published = [{"metric": "auroc", "value": 0.5, "tolerance": 1}]
    path = records(
        tmp_path,
        row("in", **shared, part="in-domain", values=published),
        row("out", **shared, part="out-of-domain", values=published),
    )
    inside, outside = (reproduce(one, {}, out=tmp_path / "runs")[0].here for one in published_rows(path))
    run = mitozoo.evaluate("steady", "tiny", split="single-domain", domain="scanner", out=tmp_path / "runs")
    table = {
        (entry["trained_on"], entry["value"]): entry["metrics"]["auroc"]["mean"]
        for entry in run.document["by_domain"]
        if entry["domain"] == "scanner"
    }
    assert inside == pytest.approx((table["scanner=A", "A"] + table["scanner=B", "B"]) / 2)
    assert outside == pytest.approx((table["scanner=A", "B"] + table["scanner=B", "A"]) / 2)


def test_the_slide_prior_needs_no_image(zoo, tmp_path):
    """In each tiny slide 4 of 12 cells are positive, so that knowing the slide is worth less than nothing."""
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "cells.csv").write_bytes((zoo / "cells.csv").read_bytes())
    path = records(
        tmp_path,
        row("prior", control="slide_prior", protocol="ammeling2026",
            values=[{"metric": "auroc", "value": 0.5, "tolerance": 0.5}]),
    )  # fmt: skip
    [one] = published_rows(path)
    folders = {"tiny": tmp_path / "labels"}
    assert AtHand(folders).lacks(one) == []
    [done] = reproduce(one, folders)
    run = mitozoo.evaluate("steady", "tiny", protocol="ammeling2026", out=tmp_path / "runs")
    assert done.here == pytest.approx(run.document["controls"]["slide_prior"]["auroc"]["mean"])
    assert done.here < 0.5


def test_what_is_missing_is_told(zoo, tmp_path):
    path = records(
        tmp_path,
        row("model", model="uni", inferred=["x"], values=[{"metric": "auroc", "value": 0.5}]),
        row("dataset", model="steady", dataset="nowhere", inferred=["x"], values=[{"metric": "auroc", "value": 0.5}]),
        row("folder", model="steady", inferred=["x"], values=[{"metric": "auroc", "value": 0.5}]),
    )
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "cells.csv").write_bytes((zoo / "cells.csv").read_bytes())
    model, dataset, folder = published_rows(path)
    assert "'uni'" in AtHand({}).lacks(model)[0]
    assert "'nowhere'" in AtHand({}).lacks(dataset)[0]
    assert AtHand({}).lacks(folder) == []
    [lack] = AtHand({"tiny": tmp_path / "labels"}).lacks(folder)
    assert lack == f"dataset 'tiny': 14 of 14 images are not in {tmp_path / 'labels'}"


GOOD = {"model": "steady", "values": [{"metric": "auroc", "value": 0.5, "tolerance": 0.1}]}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"modle": "x"}, "row us/x has no field 'modle'"),
        ({"fraction": 0}, "its fraction must be above 0"),
        ({"fraction": True}, "fraction is True, which cannot be meant"),
        ({"model": ""}, "it needs a model, or the control 'slide_prior'"),
        ({"control": "slide_prior"}, "it needs a model, or the control 'slide_prior'"),
        ({"basis": "hearsay"}, "its basis is 'hearsay'"),
        ({"part": "in-domain"}, "a part goes by a single-domain split"),
        ({"part": "in", "split": "single-domain"}, "its part is 'in'"),
        ({"test_on": "midogpp"}, "test_on is 'midogpp', which cannot be meant"),
        ({"inferred": ["x"]}, "auroc has a tolerance, and what is inferred is never judged"),
        ({"values": [{"metric": "auroc", "value": 0.5}]}, "the tolerance of auroc must be given"),
        ({"values": [{"metric": "auroc", "value": "0.5"}]}, "value is '0.5', which cannot be meant"),
        ({"values": [{"value": 0.5}]}, "lacks 'metric'"),
        ({"values": []}, "holds no published values"),
    ],
)
def test_records_that_cannot_be_meant(changed, said, tmp_path):
    with pytest.raises(DataError) as caught:
        published_rows(records(tmp_path, row("x", **(GOOD | changed))))
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no published values"), ("[[table]]\nname = 'x'\n", "table x holds no published values"),
        ("[table", "cannot be read as TOML"), ("table = 3", "holds no published values"),
    ],
)  # fmt: skip
def test_files_that_are_no_records(text, said, tmp_path):
    with pytest.raises(DataError, match=said):
        published_rows(records(tmp_path, table=text))
    with pytest.raises(DataError, match=r"cannot be read as TOML"):
        published_rows(tmp_path / "nowhere.toml")


def test_names(tmp_path):
    rows = published_rows()
    assert [one.name for one in find_rows(rows, "slide-prior/midogpp")] == ["slide-prior/midogpp"]
    assert len(find_rows(rows, "slide-prior")) == 3
    with pytest.raises(UnknownNameError, match=r"'slide-prior/midog'; did you mean 'slide-prior/midog"):
        find_rows(rows, "slide-prior/midog")
    twice = records(tmp_path, row("x", **GOOD), row("x", **GOOD))
    with pytest.raises(DataError, match=r"two rows 'us/x'"):
        published_rows(twice)


def command(*arguments) -> click.testing.Result:
    return click.testing.CliRunner().invoke(main, ["reproduce", *map(str, arguments)], prog_name="mitozoo")


def test_the_command(run, tmp_path):
    path = records(
        tmp_path,
        row("near", model="steady", values=[{"metric": "auroc", "value": run.mean(), "tolerance": 0.01}]),
        row("far", model="steady", values=[{"metric": "auroc", "value": 0.01, "tolerance": 0.01}]),
        row("unknown", model="uni", inferred=["it"], values=[{"metric": "auroc", "value": 0.5}]),
    )
    asked = ("--records", path, "--out", run.folder.parent)
    listed = command("--list", *asked)
    assert [line.split()[0] for line in listed.stdout.splitlines()[1:]] == ["us/near", "us/far", "us/unknown"]
    assert listed.stdout.count("can run") == 2
    assert listed.stderr == "2 of 3 can run here\n"
    assert [len(one["missing"]) for one in json.loads(command("--list", "--json", *asked).stdout)] == [0, 0, 1]
    near = command("us/near", *asked)
    assert near.exit_code == 0, near.output
    assert near.stdout.splitlines()[1].split()[-1] == "within"
    assert "tolerance: made up" in near.stderr
    far = command("us", *asked, "--json")
    assert far.exit_code == 1
    assert [one["verdict"] for one in json.loads(far.stdout)] == ["within", "outside"]
    assert "us/unknown cannot run here: " in far.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "which published value is to be repeated?"),
        (("nothing",), "there is no published value 'nothing'"),
        (("slide-prior/midogpp",), "nothing of it can be repeated here"),
        (("slide-prior/midogpp", "--data", "midogpp"), "--data is 'midogpp'; it must be NAME=DIR"),
        (("--list", "--records", "nowhere.toml"), "cannot be read as TOML"),
    ],
)
def test_commands_that_cannot_be_meant(arguments, said, zoo):
    done = command(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
