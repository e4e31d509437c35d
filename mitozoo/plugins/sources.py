"""Where an encoder's architecture and weights come from: one record for each kind of source."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mitozoo.errors import SpecError
from mitozoo.plugins.record import Record, record

if TYPE_CHECKING:
    from collections.abc import Mapping


class Source(Record):
    """Any record that `mitozoo.models.loaders` can turn into a network."""


@record
class TimmHub(Source):
    """A timm architecture with weights from a file of a hub repository.

    Attributes:
        architecture: timm's name of the architecture, without a weight tag.
        repo: hub repository, 'organisation/name'.
        revision: 40 hex digits of the commit; never a branch.
        filename: weight file in the repository (safetensors, or a torch state dict).
        sha256: of that file, verified on load; None where nobody has published or measured it.
        kwargs: arguments of `timm.create_model`; classes as text, 'timm.layers:SwiGLUPacked'.
    """

    architecture: str
    repo: str
    revision: str
    filename: str
    sha256: str | None
    kwargs: Mapping[str, Any]

    def validate(self) -> None:
        """Refuse a revision or checksum that pins nothing."""
        _check_hex("revision", self.revision, 40)
        if self.sha256 is not None:
            _check_hex("sha256", self.sha256, 64)


@record
class PackagedWeights(Source):
    """A timm architecture with weights that ship inside an installed Python package.

    Attributes:
        architecture: timm's name of the architecture.
        package: import name of the package that holds the file.
        path: the weight file, relative to the package's folder.
        sha256: of that file, verified on load.
        kwargs: arguments of `timm.create_model`.
        mapping: 'names' where the keys are the architecture's own; 'order' where both networks list the same
            tensors, in the same order and of the same shapes, under other names.
    """

    architecture: str
    package: str
    path: str
    sha256: str
    kwargs: Mapping[str, Any]
    mapping: str

    def validate(self) -> None:
        """Refuse an unknown mapping or a checksum that pins nothing."""
        _check_hex("sha256", self.sha256, 64)
        if self.mapping not in ("names", "order"):
            raise SpecError(f"PackagedWeights.mapping is '{self.mapping}'; it must be 'names' or 'order'")


def _check_hex(field: str, value: str, digits: int) -> None:
    if not re.fullmatch(rf"[0-9a-f]{{{digits}}}", value):
        raise SpecError(f"{field} '{value}' is not {digits} lower-case hex digits")
