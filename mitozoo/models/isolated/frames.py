"""Messages between the host and a worker: a JSON header and a raw array, their lengths told before. No pickle."""

from __future__ import annotations

import json
import math
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from io import RawIOBase

    Array = npt.NDArray[Any]
    Message = tuple[dict[str, Any], Array | None]

LENGTH = struct.Struct(">I")
HEADER_BYTES = 1 << 20
KINDS = {"uint8": np.uint8, "float32": np.float32}


class FrameError(ValueError):
    """What came is no message, or is larger than what was asked for."""


def send(stream: RawIOBase, header: dict[str, Any], array: Array | None = None) -> None:
    """Write a message: JSON values, and an array of uint8 or float32 where there is one."""
    described = None if array is None else {"dtype": array.dtype.name, "shape": list(array.shape)}
    text = json.dumps({"header": header, "array": described}).encode()
    _write(stream, LENGTH.pack(len(text)) + text)
    if array is not None:
        _write(stream, np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def receive(stream: RawIOBase, *, room: int) -> Message:
    """Read a message.

    Args:
        stream: unbuffered.
        room: the most bytes that an array may have.

    Raises:
        EOFError: the stream ended before a message began.
        FrameError: it ended within one, or what came is none.
    """
    [length] = LENGTH.unpack(_read(stream, np.empty(LENGTH.size, np.uint8), at_start=True).tobytes())
    if length > HEADER_BYTES:
        raise FrameError(f"its header would have {length:,} bytes")
    try:
        told = json.loads(_read(stream, np.empty(length, np.uint8)).tobytes())
        header, described = told["header"], told["array"]
        if described is None:
            return dict(header), None
        kind, shape = KINDS[described["dtype"]], tuple(described["shape"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise FrameError(f"its header is no message: {error!r}") from error
    if len(shape) > 4 or not all(type(side) is int and side >= 0 for side in shape):
        raise FrameError(f"its array would have the shape {shape}")
    if (size := math.prod(shape) * np.dtype(kind).itemsize) > room:
        raise FrameError(f"its array would have {size:,} bytes where at most {room:,} are expected")
    return dict(header), _read(stream, np.empty(size, np.uint8)).view(kind).reshape(shape)


def _write(stream: RawIOBase, content: bytes | memoryview) -> None:
    rest = memoryview(content).cast("B")
    while rest:
        rest = rest[stream.write(rest) or 0 :]


def _read(stream: RawIOBase, into: npt.NDArray[np.uint8], *, at_start: bool = False) -> npt.NDArray[np.uint8]:
    """Fill an array from a stream, which gives what it has at each call."""
    rest = into.data
    while rest:
        got = stream.readinto(rest)
        if not got:
            if at_start and len(rest) == len(into):
                raise EOFError
            raise FrameError("it ended within a message")
        rest = rest[got:]
    return into
