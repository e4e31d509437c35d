"""The two kinds of slide file: tiled ones, which OpenSlide opens, and plain images, which Pillow decodes whole."""

from __future__ import annotations

import functools
import os
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from mitozoo.data.jpeg_tiles import JpegTiles, jpeg_tiles
from mitozoo.data.slide import Level, Pixels, Slide, decoding
from mitozoo.errors import SlideError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PLAIN_IMAGES = {".png", ".jpg", ".jpeg", ".bmp"}  # OpenSlide reads none of them; asking it costs time
TILE_CACHE_BYTES = 128_000_000  # OpenSlide's decoded tiles, all slides together
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
TIFF_RESOLUTION = (282, 283)  # across and down, px per unit
TIFF_UNIT = 296
TIFF_TILE_WIDTH = 322
MAX_TILE_PIXELS = 1 << 24  # of a slide's tile, which is decoded whole; real ones have 65,536 to 1 million
SIDES = ("width", "height")
MICRONS_PER_UNIT = {2: 25_400.0, 3: 10_000.0}  # inch and centimetre


class WholeSlide(Slide):
    """A slide that OpenSlide opens and reads; its plain JPEG tiles are decoded here, where that gives the same pixels.

    A level's first window is read both ways: if one pixel differs, OpenSlide reads all of that level.
    """

    def __init__(self, path: Path) -> None:
        import openslide

        self._slide = openslide.OpenSlide(path)
        self._slide.set_cache(_tile_cache())
        properties = self._slide.properties
        background = properties.get(openslide.PROPERTY_NAME_BACKGROUND_COLOR, "ffffff")
        self._background = np.frombuffer(bytes.fromhex(background), dtype=np.uint8)
        for level in range(self._slide.level_count):
            width, height = (int(properties.get(f"openslide.level[{level}].tile-{side}", 0)) for side in SIDES)
            if width * height > MAX_TILE_PIXELS:
                raise SlideError(f"slide {path} has tiles of {width:,} x {height:,} px, each of which is decoded whole")
        mpp = [
            float(properties.get(name, "nan"))
            for name in (openslide.PROPERTY_NAME_MPP_X, openslide.PROPERTY_NAME_MPP_Y)
        ]
        sizes = zip(self._slide.level_dimensions, self._slide.level_downsamples, strict=True)
        super().__init__(
            path,
            tuple(Level(width, height, downsample) for (width, height), downsample in sizes),
            (mpp[0], mpp[1]),
            decoded_bytes=0,  # all slides share one tile cache
        )
        self._vendor = str(properties.get(openslide.PROPERTY_NAME_VENDOR))
        self._proven: set[int] = set()  # levels

    @functools.cached_property
    def _jpeg_tiles(self) -> list[JpegTiles | None]:
        return jpeg_tiles(self.path, self._vendor, self.levels)

    @staticmethod
    def knows(path: Path) -> bool:
        """Return whether OpenSlide reads this file's format."""
        if path.suffix.lower() in PLAIN_IMAGES:
            return False
        import openslide

        return openslide.OpenSlide.detect_format(path) is not None

    def require_whole(self) -> None:
        """Raise `SlideError` if the file ends before its pixels do."""
        with decoding(self.path):
            _require_whole_tiff(self.path)

    def _region(self, level: int, left: int, top: int, width: int, height: int) -> Pixels:
        tiles = self._jpeg_tiles[level]
        decoded = tiles.region(left, top, width, height) if tiles else None
        if decoded is not None and level in self._proven:
            return decoded
        pixels = self._read_region(level, left, top, width, height)
        if decoded is not None and np.array_equal(decoded, pixels):
            self._proven.add(level)
        elif decoded is not None:
            self._jpeg_tiles[level] = None
        return pixels

    def _read_region(self, level: int, left: int, top: int, width: int, height: int) -> Pixels:
        downsample = self.levels[level].downsample
        origin = (round(left * downsample), round(top * downsample))
        rgba = np.asarray(self._slide.read_region(origin, level, (width, height)))
        if rgba[..., 3].min() == 255:
            return rgba[..., :3]
        alpha = rgba[..., 3:].astype(np.uint16)  # transparent where nothing was scanned
        return ((rgba[..., :3] * alpha + self._background * (255 - alpha) + 127) // 255).astype(np.uint8)


class PlainImage(Slide):
    """An image without tiles, decoded whole by Pillow at the first read."""

    def __init__(self, path: Path) -> None:
        from PIL import Image, UnidentifiedImageError

        try:
            opened = Image.open(path)
        except UnidentifiedImageError as error:
            raise SlideError(f"slide {path} is truncated, or no image that OpenSlide or Pillow knows") from error
        with opened as image:
            width, height = image.size
            limit = Image.MAX_IMAGE_PIXELS
            if limit is not None and width * height > limit:
                raise SlideError(
                    f"slide {path} has {width} x {height} px; an image without tiles is decoded whole, "
                    f"and may have {limit:,} px at most",
                    hint="Convert it to a tiled pyramidal TIFF, which is read window by window.",
                )
            if image.mode not in {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"}:
                raise SlideError(f"slide {path} has pixels of kind '{image.mode}', and 8 bits a channel are needed")
            tags = getattr(image, "tag_v2", {})
            if TIFF_TILE_WIDTH in tags:  # a slide that OpenSlide would have read, were it whole
                raise SlideError(f"slide {path} is truncated, or a tiled TIFF of a kind that OpenSlide cannot read")
            self._format, mpp_xy = image.format, _tiff_mpp(tags)
        self._lock = threading.Lock()
        self._pixels: Pixels | None = None
        super().__init__(path, (Level(width, height, 1.0),), mpp_xy, decoded_bytes=width * height * 3)

    def require_whole(self) -> None:
        """Raise `SlideError` if the file ends before its pixels do."""
        from PIL import Image

        with decoding(self.path):
            if self._format == "PNG":
                with Image.open(self.path) as image:
                    image.verify()  # walks through all chunks and their checksums
            elif self._format == "JPEG":
                _require_whole_jpeg(self.path)
            else:
                _require_whole_tiff(self.path)

    def _region(self, level: int, left: int, top: int, width: int, height: int) -> Pixels:
        assert level == 0
        with self._lock:  # Pillow's images are not for two threads
            if self._pixels is None:
                self._pixels = self._decode()
        return self._pixels[top : top + height, left : left + width]

    def _decode(self) -> Pixels:
        from PIL import Image

        with Image.open(self.path) as image:
            if "A" not in image.getbands() and "transparency" not in image.info:
                return np.asarray(image.convert("RGB"))
            white = Image.new("RGBA", image.size, "white")
            return np.asarray(Image.alpha_composite(white, image.convert("RGBA")).convert("RGB"))


def whole_image(path: Path) -> Pixels:
    """Return the pixels of an image without tiles, (height, width, 3) RGB.

    Raises:
        SlideError: it is no such image, cannot be decoded, or is too large to be decoded whole.
    """
    with decoding(path):
        return PlainImage(path)._decode()


@functools.cache
def _tile_cache() -> Any:
    import openslide

    return openslide.OpenSlideCache(TILE_CACHE_BYTES)


if hasattr(os, "register_at_fork"):  # a cache whose lock a thread of the parent held would never answer the child
    os.register_at_fork(after_in_child=_tile_cache.cache_clear)


def _tiff_mpp(tags: Mapping[int, Any]) -> tuple[float, float] | None:
    """Return microns per pixel across and down by a TIFF's resolution tags."""
    unit = MICRONS_PER_UNIT.get(tags.get(TIFF_UNIT, 0))
    across, down = (float(tags.get(tag, 0)) for tag in TIFF_RESOLUTION)
    return (unit / across, unit / down) if unit and across > 0 and down > 0 else None


def _require_whole_tiff(path: Path) -> None:
    """Raise `SlideError` where a TIFF's tables name tiles or strips that lie beyond its end."""
    import tifffile

    with path.open("rb") as file:
        if file.read(4) not in TIFF_STARTS:
            return
    with tifffile.TiffFile(path) as tiff:
        size = path.stat().st_size
        for page in tiff.pages:
            ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
            if max(ends, default=0) > size:
                raise SlideError(f"slide {path} is truncated: it has {size:,} bytes of at least {max(ends):,}")


def _require_whole_jpeg(path: Path) -> None:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 65536))
        if b"\xff\xd9" not in file.read():  # the end marker; some writers append a few bytes
            raise SlideError(f"slide {path} is truncated: its JPEG data do not end")
