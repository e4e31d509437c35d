"""The two records that a plugin hands to mitozoo: `ModelSpec` and `DatasetSpec`."""

from __future__ import annotations

import re
from dataclasses import field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from mitozoo.errors import SpecError
from mitozoo.plugins.formats import Format, MppByDomain, SlideNames, SlideTable
from mitozoo.plugins.lineage import Crosswalk
from mitozoo.plugins.record import Record, record
from mitozoo.plugins.remote_files import RemoteFile, RemoteFolder, every_file
from mitozoo.plugins.sources import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

Interpolation = Literal["bilinear", "bicubic"]
Resize = Literal["short-side", "square", "none"]
MppBasis = Literal["stated", "magnification", "convention", "none"]
Pooling = Literal["cls", "mean", "cls+mean", "gap", "network"]
Precision = Literal["fp32", "fp16", "bf16"]
LabelRole = Literal["positive", "hard", "other", "ignored"]
GroupLevel = Literal["case", "slide"]

NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
NEGATIVES = ("hard", "other", "all")  # what the positive class is told from


@record
class Preprocessing(Record):
    """How the authors turn a tile into the network's input. No field has a default: each can change a number.

    Attributes:
        size: side of the network's square input, px.
        resize: 'short-side' (keep the aspect, then crop the centre), 'square', or 'none' (the authors only crop).
        resize_to: side that the authors resize to before the centre crop, px.
        interpolation: 'bilinear' or 'bicubic'.
        antialias: whether shrinking is low-pass filtered (always so for PIL images).
        mean: per channel, for values in 0..1.
        std: per channel, for values in 0..1.
        mpp: microns per pixel of the training tiles; None where there is none (natural images).
        mpp_basis: 'stated' by the authors, from a 'magnification', by 'convention', or 'none'.
    """

    fingerprinted: ClassVar = ("size", "resize", "resize_to", "interpolation", "antialias", "mean", "std", "mpp")

    size: int
    resize: Resize
    resize_to: int
    interpolation: Interpolation
    antialias: bool
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    mpp: float | None
    mpp_basis: MppBasis

    def validate(self) -> None:
        """Refuse sizes, statistics or words that cannot be meant."""
        _one_of("resize", self.resize, Resize)
        _one_of("interpolation", self.interpolation, Interpolation)
        _one_of("mpp_basis", self.mpp_basis, MppBasis)
        if not (0 < self.size <= self.resize_to <= 4096):
            raise SpecError(f"Preprocessing needs 0 < size <= resize_to <= 4096, not {self.size} and {self.resize_to}")
        if len(self.mean) != 3 or not all(0 <= value <= 1 for value in self.mean):
            raise SpecError(f"Preprocessing.mean {self.mean} must be three values in 0..1")
        if len(self.std) != 3 or not all(0 < value <= 1 for value in self.std):
            raise SpecError(f"Preprocessing.std {self.std} must be three values in 0..1, none of them 0")
        if (self.mpp is None) != (self.mpp_basis == "none") or (self.mpp is not None and not 0.05 <= self.mpp <= 20):
            raise SpecError(f"Preprocessing.mpp {self.mpp} does not go with mpp_basis '{self.mpp_basis}'")


