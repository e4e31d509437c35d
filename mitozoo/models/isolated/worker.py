"""The worker: loads one model with mitozoo's own loader, inside the model's environment, and embeds what it is sent."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

from mitozoo.errors import MitozooError, ModelError
from mitozoo.models.isolated.frames import receive, send

if TYPE_CHECKING:
    from io import FileIO

    from mitozoo.models.encoder import Encoder
    from mitozoo.models.isolated.frames import Array
    from mitozoo.plugins.model_spec import ModelSpec

ROOM = 1 << 34  # bytes of a batch; the host is trusted with memory
WATCH_SECONDS = 2.0


def serve(questions: FileIO, answers: FileIO) -> None:
    """Answer one question after the other until the host ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the host's to handle
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    served = Served()
    while True:
        try:
            question, array = receive(questions, room=ROOM)
        except EOFError:
            return
        try:
            answer, vectors = served.answer(question, array)
        except MitozooError as error:
            answer, vectors = {"refused": error.message, "hint": error.hint}, None
        except BaseException as error:  # noqa: BLE001 (foreign code may raise anything, even SystemExit; it is told)
            answer, vectors = _told(error), None
        try:
            send(answers, answer, vectors)
        except BrokenPipeError:  # the host is gone
            return


class Served:
    """The model that this worker holds once it was asked to load it."""

    def __init__(self) -> None:
        self.encoder: Encoder | None = None
        self.device: str | None = None  # none yet: the first batch says where the network belongs
        self.memory = contextlib.ExitStack()

    def answer(self, question: dict[str, Any], array: Array | None) -> tuple[dict[str, Any], Array | None]:
        """Return the answer to 'load' or 'embed'."""
        return self.load(**question["load"]) if "load" in question else self.embed(array, **question["embed"])

    def load(
        self,
        entry_points: list[str],
        name: str,
        fingerprint: str,
        weights: str | None,
        seed: int | None,
        threads: int,
    ) -> tuple[dict[str, Any], None]:
        """Load the model that entry points offer under a name, or that the name itself says where to find."""
        from pathlib import Path

        import torch

        from mitozoo.models.encoder import load_encoder, random_encoder

        torch.set_num_threads(threads)
        spec = _offered(entry_points, name)
        if spec.fingerprint() != fingerprint:
            raise ModelError(f"model '{name}' is another one in its own environment: its fingerprint differs there")
        own = None if weights is None else Path(weights)
        encoder = load_encoder(spec, weights=own) if seed is None else random_encoder(spec, seed)
        self.encoder = encoder
        told = {
            "weights_sha256": encoder.weights_sha256,
            "flops": encoder.flops,
            "parameters": encoder.parameter_count(),
        }
        return told, None

    def embed(
        self, patches: Array | None, precision: str, device: str, alike: bool = False
    ) -> tuple[dict[str, Any], Array]:
        """Embed uint8 (n, size, size, 3) as float32 (n, embed_dim)."""
        import torch

        from mitozoo.models.determinism import deterministic
        from mitozoo.models.devices import place
        from mitozoo.models.heap import kept_memory

        assert self.encoder is not None
        assert patches is not None
        if device != self.device:
            place(self.encoder, device)
            self.device = device
            self.memory.enter_context(kept_memory(device))  # for as long as this process lives
        with deterministic(alike, f"model '{self.encoder.spec.name}'"):
            return {}, self.encoder.embed(torch.from_numpy(patches).to(device), precision, device)


def _offered(entry_points: list[str], name: str) -> ModelSpec:
    if not entry_points:
        from mitozoo.models.on_the_spot import find_on_the_spot

        return find_on_the_spot(name).spec
    for value in entry_points:
        plugin = importlib.metadata.EntryPoint(name="plugin", group="mitozoo", value=value).load()
        for spec in getattr(plugin, "mitozoo_models", list)():
            if spec.name == name:
                return spec
    raise ModelError(f"its plugin offers no model '{name}' in the model's own environment")


def _told(error: BaseException) -> dict[str, Any]:
    from mitozoo.models.memory import is_out_of_memory

    if isinstance(error, RuntimeError) and is_out_of_memory(error):
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return {"out_of_memory": str(error)}
    return {"refused": f"{type(error).__name__}: {error}", "hint": None}


def _end_with(host: int) -> None:
    """End this process once its host was killed, whatever the model is at."""
    while os.getppid() == host:
        time.sleep(WATCH_SECONDS)
    os._exit(1)
