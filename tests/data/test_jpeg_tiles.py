"""JPEG tiles decoded here show, pixel for pixel, what OpenSlide shows, and OpenSlide reads whatever they cannot."""

from __future__ import annotations

import io
import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import openslide
import pytest
from PIL import Image

from mitozoo.data import jpeg_tiles
from mitozoo.data.cells import Cells
from mitozoo.data.geometry import Geometry
from mitozoo.data.jpeg_tiles import JpegTiles
from mitozoo.data.patches import plan_patches
from mitozoo.data.slides import open_slide
from mitozoo.errors import SlideError

RNG = np.random.default_rng(5)
SIDE, TILE = 400, 128


def smooth(side):
    """A field with structure in all three channels, so that a wrong colour or subsampling shows."""
    coarse = RNG.integers(0, 256, (side // 10 + 1, side // 10 + 1, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def encoded(pixels, colours, **options):
    file = io.BytesIO()
    own = {"keep_rgb": True} if colours == "rgb" else {"subsampling": "4:2:0"}
    Image.fromarray(pixels).save(file, "JPEG", quality=80, **own, **options)
    return file.getvalue()


@pytest.fixture
def write_slide(tmp_path, monkeypatch):
    """Return a function that writes a pyramid of JPEG tiles, its tables in each tile or apart, some tiles missing."""
    import tifffile

    monkeypatch.setattr(tifffile.tifffile.imagecodecs, "jpeg_encode", None, raising=False)  # tiles come encoded
    monkeypatch.setattr(tifffile.tifffile.imagecodecs, "jpeg_decode", None, raising=False)

    def write(levels, colours="ycbcr", *, tile=TILE, tables_apart=False, missing=()):
        path = tmp_path / "slide.tif"
        with tifffile.TiffWriter(path) as tiff:
            for number, pixels in enumerate(levels):
                count = -(-len(pixels) // tile)
                full = np.pad(pixels, ((0, count * tile - len(pixels)),) * 2 + ((0, 0),), mode="edge")
                cut = [
                    full[down * tile :, across * tile :][:tile, :tile]
                    for down, across in itertools.product(range(count), repeat=2)
                ]
                apart = {"streamtype": 2} if tables_apart else {}
                tiles = (
                    b"" if at in missing else encoded(np.ascontiguousarray(one), colours, **apart)
                    for at, one in enumerate(cut)
                )
                tiff.write(
                    tiles, shape=pixels.shape, dtype="uint8", tile=(tile, tile), photometric=colours, compression=7,
                    compressionargs={"outcolorspace": colours},
                    jpegtables=encoded(cut[0], colours, streamtype=1) if tables_apart else None,
                    subsampling=(2, 2) if colours == "ycbcr" else None, subfiletype=1 if number else 0,
                    resolution=(1e4 / 0.25, 1e4 / 0.25), resolutionunit="CENTIMETER",
                )  # fmt: skip
        return path

    return write


def own(path, level, left, top, side):
    slide = openslide.OpenSlide(path)
    by = round(slide.level_downsamples[level])
    rgba = Image.fromarray(np.asarray(slide.read_region((left * by, top * by), level, (side, side))))
    return np.asarray(Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB"))


@pytest.mark.parametrize("tables_apart", [False, True])
@pytest.mark.parametrize("colours", ["ycbcr", "rgb"])
@pytest.mark.parametrize("tile", [64, 128, 240])
def test_every_window_is_openslides(write_slide, colours, tile, tables_apart):
    path = write_slide([smooth(SIDE), smooth(SIDE // 2)], colours, tile=tile, tables_apart=tables_apart)
    slide = open_slide(path)
    for level, by in ((0, 1), (1, 2)):
        for left, top, side in ((0, 0, 50), (61, 63, 130), (33, 7, 101), (SIDE // by - 90, SIDE // by - 71, 64)):
            x, y = ((at + side / 2) * by for at in (left, top))
            window = slide.read(x, y, side * by, side, "reflect")
            np.testing.assert_array_equal(window, own(path, level, left, top, side))
        assert level in slide._proven, "OpenSlide read what was to be decoded here"


def test_a_level_between_whole_pixels_is_openslides_own(write_slide):
    slide = open_slide(write_slide([smooth(SIDE), smooth(130)]))
    assert slide.levels[1].downsample == pytest.approx(400 / 130)
    assert [tiles is not None for tiles in slide._jpeg_tiles] == [True, False]
    assert slide.read(200, 200, 300, 90, "reflect").shape == (98, 98, 3)


def test_other_tiles_are_openslides_own(tmp_path, write_tiff):
    slide = open_slide(write_tiff(tmp_path / "deflate.tif", [smooth(200)], 0.25))
    assert slide._jpeg_tiles == [None]


def test_a_missing_tile_is_shown_as_openslide_shows_it(write_slide):
    path = write_slide([smooth(SIDE)], missing=(1,))
    slide = open_slide(path)
    for left in (150, 10, 300, 100):
        np.testing.assert_array_equal(slide.read(left + 40, 60, 80, 80, "reflect"), own(path, 0, left, 20, 80))
    assert (slide.read(190, 60, 40, 40, "reflect") == 255).all()


def test_where_one_pixel_differs_openslide_reads_the_level(write_slide, monkeypatch):
    path = write_slide([smooth(SIDE)])
    region = JpegTiles.region

    def one_off(self, *place):
        pixels = region(self, *place).copy()
        pixels[0, 0, 0] ^= 1
        return pixels

    monkeypatch.setattr(JpegTiles, "region", one_off)
    slide = open_slide(path)
    for left in (10, 20, 90):
        np.testing.assert_array_equal(slide.read(left + 50, 60, 100, 100, "reflect"), own(path, 0, left, 10, 100))
    assert slide._jpeg_tiles == [None]


def test_a_tile_that_cannot_be_decoded_is_named(write_slide):
    path = write_slide([smooth(SIDE)])
    slide = open_slide(path)
    slide.read(60, 60, 60, 60, "reflect")
    tiles = slide._jpeg_tiles[0]
    content = bytearray(path.read_bytes())
    start, length = int(tiles.starts[5]), int(tiles.lengths[5])
    content[start : start + length] = b"\x00" * length
    path.write_bytes(content)  # the same file, still open
    for _ in range(2):
        with pytest.raises(SlideError, match=r"slide.tif cannot be read"):
            slide.read(190, 190, 60, 60, "reflect")


@pytest.fixture
def decodings(monkeypatch):
    """Every decoding of a tile, by its number, from an empty cache."""
    jpeg_tiles._decoded_tiles.cache_clear()
    done, decode = [], JpegTiles.decode
    monkeypatch.setattr(JpegTiles, "decode", lambda self, number: done.append(number) or decode(self, number))
    return done


def test_threads_decode_each_tile_once(write_slide, decodings):
    path = write_slide([smooth(SIDE)])
    slide, expected = open_slide(path), own(path, 0, 0, 0, SIDE)
    corners = [(x, y) for x in range(0, 300, 20) for y in range(0, 300, 20)]
    with ThreadPoolExecutor(8) as threads:
        windows = list(threads.map(lambda at: slide.read(at[0] + 40, at[1] + 40, 80, 80, "black"), corners))
    for (left, top), window in zip(corners, windows, strict=True):
        np.testing.assert_array_equal(window, expected[top : top + 80, left : left + 80])
    assert sorted(decodings) == [0, 1, 2, 4, 5, 6, 8, 9, 10]  # of four columns


def test_decoded_tiles_are_bounded_and_those_used_last_are_kept(write_slide, decodings, monkeypatch):
    monkeypatch.setattr(jpeg_tiles, "DECODED_BYTES", 3 * TILE * TILE * 3)
    slide = open_slide(write_slide([smooth(SIDE)]))
    for left in (0, 128, 256, 0, 256):
        slide.read(left + 32, 32, 64, 64, "reflect")
    assert decodings == [0, 1, 2]
    slide.read(32, 160, 64, 64, "reflect")  # a fourth tile: 1 was used longest ago
    slide.read(32, 32, 64, 64, "reflect")
    slide.read(160, 32, 64, 64, "reflect")
    assert decodings == [0, 1, 2, 4, 1]
    assert jpeg_tiles._decoded_tiles()._bytes <= jpeg_tiles.DECODED_BYTES


@pytest.mark.shared
def test_cells_of_a_real_aperio_slide_show_openslides_own_pixels(shared_data, tmp_path, make_spec, monkeypatch):
    """Through the whole way: a cell table, its windows in um, and the pixels of each."""
    monkeypatch.setenv("MITOZOO_HOME", str(tmp_path))
    name = "CMU-1-Small-Region.svs"
    reference = openslide.OpenSlide(shared_data / "slides" / name)
    places = RNG.uniform((-20, -20), (2240, 2987), (60, 2))
    import pandas as pd

    table = pd.DataFrame(
        {"cell_id": [f"{n:02}" for n in range(60)], "slide": name, "file": name, "x": places[:, 0],
         "y": places[:, 1], "mpp": np.nan}
    )  # fmt: skip
    cells = Cells(make_spec(mpp=None), shared_data / "slides", table, "slide")
    plan = plan_patches(cells, Geometry(56.0, "reflect"), target_px=112)
    assert plan.side_px.tolist() == [112] * 60  # 56 um at the file's own 0.499 um/px
    whole = np.asarray(reference.read_region((0, 0), 0, reference.dimensions).convert("RGB"))
    padded = np.pad(whole, ((150, 150), (150, 150), (0, 0)), mode="symmetric")
    for row, (x, y) in enumerate(places):
        left, top = int(np.floor(x - 55.5)), int(np.floor(y - 55.5))
        np.testing.assert_array_equal(plan.read(row), padded[top + 150 : top + 262, left + 150 : left + 262])
