"""What a protocol is: a frozen, versioned, hashed record of everything that can change one score."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args, get_origin, get_type_hints

from mitozoo.data.splits import TRAINING_KINDS
from mitozoo.errors import ProtocolError
from mitozoo.plugins.record import Record, canonical_json, record

if TYPE_CHECKING:
    from collections.abc import Mapping

NATIVE_PX = 224
DESCRIPTIVE = ("name", "version", "title")


@record
class Protocol(Record):
    """What every protocol states: geometry, split recipe and label sampling.

    Attributes:
        name: short name, without version.
        version: raised when a value below changes.
        title: one line for lists.
        geometry: 'window' (`window_um`, resampled once, whole, to the input), 'model-native' (likewise, but a window of
            input px x the model's training mpp), 'authors' (a tile of the model's tile size at its training mpp,
            through the authors' own resize and crop), or 'native' (`NATIVE_PX` of the slide's own pixels, whatever
            their size, resampled once: what a physical window is there to replace).
        window_um: side of the square window around the cell, microns; patch-only datasets use their whole patch.
        edge: what lies beyond the slide's border: 'reflect' or 'black'.
        split: 'auto' (official where there is one, else grouped folds), 'official', 'grouped', 'random' (draws of
            annotations, which leak) or 'grouped-draws' (their twin by groups).
        outer_folds: grouped, stratified folds where there is no official split.
        split_seed: the same for every model, so that all are tested alike.
        fraction_of: 'groups' fills a label budget by whole groups, 'cells' samples cells.
        inner_folds: grouped folds inside the training cells, for every choice that is made.
    """

    #: What kind of fit this protocol makes; the engine dispatches on it.
    kind: ClassVar[str] = ""

    name: str
    version: int
    title: str
    geometry: Literal["window", "model-native", "authors", "native"] = "window"
    window_um: float = 56.0
    edge: Literal["reflect", "black"] = "reflect"
    split: Literal["auto", "official", "grouped", "random", "grouped-draws"] = "auto"
    outer_folds: int = 5
    split_seed: int = 0
    fraction_of: Literal["groups", "cells"] = "groups"
    inner_folds: int = 5

    def validate(self) -> None:
        """Refuse values that no run could use."""
        if not 4 <= self.window_um <= 1000:
            raise ProtocolError(f"window_um is {self.window_um}; it must lie between 4 and 1000 microns")
        for field in ("outer_folds", "inner_folds"):
            if not 2 <= getattr(self, field) <= 100:
                raise ProtocolError(f"{field} is {getattr(self, field)}; it must lie between 2 and 100")
        if not 0 <= self.split_seed < 2**32:
            raise ProtocolError(f"split_seed is {self.split_seed}; it must lie between 0 and 2**32 - 1")

    def parameters(self) -> dict[str, Any]:
        """Return everything but the descriptive fields, as JSON values; equal numbers alike, 56 for 56.0."""
        values = {key: _plainest(value) for key, value in self.to_json().items()}
        return {"kind": self.kind} | {key: values[key] for key in values if key not in (*DESCRIPTIVE, "record")}

    @property
    def trains_network(self) -> bool:
        """Whether the network is trained, so that it needs a model and patches, and states its own batch size."""
        return self.kind in TRAINING_KINDS

    @property
    def hash(self) -> str:
        """64 hex digits over version and parameters: scores of different hashes are never ranked together."""
        return hashlib.sha256(canonical_json({"version": self.version} | self.parameters()).encode()).hexdigest()


def override(protocol: Protocol, settings: Mapping[str, str]) -> Protocol:
    """Return the protocol with some parameters changed, its name saying which.

    Args:
        protocol: any protocol.
        settings: parameter name -> value as text, as typed behind `--set`.

    Raises:
        ProtocolError: an unknown parameter, or text that is no such value.
    """
    hints = get_type_hints(type(protocol))
    known = [f.name for f in dataclasses.fields(protocol) if f.name not in DESCRIPTIVE]
    changed: dict[str, Any] = {}
    for key, text in settings.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise ProtocolError(
                f"protocol '{protocol.name}' has no parameter '{key}'"
                + (f"; did you mean '{near[0]}'?" if near else ""),
                hint=f"See them all: mitozoo info {protocol.name.partition('@')[0]}",
            )
        value = _parse(key, text.strip(), hints[key])
        if value != getattr(protocol, key):
            changed[key] = value
    if not changed:
        return protocol
    base = protocol.name if "@" in protocol.name else f"{protocol.name}@{protocol.version}"
    name = base + "".join(f"+{key}={_show(changed[key])}" for key in sorted(changed))
    return dataclasses.replace(protocol, name=name, **changed)


def _parse(key: str, text: str, hint: Any) -> Any:
    if get_origin(hint) is Literal:
        if text not in get_args(hint):
            near = difflib.get_close_matches(text, get_args(hint), n=1)
            meant = f"; did you mean '{near[0]}'?" if near else ""
            raise ProtocolError(f"{key} is '{text}'; it must be one of {', '.join(get_args(hint))}{meant}")
        return text
    if get_origin(hint) is tuple:
        return tuple(_parse(key, part.strip(), get_args(hint)[0]) for part in text.split(","))
    if hint is bool:
        if text.lower() not in ("true", "false"):
            raise ProtocolError(f"{key} is '{text}'; it must be true or false")
        return text.lower() == "true"
    try:
        value = hint(text)
    except ValueError as error:
        wanted = "a whole number" if hint is int else "a number"
        raise ProtocolError(f"{key} is '{text}'; it must be {wanted}") from error
    if not math.isfinite(value):
        raise ProtocolError(f"{key} is '{text}'; it must be a finite number")
    return value


def _show(value: Any) -> str:
    """Write a value so that two that differ are told apart, and 64.0 is 64."""
    if isinstance(value, tuple):
        return ",".join(map(_show, value))
    return str(value).lower() if isinstance(value, bool) else str(_plainest(value))


def _plainest(value: Any) -> Any:
    if isinstance(value, list):
        return [_plainest(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
