"""An encoder whose network lives in a worker process: to whoever uses it, an encoder like any other."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import torch

from mitozoo import storage
from mitozoo.errors import ModelError
from mitozoo.models.encoder import Encoder, require_source
from mitozoo.models.isolated import bootstrap
from mitozoo.models.isolated.environment import environment_of
from mitozoo.models.isolated.process import Worker
from mitozoo.plugins.discovery import installed_plugins

if TYPE_CHECKING:
    from mitozoo.plugins.model_spec import ModelSpec
    from mitozoo.plugins.names import Registered

BYTES_OF_A_FLOAT = 4


class IsolatedEncoder(Encoder):
    """Embeds patches as `Encoder` does, in a worker process; it has no weights here, and cannot be trained."""

    def __init__(self, spec: ModelSpec, worker: Worker, told: dict[str, Any]) -> None:
        super().__init__(spec, torch.nn.Module(), str(told["weights_sha256"]))
        self.flops = told["flops"]
        self._worker, self._told_parameters = worker, int(told["parameters"])
        self.eval()

    def forward(self, images: torch.Tensor) -> NoReturn:  # noqa: ARG002
        """Refuse: gradients do not cross processes."""
        raise ModelError(
            f"model '{self.spec.name}' runs in an environment of its own, where it can embed patches and not be trained"
        )

    def launch(self, patches: torch.Tensor, precision: str, device: str) -> torch.Tensor:
        """Embed uint8 (n, size, size, 3) as float32 (n, embed_dim), on the worker's device of the same name, and wait.

        Raises:
            ModelError: the model refuses, or its worker failed.
        """
        n, wanted = len(patches), self.spec.embed_dim
        alike = torch.are_deterministic_algorithms_enabled()
        answer, vectors = self._worker.ask(
            {"embed": {"precision": precision, "device": device, "alike": alike}}, patches.cpu().numpy(),
            room=n * wanted * BYTES_OF_A_FLOAT,
        )  # fmt: skip
        if "out_of_memory" in answer:
            raise torch.cuda.OutOfMemoryError(str(answer["out_of_memory"]))  # whoever sends batches halves them
        if vectors is None or vectors.shape != (n, wanted) or vectors.dtype.name != "float32":
            raise ModelError(f"the worker of model '{self.spec.name}' gave no embeddings of {wanted} values")
        return torch.from_numpy(vectors)

    def parameter_count(self) -> int:
        """Return how many parameters the network has in its worker."""
        return self._told_parameters


def load_isolated(
    registered: Registered[ModelSpec], *, weights: Path | None = None, seed: int | None = None
) -> IsolatedEncoder:
    """Load a model in its own environment, which is made first where it is not there yet.

    Args:
        registered: the model.
        weights: the user's own copy of the weight file.
        seed: of random weights, for the control that asks what the architecture alone is worth; None: its weights.

    Raises:
        ModelError: the environment cannot be made, or the model cannot be loaded in it.
    """
    spec = registered.spec
    if seed is not None:
        require_source(spec)
    values = _entry_points(registered)
    python = environment_of(registered).executable()
    places = {"mitozoo": str(Path(storage.__file__).absolute().parents[1])}
    places |= {package: _place(package) for package in {value.partition(":")[0].partition(".")[0] for value in values}}
    worker = Worker(
        [str(python), "-I", "-S", bootstrap.__file__, json.dumps(places)], spec.name,
        variables={"MITOZOO_HOME": str(storage.home().absolute())},
    )  # fmt: skip
    told, _ = worker.ask({
        "load": {
            "entry_points": values, "name": spec.name if values else registered.qualified_name,
            "fingerprint": spec.fingerprint(), "weights": None if weights is None else str(weights.absolute()),
            "seed": seed, "threads": torch.get_num_threads(),
        }
    })  # fmt: skip
    return IsolatedEncoder(spec, worker, told)


def _entry_points(registered: Registered[ModelSpec]) -> list[str]:
    """Return the entry points of a model's plugin, such as 'mitozoo_plugin_acme'; none for a model on the spot."""
    found = [one.entry_point for one in installed_plugins() if one.distribution == registered.plugin]
    return [one.value for one in found if one is not None]


def _place(package: str) -> str:
    """Return the folder (or archive) that holds a top-level package."""
    found = importlib.util.find_spec(package)
    origin = found.origin if found else None
    if found is not None and found.submodule_search_locations:
        return str(Path(next(iter(found.submodule_search_locations))).absolute().parent)
    if origin is None:
        raise ModelError(f"the plugin's module {package} is not where it was")
    return str(Path(origin).absolute().parent)
