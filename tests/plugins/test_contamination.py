"""Who shares images with whom, and what a model has seen: in both directions, and through all relatives."""

from __future__ import annotations

import dataclasses

import pytest

from mitozoo import CellTable, DatasetSpec, ModelSpec, Preprocessing, TimmHub
from mitozoo.errors import SpecError
from mitozoo.plugins.crosswalk import Crosswalk
from mitozoo.plugins.lineage import Relatives, plain


def dataset(name: str, *parents: str, positive: str = "mitotic figure", **further) -> DatasetSpec:
    return DatasetSpec(
        name=name, labels={"1": "positive", "0": "hard"}, positive_class=positive, negative_class="look-alike",
        cells=CellTable(path="a.csv", cell_id="{i}", slide="{s}", file="{s}", x="x", y="y", label="{l}"), group="slide",
        mpp=0.25, license="MIT", reference="https://example.org", negatives_origin="made up", derived_from=parents,
        **further,
    )  # fmt: skip


def model(pretraining: tuple[str, ...] | None = (), labels: tuple[str, ...] = ()) -> ModelSpec:
    load = TimmHub(architecture="vit", repo="a/b", revision=None, filename="f", sha256=None, kwargs={})
    view = Preprocessing(
        size=8, resize="none", resize_to=8, interpolation="bilinear", antialias=True, mean=(0, 0, 0), std=(1, 1, 1),
        mpp=None, mpp_basis="none",
    )  # fmt: skip
    return ModelSpec(
        name="m", load=load, preprocessing=view, embed_dim=8, pooling="cls", prefix_tokens=1, precision="fp32",
        license="MIT", reference="https://example.org", pretraining=pretraining, trained_on_labels=labels,
    )  # fmt: skip


ZOO = Relatives.among(
    [
        dataset("midog21", aliases=("midog2021",)), dataset("midog22", "midog21"),
        dataset("midogpp", "midog21", "midog22"), dataset("tupac16-al", cohorts=("tupac16",)),
        dataset("ami-br", "midog21", "tupac16-al", positive="atypical mitotic figure"),
        dataset("atnorm-br", positive="atypical mitotic figure", cohorts=("tcga",)), dataset("ccmct"),
    ]
)  # fmt: skip


@pytest.mark.parametrize(
    ("pretraining", "labels", "tested", "state"),
    [
        (("imagenet",), (), "midogpp", "declared none"),
        ((), (), "midogpp", "declared none"),
        (None, (), "midogpp", "unknown"),
        (("imagenet", "others"), (), "midogpp", "unknown"),
        (("midog21", "others"), (), "midogpp", "images or cohort seen"),
        (("midogpp",), (), "midog21", "images or cohort seen"),  # the younger holds the older one's images
        (("midog21",), (), "midogpp", "images or cohort seen"),
        (("MIDOG++",), (), "midog22", "images or cohort seen"),
        (("MIDOG 2021",), (), "midog22", "images or cohort seen"),  # an alias
        (("midog22",), (), "ami-br", "images or cohort seen"),  # both come from midog21
        (("ami-br",), (), "midogpp", "images or cohort seen"),
        (("tupac16-al",), (), "midogpp", "declared none"),  # their common child is no common image
        (("tcga",), (), "atnorm-br", "images or cohort seen"),
        (("TCGA",), (), "ami-br", "declared none"),
        (("tupac16",), (), "ami-br", "images or cohort seen"),
        ((), ("midogpp",), "midogpp", "labels seen"),
        (None, ("midog21",), "midogpp", "labels seen"),
        ((), ("midogpp",), "ami-br", "images or cohort seen"),  # its labels are of another task
        ((), ("ami-br",), "atnorm-br", "declared none"),
        (None, ("ccmct",), "midogpp", "unknown"),
    ],
)
def test_contamination(pretraining, labels, tested, state):
    assert ZOO.contamination(model(pretraining, labels), tested) == state


def test_a_list_that_nobody_confirms_declares_nothing():
    doubtful = dataclasses.replace(model(("imagenet", "tcga")), unverified=("pretraining",))
    assert ZOO.contamination(doubtful, "midogpp") == "unknown"
    assert ZOO.contamination(doubtful, "atnorm-br") == "images or cohort seen"


def test_of_a_table_of_ones_own_nothing_is_known():
    assert ZOO.contamination(model(("imagenet",)), "my-cells") == "unknown"
    assert ZOO.contamination(model(()), "my-cells") == "declared none"  # it saw no image at all


def test_relatives():
    assert ZOO.origins("MIDOG++") == {"midogpp", "midog22", "midog21"}
    assert ZOO.common_origins("ami-br", "midogpp") == {"midog21"}
    assert ZOO.common_origins("ccmct", "midogpp") == frozenset()
    assert ZOO.decisive_origins("ami-br", "tupac16-al") == {"tupac16al"}  # and not its cohort, reached through it alone
    assert ZOO.decisive_origins("midog22", "midogpp") == {"midog21", "midog22"}
    assert plain("MIDOG++") == plain("midog-pp") == "midogpp"


def test_origins_that_go_round_in_a_circle_come_to_an_end():
    circle = Relatives.among([dataset("a", "b"), dataset("b", "a")])
    assert circle.origins("a") == {"a", "b"}


def test_a_crosswalk_renumbers_whole_numbers_alone():
    walk = Crosswalk(dataset="old", ours=r"(?P<key>\w+)\.png", theirs=r"(?P<key>\w+)", renumbered=((151, 346, 201),))
    assert [walk.key_there(f"{n}.png") for n in (200, 201, 396, 397)] == [None, "151", "346", None]
    assert walk.key_there("case.png") is None
    assert walk.key_there("201.tif") is None
    assert walk.knows("9.png")
    assert not walk.knows("9.tif")
    assert walk.their_key("007") == "7"
    assert Crosswalk(dataset="old").key_there("a") == "a"


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("ours", r"(?P<name>.*)", "no group"),
        ("theirs", "(", "no group|regular expression"),
        ("renumbered", ((2, 1, 1),), "first there"),
        ("renumbered", (("1", "2", "3"),), "first there"),
        ("renumbered", ((1, 2),), "first there"),
    ],
)
def test_a_crosswalk_that_cannot_be_right_is_refused(field, value, why):
    with pytest.raises(SpecError, match=why):
        Crosswalk(dataset="old", **{field: value})


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"crosswalks": (Crosswalk(dataset="other"),)}, "not in derived_from"),
        ({"crosswalks": ("other",)}, "list of Crosswalk"),
        ({"cohorts": "tcga"}, "list of texts"),
        ({"independent_votes": True}, "at least 2 voters"),
        ({"independent_votes": True, "voters": 1}, "at least 2 voters"),
    ],
)
def test_a_lineage_that_cannot_be_right_is_refused(changes, why):
    with pytest.raises(SpecError, match=why):
        dataset("d", **changes)
