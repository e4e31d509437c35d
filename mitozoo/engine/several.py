"""Several models on one dataset: a window that they share is read once, then each is evaluated by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mitozoo.engine.evaluate import Evaluation
from mitozoo.engine.log import tell_failure
from mitozoo.engine.progress import Progress
from mitozoo.engine.request import Request
from mitozoo.engine.subject import RegisteredModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mitozoo.results.result import Result

SHARE_FOR_WEIGHTS = 0.5  # of the free memory; what networks hold on the way needs the rest


def evaluate_several(
    models: Sequence[str | None],
    dataset: str = "demo",
    *,
    progress: Callable[[], Progress] = Progress,
    on_failure: Callable[[str, Exception], None] | None = None,
    **asked: Any,
) -> Iterator[Result]:
    """Yield the result of each model: what `evaluate` returns, byte for byte, but for the cost in compute.json.

    All input is checked before anything is computed, and all embeddings are there before the first result.

    Args:
        models: names of registered models, or their places (see `find_model`); None with `embeddings`.
        dataset: name of a registered dataset.
        progress: makes whoever listens to one model's evaluation.
        on_failure: told the name of a run that is given up, and why; the others go on. None: the error is raised.
        **asked: any further attribute of `Request`.

    Raises:
        MitozooError: the input is not right; the message says what, where, why, and what to do next.
    """
    evaluations = [Evaluation(Request(model=model, dataset=dataset, **asked), progress()) for model in models]
    _embed([one for one in evaluations if one.look() is None], each_for_itself=on_failure is not None)
    for evaluation in evaluations:
        try:
            result = evaluation.finish()
        except Exception as error:
            if on_failure is None:
                raise
            tell_failure(error)
            on_failure(evaluation.folder.path.name, error)
        else:
            yield result


def _embed(evaluations: list[Evaluation], *, each_for_itself: bool) -> None:
    """Cache the embeddings of all models, in as few passes over the slides as memory allows.

    Args:
        evaluations: of the models.
        each_for_itself: a pass that fails is left to the models, each of which then goes as far as it can.
    """
    embedded = [one for one in evaluations if one.plans_to_embed()]
    for together in _that_fit(embedded):
        if len(together) == 1:
            continue  # it reads for itself
        first = together[0]
        try:
            _pass(together)
        except Exception as error:  # of one model, it may be
            if not each_for_itself:
                raise
            first.progress.note(f"{len(together)} models could not be embedded together ({error}): one by one, then")
            continue
        seconds = first.progress.seconds.pop("embeddings")
        for one in together:
            one.progress.seconds[f"embeddings of {len(together)} models"] = seconds


def _pass(together: list[Evaluation]) -> None:
    """Cache what these models miss."""
    from mitozoo.engine.embed import embed_together

    first = together[0]
    for of_each in zip(*(one.plans_to_embed() for one in together), strict=True):
        parts = [
            (one.subject, plan, one.precision)
            for one, plan in zip(together, of_each, strict=True)
            if isinstance(one.subject, RegisteredModel) and one.precision is not None
        ]
        embed_together(parts, first.device, first.request.batch_size, first.progress, first.request.deterministic)


def _that_fit(evaluations: list[Evaluation]) -> list[list[Evaluation]]:
    """Divide models into passes whose networks the memory holds together."""
    if len(evaluations) < 2:
        return []
    from mitozoo.models.memory import free_bytes

    room = free_bytes(evaluations[0].device)
    passes: list[list[Evaluation]] = [[]]
    held = 0
    for one in evaluations:
        needed = one.subject.weight_bytes if isinstance(one.subject, RegisteredModel) else 0
        if passes[-1] and room is not None and held + needed > SHARE_FOR_WEIGHTS * room:
            passes.append([])
            held = 0
        passes[-1].append(one)
        held += needed
    return passes
