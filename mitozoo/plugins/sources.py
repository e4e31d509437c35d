"""Where an encoder's architecture and weights come from: one record for each kind of source."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mitozoo.errors import SpecError
from mitozoo.plugins.record import Record, record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Source(Record):
    """Any record that `mitozoo.models.loaders` can turn into a network."""


@record
class TimmHub(Source):
    """A timm architecture with weights from a file of a hub repository.

    Attributes:
        architecture: timm's name of the architecture, without a weight tag.
        repo: hub repository, 'organisation/name'.
        revision: 40 hex digits of the commit; None where nobody has published it: then the newest, whose sha256 is in
            every result.
        filename: weight file in the repository (safetensors, or a torch state dict).
        sha256: of that file, verified on load; None where nobody has published or measured it.
        kwargs: arguments of `timm.create_model`; classes as text, 'timm.layers:SwiGLUPacked'.
        resample_positions: hand the file's tensors to timm's own filter for the architecture first, which resamples
            position embeddings to the network's grid (weights of 518 px run at 224) and knows DINOv2's own key names.
    """

    architecture: str
    repo: str
    revision: str | None
    filename: str
    sha256: str | None
    kwargs: Mapping[str, Any]
    resample_positions: bool = False

    def validate(self) -> None:
        """Refuse a revision or checksum that pins nothing."""
        _check_pins(self.revision, self.sha256)


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


@record
class TransformersHub(Source):
    """A transformers model of a hub repository.

    Attributes:
        repo: hub repository, 'organisation/name'.
        revision: 40 hex digits of the commit; None where nobody has published it: then the newest, whose sha256 is in
            every result.
        filename: weight file in the repository; `config.json` is read from beside it.
        sha256: of the weight file, verified on load; None where nobody has published or measured it.
        model_class: 'transformers:ViTModel', or 'transformers:AutoModel' with remote code.
        kwargs: arguments of the class, such as {'add_pooling_layer': False}.
        output: what the network gives: 'last_hidden_state' (tokens), 'pooler_output', 'image_features'
            (`get_image_features`; the text tower is left out), or 'encode_image' (a method of remote code).
        trust_remote_code: the repository's own code must run; it does so only at this revision, and only after the
            user's --trust-remote-code.
    """

    repo: str
    revision: str | None
    filename: str
    sha256: str | None
    model_class: str
    kwargs: Mapping[str, Any]
    output: str
    trust_remote_code: bool = False

    def validate(self) -> None:
        """Refuse a revision or checksum that pins nothing, or an unknown output."""
        _check_pins(self.revision, self.sha256)
        outputs = ("last_hidden_state", "pooler_output", "image_features", "encode_image")
        if self.output not in outputs:
            raise SpecError(f"TransformersHub.output is '{self.output}'; it must be one of {', '.join(outputs)}")


@record
class OpenClipHub(Source):
    """The image tower of an open_clip model; its embedding is `encode_image` without L2 normalisation.

    Attributes:
        architecture: open_clip's name of the architecture, such as 'ViT-B-32-quickgelu'.
        repo: hub repository, 'organisation/name'.
        revision: 40 hex digits of the commit; None where nobody has published it: then the newest, whose sha256 is in
            every result.
        filename: weight file in the repository.
        sha256: of the weight file; None where nobody has published or measured it.
        kwargs: further arguments of `open_clip.create_model`; 'embed_dim' and 'vision_cfg' replace the architecture's
            own, for towers that open_clip has no name for.
    """

    architecture: str
    repo: str
    revision: str | None
    filename: str
    sha256: str | None
    kwargs: Mapping[str, Any]

    def validate(self) -> None:
        """Refuse a revision or checksum that pins nothing."""
        _check_pins(self.revision, self.sha256)


@record
class Checkpoint(Source):
    """A checkpoint file of a stated format, mapped strictly onto an architecture of timm, torchvision or the plugin.

    Attributes:
        architecture: 'timm:vit_small_patch16_224', 'torchvision:resnet50', or a function of the plugin that builds the
            untrained network; the file is fetched, verified and loaded as for the others.
        kwargs: arguments of the architecture; classes as text. num_classes=0 takes the classifier off.
        repo: hub repository that holds the file; empty where `url` does.
        revision: 40 hex digits of the commit; None where it is not known, or there is only a URL.
        filename: the file's name in the repository, and below MITOZOO_WEIGHTS.
        url: where it is published outside a hub; empty where no direct address exists and the user must fetch it.
        sha256: of the file; None where nobody has published or measured it.
        entry: key under which a training checkpoint keeps the weights, such as 'teacher'; empty: the file itself.
        strip_prefix: taken off each key that bears it; keys without it are surplus unless dropped.
        rename: regular expression -> replacement, applied to each key in order, after stripping.
        drop: regular expressions, each sought in the keys after renaming: what belongs to heads or training.
        resample_positions: as for `TimmHub`; for architectures of timm.
    """

    architecture: str | Callable[..., Any]
    kwargs: Mapping[str, Any]
    repo: str
    revision: str | None
    filename: str
    url: str
    sha256: str | None
    entry: str
    strip_prefix: str
    rename: Mapping[str, str]
    drop: tuple[str, ...]
    resample_positions: bool = False

    def validate(self) -> None:
        """Refuse an unknown library, a pattern that is none, or pins that pin nothing."""
        library = self.architecture.partition(":")[0] if isinstance(self.architecture, str) else "function"
        if library not in ("timm", "torchvision", "function"):
            raise SpecError(f"Checkpoint.architecture '{self.architecture}' must begin with 'timm:' or 'torchvision:'")
        if self.resample_positions and library != "timm":
            raise SpecError("Checkpoint.resample_positions is for architectures of timm")
        if self.repo and self.url:
            raise SpecError(f"Checkpoint of {self.filename} names a repository and a URL; it must name one place")
        if not isinstance(self.drop, tuple):  # one text would be taken apart into letters
            raise SpecError(f"Checkpoint.drop must be a list of texts, not {self.drop!r}")
        for pattern in (*self.rename, *self.drop):
            try:
                re.compile(pattern)
            except re.error as error:
                raise SpecError(f"Checkpoint: '{pattern}' is no regular expression: {error}") from error
        _check_pins(self.revision, self.sha256)


def _check_pins(revision: str | None, sha256: str | None) -> None:
    if revision is not None:
        _check_hex("revision", revision, 40)
    if sha256 is not None:
        _check_hex("sha256", sha256, 64)


def _check_hex(field: str, value: str, digits: int) -> None:
    if not re.fullmatch(rf"[0-9a-f]{{{digits}}}", value):
        raise SpecError(f"{field} '{value}' is not {digits} lower-case hex digits")