@record
class ModelSpec(Record):
    """An encoder, as data: where it comes from, what it eats, what it gives, and what a careful user asks.

    Attributes:
        name: lower-case short name; two poolings of one network are two models with two names.
        load: a source record, or a function without arguments that returns a `torch.nn.Module`; where one function
            must load several models, a record of the plugin's own with `__call__`.
        preprocessing: the authors' input transform.
        embed_dim: length of one embedding.
        pooling: 'cls', 'mean' (of patch tokens), 'cls+mean' (concatenated), 'gap' (a CNN's global average pool),
            or 'network' (the network's own output, already one vector a patch).
        prefix_tokens: class and register tokens in front of the patch tokens; 0 for a CNN.
        precision: the authors' precision for inference, used on a GPU.
        license: SPDX identifier where one exists, else the owner's name for it.
        reference: where the model is described: a URL or DOI.
        title: one line for lists.
        aliases: other short names.
        gated: whether the owner grants access one by one.
        license_conflict: sources disagree about the licence.
        parameters: number of parameters of the network as built.
        pretraining: datasets or cohorts seen in pretraining, 'others' where the list is not whole; None: the authors do
            not say.
        trained_on_labels: datasets whose labels it was trained with, in whole or in part.
        lora_targets: module-name suffixes that adapters attach to; empty: discovered.
        requires: further Python requirements, such as 'transformers>=4.40'.
        isolate: run in an environment of its own, made of `requires` (docs/isolation.md); then it cannot be trained.
        side_effects: what loading does to the whole process.
        also_fetches: files of hub repositories that building it needs beside its weights, 'organisation/name/path'.
        unverified: fields that no primary source confirmed.
        controls_only: a control, such as colour statistics, and no model to rank.
    """

    fingerprinted: ClassVar = ("load", "preprocessing", "embed_dim", "pooling", "prefix_tokens")

    name: str
    load: Source | Callable[[], Any]
    preprocessing: Preprocessing
    embed_dim: int
    pooling: Pooling
    prefix_tokens: int
    precision: Precision
    license: str
    reference: str
    title: str = ""
    aliases: tuple[str, ...] = ()
    gated: bool = False
    license_conflict: bool = False
    parameters: int | None = None
    pretraining: tuple[str, ...] | None = None
    lora_targets: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    isolate: bool = False
    side_effects: str = ""
    also_fetches: tuple[str, ...] = ()
    unverified: tuple[str, ...] = ()
    controls_only: bool = False
    trained_on_labels: tuple[str, ...] = ()

    def validate(self) -> None:
        """Refuse a spec that cannot be right."""
        _check_lists(
            self, "aliases", "lora_targets", "requires", "also_fetches", "unverified", "pretraining",
            "trained_on_labels",
        )  # fmt: skip
        _check_names("ModelSpec", self.name, *self.aliases)
        if not isinstance(self.load, Source) and not callable(self.load):
            raise SpecError(f"model '{self.name}': load must be a source record or a function, not {self.load!r}")
        if not isinstance(self.preprocessing, Preprocessing):
            raise SpecError(f"model '{self.name}': preprocessing must be a Preprocessing record")
        _one_of("pooling", self.pooling, Pooling)
        _one_of("precision", self.precision, Precision)
        if not isinstance(self.embed_dim, int) or self.embed_dim < 1:
            raise SpecError(f"model '{self.name}': embed_dim must be a positive integer, not {self.embed_dim!r}")
        if self.prefix_tokens < 0 or (self.pooling.startswith("cls") and self.prefix_tokens < 1):
            prefix = f"{self.prefix_tokens} prefix tokens"
            raise SpecError(f"model '{self.name}': pooling '{self.pooling}' cannot have {prefix}")
        if not all(re.fullmatch(r"[^/]+/[^/]+/.+", file) for file in self.also_fetches):
            raise SpecError(f"model '{self.name}': also_fetches must name each file as 'organisation/name/path'")
        if not self.license or not self.reference:
            raise SpecError(f"model '{self.name}': license and reference must be stated")
        for path in self.unverified:
            owner, _, name = path.rpartition(".")
            record = getattr(self, owner, None) if owner else self
            if not isinstance(record, Record) or name not in {field.name for field in fields(record)}:  # type: ignore[arg-type]
                raise SpecError(f"model '{self.name}': unverified names '{path}', which is no field")


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
        _check_lists(self, "aliases", "test_slides", "derived_from", "cohorts")
        self._check_files()
        self._check_lineage()
        _check_names("DatasetSpec", self.name, *self.aliases)
        if not isinstance(self.cells, Format) and not callable(self.cells):
            raise SpecError(f"dataset '{self.name}': cells must be a format record or a function, not {self.cells!r}")
        for raw, role in self.labels.items():
            _one_of(f"labels['{raw}']", role, LabelRole)
        if "positive" not in self.labels.values() or not {"hard", "other"} & set(self.labels.values()):
            raise SpecError(f"dataset '{self.name}': labels must name a positive class and a negative one")
        _one_of("group", self.group, GroupLevel)
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
            _check_names("DatasetSpec.folder", self.folder)

    def _check_lineage(self) -> None:
        if not isinstance(self.crosswalks, tuple) or not all(isinstance(one, Crosswalk) for one in self.crosswalks):
            raise SpecError(f"dataset '{self.name}': crosswalks must be a list of Crosswalk records")
        for one in self.crosswalks:
            if one.dataset not in self.derived_from:
                raise SpecError(f"dataset '{self.name}': a crosswalk leads to '{one.dataset}', not in derived_from")
        if self.independent_votes and (self.voters or 0) < 2:
            raise SpecError(f"dataset '{self.name}': independent votes need at least 2 voters, not {self.voters}")


def _check_names(record_name: str, *names: str) -> None:
    for text in names:
        if not isinstance(text, str) or not NAME.fullmatch(text):
            raise SpecError(f"{record_name} name {text!r} must be lower-case letters, digits, '.', '_' or '-'")


def _check_lists(record: Record, *names: str) -> None:
    """Refuse one text where a list of texts belongs: it would be taken apart into letters."""
    for name in names:
        value = getattr(record, name)
        if value is not None and not (isinstance(value, tuple) and all(isinstance(item, str) for item in value)):
            raise SpecError(f"{type(record).__name__}.{name} must be a list of texts, not {value!r}")


def _one_of(where: str, value: str, words: Any) -> None:
    allowed = get_args(words)
    if value not in allowed:
        raise SpecError(f"{where} is {value!r}; it must be one of {', '.join(map(repr, allowed))}")
