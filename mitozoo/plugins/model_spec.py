"""`ModelSpec`: the record of an encoder that a plugin hands to mitozoo."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from mitozoo.errors import SpecError
from mitozoo.plugins.fields import require_lists, require_names, require_word
from mitozoo.plugins.preprocessing import Preprocessing
from mitozoo.plugins.record import Record, record
from mitozoo.plugins.sources import Source

if TYPE_CHECKING:
    from collections.abc import Callable

Pooling = Literal["cls", "mean", "cls+mean", "gap", "network"]
Precision = Literal["fp32", "fp16", "bf16"]


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
        require_lists(
            self, "aliases", "lora_targets", "requires", "also_fetches", "unverified", "pretraining",
            "trained_on_labels",
        )  # fmt: skip
        require_names("ModelSpec", self.name, *self.aliases)
        if not isinstance(self.load, Source) and not callable(self.load):
            raise SpecError(f"model '{self.name}': load must be a source record or a function, not {self.load!r}")
        if not isinstance(self.preprocessing, Preprocessing):
            raise SpecError(f"model '{self.name}': preprocessing must be a Preprocessing record")
        require_word("pooling", self.pooling, Pooling)
        require_word("precision", self.precision, Precision)
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
