"""JPEG tiles of a TIFF slide, decoded once each and shared by all windows that they touch."""

from __future__ import annotations

import functools
import os
import threading
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mitozoo.errors import SlideError

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.data.slide import Level

Pixels = npt.NDArray[np.uint8]

DECODED_BYTES = 256_000_000  # decoded tiles held at once, all slides together
COLOURS = {"RGB", "YCbCr"}
RGB, YCBCR = 2, 6  # TIFF's words for the colours of a JPEG tile
TILED_FORMATS = {"aperio", "generic-tiff"}  # whose tiles lie on one plain grid, without overlap or offset


@dataclass(frozen=True, eq=False)
class JpegTiles:
    """The grid of JPEG tiles of one level of a slide.

    OpenSlide hands out the same pixels, but blends, scales and converts whatever it hands out, which costs more than
    decoding, and in cell order decodes most tiles more than once.

    Attributes:
        file: the open slide file.
        width, height: of a tile, px.
        columns: tiles side by side.
        starts, lengths: (tiles,) where each lies in the file, bytes; a length of 0: there is none.
        head: what a decoder must read before each tile's own bytes.
    """

    file: Any
    width: int
    height: int
    columns: int
    starts: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    head: bytes

    @property
    def bytes_of_a_tile(self) -> int:
        """What a decoded tile takes in memory."""
        return 3 * self.width * self.height

    def region(self, left: int, top: int, width: int, height: int) -> Pixels | None:
        """Return (height, width, 3) px, all inside the level; None where a tile is missing. For many threads."""
        window = np.empty((height, width, 3), dtype=np.uint8)
        for row in range(top // self.height, (top + height - 1) // self.height + 1):
            down = row * self.height - top
            for column in range(left // self.width, (left + width - 1) // self.width + 1):
                across = column * self.width - left
                number = row * self.columns + column
                if not self.lengths[number]:
                    return None
                tile = _decoded_tiles().get(self, number)
                seen = tile[max(0, -down) : height - down, max(0, -across) : width - across]
                window[max(0, down) : down + self.height, max(0, across) : across + self.width] = seen
        return window

    def decode(self, number: int) -> Pixels:
        """Return a tile (height, width, 3), decoded from the file; half the time that Pillow takes, the same pixels."""
        import simplejpeg

        start, length = int(self.starts[number]), int(self.lengths[number])
        content = self.head + os.pread(self.file.fileno(), length, start)[2:]
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
        if (height, width) != (self.height, self.width) or colours not in COLOURS:
            raise SlideError(f"tile {number} has {width} x {height} px of kind {colours}, not those of its slide")
        tile: Pixels = simplejpeg.decode_jpeg(content, colorspace="RGB")
        return tile


def jpeg_tiles(path: Path, vendor: str, levels: tuple[Level, ...]) -> list[JpegTiles | None]:
    """Return each level's tiles; None for a level that OpenSlide must read: other tiles, or none at whole pixels."""
    if vendor not in TILED_FORMATS or not hasattr(os, "pread"):
        return [None] * len(levels)
    import tifffile

    file = path.open("rb")  # shared by the levels, and closed with the last of them
    with tifffile.TiffFile(path) as tiff:
        pages: list[Any] = list(tiff.pages)
        return [
            _tiles_of(file, [page for page in pages if page.is_tiled and page.shape[:2] == (level.height, level.width)])
            if float(level.downsample).is_integer()
            else None
            for level in levels
        ]


def _tiles_of(file: Any, pages: list[Any]) -> JpegTiles | None:
    if len(pages) != 1:
        return None
    page = pages[0]
    plain = page.samplesperpixel == 3 and page.bitspersample == 8 and page.planarconfig == 1 and page.imagedepth == 1
    if not plain or page.compression != 7 or page.photometric not in (RGB, YCBCR):
        return None
    # which colours they are is said by the TIFF, and told to the decoder by a marker of Adobe's
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + (b"\x01" if page.photometric == YCBCR else b"\x00")
    tables = page.jpegtables[2:-2] if page.jpegtables else b""
    return JpegTiles(
        file=file, width=page.tilewidth, height=page.tilelength, columns=-(-page.imagewidth // page.tilewidth),
        starts=np.array(page.dataoffsets, dtype=np.int64), lengths=np.array(page.databytecounts, dtype=np.int64),
        head=b"\xff\xd8" + adobe + tables,
    )  # fmt: skip


class _DecodedTiles:
    """The tiles that were decoded last; two threads that want one tile decode it once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tiles: OrderedDict[tuple[JpegTiles, int], Future[Pixels]] = OrderedDict()
        self._bytes = 0

    def get(self, tiles: JpegTiles, number: int) -> Pixels:
        """Return a tile, from memory where it is there."""
        key = (tiles, number)
        with self._lock:
            found = self._tiles.get(key)
            if found is None:
                promised = self._tiles[key] = Future()
            else:
                self._tiles.move_to_end(key)
        if found is not None:
            return found.result()
        try:
            tile = tiles.decode(number)
        except BaseException as error:
            with self._lock:
                del self._tiles[key]
            promised.set_exception(error)
            raise
        promised.set_result(tile)
        with self._lock:
            self._bytes += tiles.bytes_of_a_tile
            while self._bytes > DECODED_BYTES and len(self._tiles) > 1:
                self._drop_oldest()
        return tile

    def _drop_oldest(self) -> None:
        key, tile = self._tiles.popitem(last=False)
        if tile.done():
            self._bytes -= key[0].bytes_of_a_tile
        else:  # being decoded at this moment
            self._tiles[key] = tile


@functools.cache
def _decoded_tiles() -> _DecodedTiles:
    return _DecodedTiles()


if hasattr(os, "register_at_fork"):  # a lock that a thread of the parent held would never open for the child
    os.register_at_fork(after_in_child=_decoded_tiles.cache_clear)
