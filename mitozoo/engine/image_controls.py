"""Run the image controls of an evaluation: colours alone, and the same network untrained."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from mitozoo.engine.find_model import find_model
from mitozoo.engine.subject import RegisteredModel, UntrainedModel
from mitozoo.errors import MitozooError, ModelError, UnknownNameError
from mitozoo.protocols.presets import find_protocol
from mitozoo.protocols.spec import Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mitozoo.engine.request import Request
    from mitozoo.engine.subject import BroughtEmbeddings

    Evaluate = Callable[[Request, RegisteredModel], Path]

COLOUR_STATISTICS, RANDOM_INIT = "colour-statistics", "random-init"
PROBE = "linear-probe"  # of the controls of a protocol that trains the network


def wants_image_controls(request: Request, subject: RegisteredModel | BroughtEmbeddings) -> bool:
    """Tell whether they are asked for, or go without saying: on all of `demo`."""
    if not isinstance(subject, RegisteredModel) or subject.spec.controls_only:
        return False
    return request.controls == "full" or (
        request.controls == "auto" and request.dataset == "demo" and request.limit is None
    )


def run_image_controls(
    request: Request, subject: RegisteredModel, protocol: Protocol, *, patches_only: bool, evaluate: Evaluate
) -> dict[str, Path | str]:
    """Evaluate both controls on the same cells, folds and labels; return the folder of each run, or why there is none.

    Args:
        request: of the model.
        subject: the model.
        protocol: its protocol; one that trains the network is replaced by the linear probe on the same splits.
        patches_only: whether the dataset releases patches, which are seen whole unless a window was asked for.
        evaluate: runs a request about a subject, and returns its folder.
    """
    asked = dataclasses.replace(
        request, controls="labels", fractions=(max(request.fractions),), perturb=(), weights=None
    )  # fmt: skip
    if protocol.trains_network:
        settings = _splits_and_windows(request, protocol, patches_only=patches_only)
        asked = dataclasses.replace(asked, protocol=PROBE, settings=settings)
    found: dict[str, Path | str] = {}
    try:
        found[COLOUR_STATISTICS] = evaluate(
            dataclasses.replace(asked, model=COLOUR_STATISTICS), RegisteredModel(find_model(COLOUR_STATISTICS))
        )
    except UnknownNameError as error:
        if request.controls == "full":
            raise MitozooError(
                f"the control '{COLOUR_STATISTICS}' is not installed", hint="pip install mitozoo-plugin-controls"
            ) from error
        found[COLOUR_STATISTICS] = "mitozoo-plugin-controls is not installed"
    except ModelError as error:
        found[COLOUR_STATISTICS] = error.message
    try:
        found[RANDOM_INIT] = evaluate(asked, UntrainedModel(subject.registered))
    except ModelError as error:  # a load function cannot leave the weights away
        found[RANDOM_INIT] = error.message
    return found


def _splits_and_windows(request: Request, protocol: Protocol, *, patches_only: bool) -> dict[str, str]:
    """Return what of a protocol's splits and windows differs from those of the linear probe."""
    probe = find_protocol(PROBE)
    names = {field.name for field in dataclasses.fields(Protocol)} - {"name", "version", "title"}
    if patches_only and "window_um" not in request.settings:
        names -= {"window_um"}
    return {
        name: str(getattr(protocol, name)) for name in sorted(names) if getattr(protocol, name) != getattr(probe, name)
    }
