"""`DatasetSpec`: the record of a dataset that a plugin hands to mitozoo."""

from __future__ import annotations

import re
from dataclasses import field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from mitozoo.errors import SpecError
from mitozoo.plugins.crosswalk import Crosswalk
from mitozoo.plugins.fields import require_lists, require_names, require_word
from mitozoo.plugins.formats import Format, MppByDomain, SlideNames, SlideTable
from mitozoo.plugins.record import Record, record
from mitozoo.plugins.remote_files import RemoteFile, RemoteFolder, every_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

LabelRole = Literal["positive", "hard", "other", "ignored"]
GroupLevel = Literal["case", "slide"]

NEGATIVES = ("hard", "other", "all")  # what the positive class is told from


@record
class DatasetSpec(Record):
    """A dataset, as data: its label files and how to read them, its classes, groups, domains, split and lineage.

    Attributes:
        name: lower-case short name; variants with other labels are other datasets.
        cells: a format record, or a function from the dataset's folder to rows (see `mitozoo.data.cells`), or to the
            format record of what lies there.
        labels: raw label -> 'positive', 'hard' (a look-alike), 'other' (another cell) or 'ignored'.
        positive_class: name of the class that scores stand for.
        negative_class: name of the class it is told from.
        group: the column never divided between train and test; 'slide' only where no case is known.
        mpp: microns per pixel where a slide's file states none, a table over a domain, or None.
        license: SPDX identifier where one exists, else the owner's words.
        reference: where the dataset is described: a URL or DOI.
        negatives_origin: how the negatives came to be labelled.
        title: one line for lists.
        aliases: other short names.
        domains: domain -> column template or `SlideNames`.
        patch_px: side of the released patches, px, where only patches are released; None: whole slides.
        test_slides: the official split's test slides; empty: 5 grouped folds, unless `split` says otherwise.
        derived_from: older datasets that share images with this one.
        crosswalks: which cases are those of which case there; without one, nobody trains on one and tests on the other.
        cohorts: what the images come from beside datasets, as models name it in `pretraining`: 'tcga'.
        prepare: a function that makes the dataset's files in a folder, where they are generated.
        prepare_version: raised whenever `prepare` makes other bytes.
        synthetic: not made from tissue; shown in every table.
        labelled_by: who labelled, how many, blinded or model-assisted.
        voters: how many persons' votes a cell has in the label files; 0: none are released; None: not told.
        region_mm2: area that was annotated of each slide, where it is the same for all; None: not known.
        independent_votes: whether each person voted without knowing the others' votes, and no vote is an adjudication.
        slides: a table with one row a slide, whose columns domains and `split` may use.
        split: template of the official split, 'train', 'test' or '' for a cell that is on neither side.
        not_for_eval: why `mitozoo eval` refuses the dataset, which can still be described; empty: it does not.
        files: what `mitozoo fetch` fetches. Not part of the fingerprint: an address changes no number, and whatever the
            files hold is part of each run's id, cell by cell and window by window.
        download_gb: size of all files together as published, GB; None: not published, or each file's own is known.
        by_hand: what must be fetched by hand, where from, and where in the folder it belongs; empty: nothing.
        folder: name of the folder that the files are fetched into, where several datasets share theirs; empty: `name`.
        table_sha256: 'hard', 'other' or 'all', as `--negatives` says, -> what `mitozoo check NAME` measures of cells'
            names, slides, groups, labels, sides, votes and domains: by it a submission's labels are checked where no
            label file may be shown. Not part of the fingerprint: it tells what the files hold and changes nothing.
    """

    fingerprinted: ClassVar = (
        "name", "cells", "labels", "positive_class", "group", "mpp", "domains", "patch_px", "test_slides",
        "prepare_version", "slides", "split",
    )  # fmt: skip

    name: str
    cells: Format | Callable[[Path], Any]
    labels: Mapping[str, LabelRole]
    positive_class: str
    negative_class: str
    group: GroupLevel
    mpp: float | MppByDomain | None
    license: str
    reference: str
    negatives_origin: str
    title: str = ""
    aliases: tuple[str, ...] = ()
    domains: Mapping[str, str | SlideNames] = field(default_factory=dict)
    patch_px: int | None = None
    test_slides: tuple[str, ...] = ()
    derived_from: tuple[str, ...] = ()
    prepare: Callable[[Path], None] | None = None
    prepare_version: int = 0
    synthetic: bool = False
    labelled_by: str = ""
    slides: SlideTable | None = None
    split: str = ""
    not_for_eval: str = ""
    crosswalks: tuple[Crosswalk, ...] = ()
    cohorts: tuple[str, ...] = ()
    voters: int | None = None
    independent_votes: bool = False
    region_mm2: float | None = None
    files: tuple[RemoteFile | RemoteFolder, ...] = ()
    download_gb: float | None = None
    by_hand: str = ""
    folder: str = ""
    table_sha256: Mapping[str, str] = field(default_factory=dict)

    def validate(self) -> None:
        """Refuse a spec that cannot be right."""
        require_lists(self, "aliases", "test_slides", "derived_from", "cohorts")
        self._check_files()
        self._check_lineage()
        require_names("DatasetSpec", self.name, *self.aliases)
        if not isinstance(self.cells, Format) and not callable(self.cells):
            raise SpecError(f"dataset '{self.name}': cells must be a format record or a function, not {self.cells!r}")
        for raw, role in self.labels.items():
            require_word(f"labels['{raw}']", role, LabelRole)
        if "positive" not in self.labels.values() or not {"hard", "other"} & set(self.labels.values()):
            raise SpecError(f"dataset '{self.name}': labels must name a positive class and a negative one")
        require_word("group", self.group, GroupLevel)
        if self.split and self.test_slides:
            raise SpecError(f"dataset '{self.name}': the official split is given twice, by split and by test_slides")
        if self.region_mm2 is not None and not 0 < self.region_mm2 < 10_000:
            raise SpecError(f"dataset '{self.name}': region_mm2 must be square millimetres, not {self.region_mm2!r}")
        if isinstance(self.mpp, MppByDomain) and self.mpp.domain not in self.domains:
            raise SpecError(f"dataset '{self.name}': mpp goes by the domain '{self.mpp.domain}', which is not declared")
        numbers = self.mpp.values.values() if isinstance(self.mpp, MppByDomain) else [self.mpp]
        if not all(mpp is None or (isinstance(mpp, int | float) and 0.05 <= mpp <= 20) for mpp in numbers):
            raise SpecError(f"dataset '{self.name}': mpp must be microns per pixel, 0.05 to 20, not {self.mpp!r}")
        for negatives, digest in self.table_sha256.items():
            if negatives not in NEGATIVES or not re.fullmatch(r"[0-9a-f]{64}", digest):
                raise SpecError(f"dataset '{self.name}': table_sha256 must be 64 hex digits for {', '.join(NEGATIVES)}")
        for stated in ("positive_class", "negative_class", "license", "reference", "negatives_origin"):
            if not getattr(self, stated):
                raise SpecError(f"dataset '{self.name}': {stated} must be stated")

    def remote_files(self, *, labels_only: bool = False) -> tuple[RemoteFile, ...]:
        """Return each remote file on its own; with `labels_only`, those without which no label can be read."""
        return every_file(one for one in self.files if one.holds != "images" or not labels_only)

    def _check_files(self) -> None:
        if not isinstance(self.files, tuple) or not all(isinstance(f, RemoteFile | RemoteFolder) for f in self.files):
            raise SpecError(f"dataset '{self.name}': files must be a list of RemoteFile and RemoteFolder records")
        if self.folder:
            require_names("DatasetSpec.folder", self.folder)

    def _check_lineage(self) -> None:
        if not isinstance(self.crosswalks, tuple) or not all(isinstance(one, Crosswalk) for one in self.crosswalks):
            raise SpecError(f"dataset '{self.name}': crosswalks must be a list of Crosswalk records")
        for one in self.crosswalks:
            if one.dataset not in self.derived_from:
                raise SpecError(f"dataset '{self.name}': a crosswalk leads to '{one.dataset}', not in derived_from")
        if self.independent_votes and (self.voters or 0) < 2:
            raise SpecError(f"dataset '{self.name}': independent votes need at least 2 voters, not {self.voters}")
