"""The same bytes each time on the same device: torch keeps to algorithms that promise it, for as long as is asked."""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING

from mitozoo.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Room for matrix products on CUDA that are always summed in one order; torch refuses them without.
WORKSPACE, WORKSPACE_CONFIG = "CUBLAS_WORKSPACE_CONFIG", ":4096:8"
_NO_FORM = re.compile(r"(\w+) does not have a deterministic implementation")


@contextlib.contextmanager
def deterministic(asked: bool, whose: str) -> Iterator[None]:
    """Allow only operations that give the same bytes each time, where that is asked; put back afterwards what was set.

    In float32, TF32 stays as torch has it: on in cuDNN's convolutions, off in matrix products. It rounds more, but
    always alike.

    Args:
        asked: whether anything is to be done at all.
        whose: the network that runs inside, for messages, such as "model 'uni'".

    Raises:
        ModelError: an operation inside has no such form on this device.
    """
    if not asked:
        yield
        return
    import torch

    cudnn = torch.backends.cudnn
    before = (
        torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled(),
        cudnn.benchmark, os.environ.get(WORKSPACE),
    )  # fmt: skip
    torch.use_deterministic_algorithms(True)
    cudnn.benchmark = False  # else the fastest of several algorithms is tried out, and that differs from run to run
    os.environ.setdefault(WORKSPACE, WORKSPACE_CONFIG)
    try:
        yield
    except RuntimeError as error:
        if not (found := _NO_FORM.search(str(error))):
            raise
        raise ModelError(
            f"{whose} needs the operation {found[1]}, which has no deterministic form on this device",
            hint="Leave out --deterministic, or use --device cpu.",
        ) from error
    finally:
        enabled, warn_only, cudnn.benchmark, workspace = before
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
        if workspace is None:
            os.environ.pop(WORKSPACE, None)
