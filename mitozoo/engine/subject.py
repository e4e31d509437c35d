"""What is evaluated: a registered model, or embeddings that somebody brings along."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.embeddings.table import EmbeddingTable
    from mitozoo.models.encoder import Encoder
    from mitozoo.plugins.dataset_spec import DatasetSpec
    from mitozoo.plugins.model_spec import ModelSpec
    from mitozoo.plugins.names import Registered

RANDOM_SEED = 0  # of the weights of an untrained network


class Subject(Protocol):
    """Anything that a run can be about."""

    name: str

    def document(self) -> dict[str, Any]:
        """Return the 'model' part of a result document."""

    def contamination(self, dataset: DatasetSpec) -> str:
        """Return what pretraining saw of a dataset."""


@dataclass(frozen=True)
class RegisteredModel:
    """A model that a plugin or its place offers; loading it is put off until something must be computed."""

    registered: Registered[ModelSpec]
    weights: Path | None = None  # the user's own copy of its weight file

    @property
    def spec(self) -> ModelSpec:
        """The plugin's record."""
        return self.registered.spec

    @property
    def name(self) -> str:
        """Its short name."""
        return self.spec.name

    @property
    def weights_sha256(self) -> str:
        """Of its weights; asks for the file, not for torch."""
        from mitozoo.models.weights import model_weights_sha256

        return model_weights_sha256(self.spec, file=self.weights)

    @property
    def weight_bytes(self) -> int:
        """Of its weights in fp32, as far as that is known before they are loaded."""
        from mitozoo.models.weights import locate
        from mitozoo.plugins.sources import Source

        if self.spec.parameters is not None:
            return 4 * self.spec.parameters
        return locate(self.spec.load, file=self.weights).stat().st_size if isinstance(self.spec.load, Source) else 0

    def load(self) -> Encoder:
        """Build the encoder with its weights."""
        from mitozoo.engine.known_costs import remember_cost
        from mitozoo.models.encoder import load_encoder

        if self.spec.isolate:
            from mitozoo.models.isolated.encoder import load_isolated

            encoder: Encoder = load_isolated(self.registered, weights=self.weights)
        else:
            encoder = load_encoder(self.spec, weights=self.weights)
        remember_cost(self.spec.fingerprint(), encoder)
        return encoder

    def document(self) -> dict[str, Any]:
        """Return the 'model' part of a result document."""
        spec = self.spec
        return {
            "name": spec.name, "plugin": self.registered.plugin, "version": self.registered.version,
            "fingerprint": spec.fingerprint(), "embed_dim": spec.embed_dim, "weights_sha256": self.weights_sha256,
            "pooling": spec.pooling, "license": spec.license, "gated": spec.gated, "parameters": spec.parameters,
            "reference": spec.reference,
            **({"environment": self._environment()} if spec.isolate else {}),
        }  # fmt: skip

    def _environment(self) -> dict[str, Any]:
        """Return which packages an isolated model runs with; they are resolved now where they never were."""
        from mitozoo.models.isolated.environment import environment_of

        return environment_of(self.registered).document()

    def contamination(self, dataset: DatasetSpec) -> str:
        """Return what the model saw of a dataset or its relatives, as far as specs declare it; silence is 'unknown'."""
        from mitozoo.plugins.lineage import Relatives
        from mitozoo.plugins.registry import load_registry

        relatives = Relatives.among(one.spec for one in load_registry().datasets)
        return relatives.contamination(self.spec, dataset.name)


@dataclass(frozen=True)
class UntrainedModel(RegisteredModel):
    """The network of a model before it saw any image: a control that asks what the architecture alone is worth."""

    @property
    def spec(self) -> ModelSpec:
        """The plugin's record, as that of a control."""
        return dataclasses.replace(self.registered.spec, controls_only=True, pretraining=(), trained_on_labels=())

    @property
    def name(self) -> str:
        """The model's, and what was done to it."""
        return f"{self.registered.spec.name}:random-init"

    @property
    def weights_sha256(self) -> str:
        """What stands in its place."""
        return f"random-{RANDOM_SEED}"

    @property
    def weight_bytes(self) -> int:
        """Of its weights in fp32, as far as the plugin tells."""
        return 4 * (self.registered.spec.parameters or 0)

    def load(self) -> Encoder:
        """Build the encoder with random weights."""
        from mitozoo.models.encoder import random_encoder

        if self.registered.spec.isolate:
            from mitozoo.models.isolated.encoder import load_isolated

            return load_isolated(self.registered, seed=RANDOM_SEED)
        return random_encoder(self.registered.spec, RANDOM_SEED)

    def document(self) -> dict[str, Any]:
        """Return the 'model' part of a result document."""
        return super().document() | {"name": self.name}


@dataclass(frozen=True)
class BroughtEmbeddings:
    """Embeddings from a file, for models that cannot be run here; always marked so."""

    path: Path
    table: EmbeddingTable

    @property
    def name(self) -> str:
        """The file's name, never to be taken for a model's."""
        return f"embeddings:{self.path.stem}"

    def document(self) -> dict[str, Any]:
        """Return the 'model' part of a result document."""
        return {
            "name": self.name, "plugin": None, "version": None, "fingerprint": self.table.sha256(),
            "embed_dim": int(self.table.vectors.shape[1]), "weights_sha256": None, "provenance": self.table.provenance,
        }  # fmt: skip

    def contamination(self, dataset: DatasetSpec) -> str:  # noqa: ARG002 - nothing is known of the model
        """Return 'unknown': a file of vectors does not say what made them."""
        return "unknown"
