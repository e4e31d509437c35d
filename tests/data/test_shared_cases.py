"""Cases that two datasets share are found by their names, taken out, and never guessed."""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mitozoo.data.cells import Cells, read_cells
from mitozoo.data.lineage import remove_shared_cases, shared_cases
from mitozoo.errors import SplitError

SPECS = {
    spec.name: spec
    for plugin in ("midog", "ami_br", "tupac16_al", "ccmct", "atnorm")
    for spec in importlib.import_module(f"mitozoo_plugin_{plugin}").mitozoo_datasets()
}
RELATIONS = list(SPECS.values())


def cells_of(name: str, names: list[str]) -> Cells:
    """Return two cells of each case, or slide where the dataset goes by slides."""
    spec = SPECS[name]
    twice = [one for one in names for _ in range(2)]
    table = pd.DataFrame({"cell_id": [f"{one}-{n}" for n, one in enumerate(twice)], "case": twice, "slide": twice})
    table["label"] = np.array([0, 1] * len(names), dtype=np.int8)
    return Cells(spec, Path(), table, spec.group)


def test_images_of_midog22_are_found_in_midogpp():
    old = cells_of("midog22", [f"{number:03}" for number in range(1, 355)])
    new = cells_of("midogpp", [f"{number:03}" for number in range(1, 554)])
    pairs = dict(shared_cases(old, new, RELATIONS))
    assert len(pairs) == len(set(pairs.values())) == 354
    moved = {int(new) - int(old) for old, new in pairs.items() if 151 <= int(old) <= 346}
    assert moved == {50}
    assert [pairs[n] for n in ("001", "150", "347", "353", "354")] == ["001", "150", "398", "404", "397"]
    assert dict(shared_cases(new, old, RELATIONS)) == {new: old for old, new in pairs.items()}
    train, removed = remove_shared_cases(new, old, RELATIONS)
    assert removed == 2 * 354
    assert sorted(train.table["case"].unique()) == [f"{n:03}" for n in [*range(151, 201), *range(405, 554)]]


def test_without_a_crosswalk_relatives_are_refused():
    silent = dataclasses.replace(SPECS["midogpp"], crosswalks=())
    old, new = cells_of("midog22", ["001"]), cells_of("midogpp", ["553"])
    new = Cells(silent, new.root, new.table, new.group_level)
    relations = [spec for spec in RELATIONS if spec.name != "midogpp"]
    for train, test in ((old, new), (new, old)):
        with pytest.raises(SplitError, match=r"share images of 'midog21', and no crosswalk tells") as refusal:
            remove_shared_cases(train, test, relations)
        assert refusal.value.exit_code == 2


def test_sources_of_ami_br_are_told_apart():
    cells = cells_of("ami-br", ["MIDOG21/002.tiff", "TUPAC16/02_stitched1.tif", "TUPAC16/35.tif"])
    assert shared_cases(cells, cells_of("tupac16-al", ["02", "36"]), RELATIONS) == [("TUPAC16/02_stitched1.tif", "02")]
    assert shared_cases(cells, cells_of("midog21", ["002", "035"]), RELATIONS) == [("MIDOG21/002.tiff", "002")]
    assert shared_cases(cells, cells_of("midogpp", ["002", "235"]), RELATIONS) == [("MIDOG21/002.tiff", "002")]


def test_variants_of_one_dataset_share_every_slide():
    train, test = cells_of("ccmct-heael", ["a", "b", "c"]), cells_of("ccmct-mel", ["b"])
    kept, removed = remove_shared_cases(train, test, RELATIONS)
    assert (sorted(kept.table["case"].unique()), removed) == (["a", "c"], 2)
    with pytest.raises(SplitError, match=r"every case of dataset 'ccmct-heael' is one of dataset 'ccmct'"):
        remove_shared_cases(train, cells_of("ccmct", ["a", "b", "c", "d"]), RELATIONS)


def test_strangers_share_nothing():
    train = cells_of("ccmct", ["1", "2"])
    kept, removed = remove_shared_cases(train, cells_of("midogpp", ["001"]), RELATIONS)
    assert kept is train
    assert removed == 0


def test_a_renamed_file_is_never_taken_for_another_case():
    with pytest.raises(SplitError, match=r"1 slides of dataset 'ami-br' have names that no crosswalk of it knows"):
        shared_cases(cells_of("ami-br", ["002.tiff"]), cells_of("midog21", ["002"]), RELATIONS)
    with pytest.raises(SplitError, match=r"names that the crosswalk of dataset 'ami-br' does not know, such as 'a'"):
        shared_cases(cells_of("ami-br", ["MIDOG21/002.tiff"]), cells_of("midog21", ["a"]), RELATIONS)


def test_patches_without_slides_are_refused():
    with pytest.raises(SplitError, match=r"no crosswalk tells which cases of 'atnorm-md' those are"):
        shared_cases(cells_of("midogpp", ["001"]), cells_of("atnorm-md", [""]), RELATIONS)


@pytest.mark.shared
def test_every_real_cell_of_ami_br_lies_on_its_own_figure_in_midogpp(shared_data):
    from mitozoo.data.audit.relatives import lineage_findings

    new = read_cells(SPECS["midogpp"], shared_data / "annotations")
    atypical = read_cells(SPECS["ami-br"], shared_data / "ami-br")
    found = {one.kind: one for one in lineage_findings(new, atypical, RELATIONS)}
    assert (found["shared cases"].count, found["shared cases"].severity) == (135, "leak")
    assert found["cells at one place in shared cases"].count == 1721  # all mitotic figures of MIDOG 2021
