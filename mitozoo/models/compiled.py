"""A network as torch.compile makes it: faster, and with roundings of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from mitozoo.errors import MitozooError, ModelError
from mitozoo.models.memory import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    Forward = Callable[[torch.Tensor], torch.Tensor]


def compiled(forward: Forward, model: str) -> Forward:
    """Return a function that torch.compile makes, at its first call, of one that embeds (n, 3, size, size).

    It is made once, for any number of images, so that no embedding depends on which batches came before.

    Args:
        forward: embeds images as (n, d).
        model: its name, for messages.

    Raises:
        ModelError: by the function that is returned: no compiler is at hand, or it fails on this network.
    """
    made = torch.compile(forward)

    def embed(images: torch.Tensor) -> torch.Tensor:
        n = len(images)
        if n == 1:  # of one alone another network would be made, and of a tensor of inference mode too
            with torch.inference_mode(mode=False):
                images = torch.cat([images, images])
        torch._dynamo.mark_dynamic(images, 0)
        try:
            return made(images)[:n]
        except MitozooError:
            raise
        except Exception as error:  # a compiler may raise anything on a network that it was not made for
            if isinstance(error, RuntimeError) and is_out_of_memory(error):
                raise
            raise _refusal(error, model) from error

    return embed


def _refusal(error: Exception, model: str) -> ModelError:
    if "InvalidCxxCompiler" in str(error):
        return ModelError(
            f"model '{model}' cannot be compiled: torch.compile needs a C++ compiler here, and finds none",
            hint="Install one, such as g++, or leave out --compile.",
        )
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return ModelError(f"torch.compile fails on model '{model}': {first}", hint="Leave out --compile.")
