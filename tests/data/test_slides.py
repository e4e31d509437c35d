"""Slides: the same window from every kind of file, exact at the border, at the right level, and broken files named."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mitozoo.data import slides
from mitozoo.data.slides import open_slide, shared_slide
from mitozoo.errors import DataError, SlideError

SVS = "CMU-1-Small-Region.svs"
RNG = np.random.default_rng(0)
FIELD = RNG.integers(0, 256, (150, 200, 3), dtype=np.uint8)


def save(path, pixels=FIELD, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


def reference(pixels, x, y, side, mode):
    """A window cut from a copy of the slide that numpy padded far enough."""
    left, top = int(np.floor(x - side / 2 + 0.5)), int(np.floor(y - side / 2 + 0.5))
    margin = side + abs(left) + abs(top) + max(pixels.shape)
    padded = np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), mode=mode)
    return padded[top + margin : top + margin + side, left + margin : left + margin + side]


@pytest.mark.parametrize("kind", ["pyramid.tif", "strips.tif", "plain.png", "plain.bmp", "palette.png"])
def test_every_kind_of_file_gives_the_same_window(tmp_path, write_tiff, kind):
    path, pixels = tmp_path / kind, FIELD
    match kind:
        case "pyramid.tif":
            write_tiff(path, [FIELD, FIELD[::4, ::4]], 0.25)
        case "strips.tif":
            save(path, compression="tiff_lzw")
        case "palette.png":
            palette = Image.fromarray(FIELD).convert("P")
            palette.save(path)
            pixels = np.asarray(palette.convert("RGB"))
        case _:
            save(path)
    slide = open_slide(path)
    slide.require_whole()
    assert slide.size == (200, 150)
    for edge, mode in (("reflect", "symmetric"), ("black", "constant")):
        for x, y, side in ((100, 75, 32), (100.5, 75.5, 31), (3, 4, 40), (199.9, 149.9, 60), (100, 75, 700)):
            window = slide.read(x, y, side, side, edge)
            assert window.dtype == np.uint8
            assert window.flags.c_contiguous
            assert window.flags.writeable
            np.testing.assert_array_equal(window, reference(pixels, x, y, side, mode))


@given(
    x=st.floats(-300, 400), y=st.floats(-300, 400), side=st.integers(1, 130),
    edge=st.sampled_from(["reflect", "black"]), shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
)  # fmt: skip
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_border_is_numpys(tmp_path, x, y, side, edge, shape):
    pixels = FIELD[: shape[0], : shape[1]]
    path = save(tmp_path / f"{shape[0]}x{shape[1]}.png", pixels)
    expected = reference(pixels, x, y, side, "symmetric" if edge == "reflect" else "constant")
    np.testing.assert_array_equal(open_slide(path).read(x, y, side, side, edge), expected)


def test_the_level_is_the_coarsest_that_is_fine_enough(tmp_path, write_tiff):
    levels = [
        np.full((1024 >> shift, 2048 >> shift, 3), value, np.uint8) for shift, value in ((0, 10), (1, 20), (3, 30))
    ]
    slide = open_slide(write_tiff(tmp_path / "s.tif", levels, 0.25))
    assert [level.downsample for level in slide.levels] == [1, 2, 8]
    for side, target, level, read_side in (
        (100, 224, 0, 100), (224, 224, 0, 224), (447, 224, 1, 224), (448, 224, 1, 224), (446, 224, 0, 446),
        (800, 224, 1, 400), (800, 100, 2, 100), (799, 101, 1, 400), (799, 64, 2, 100),
    ):  # fmt: skip
        window = slide.read(1000, 500, side, target, "reflect")
        assert slide.level_for(side, target) == level
        assert window.shape == (read_side, read_side, 3)
        assert set(window.ravel()) == {(10, 20, 30)[level]}
        assert level == 0 or read_side >= target, "a window was read that must be upsampled"


def test_a_coarse_level_is_read_at_the_right_place(tmp_path, write_tiff):
    coarse = RNG.integers(0, 256, (128, 160, 3), dtype=np.uint8)
    fine = coarse.repeat(4, axis=0).repeat(4, axis=1)
    slide = open_slide(write_tiff(tmp_path / "s.tif", [fine, coarse], 0.25))
    np.testing.assert_array_equal(slide.read(4 * 80, 4 * 60, 4 * 32, 32, "reflect"), coarse[44:76, 64:96])
    corner = slide.read(4 * 5, 4 * 3, 4 * 32, 32, "reflect")
    np.testing.assert_array_equal(corner, reference(coarse, 5, 3, 32, "symmetric"))


@pytest.mark.shared
def test_a_real_aperio_slide_gives_openslides_own_pixels(shared_data):
    import openslide

    slide, own = open_slide(shared_data / "slides" / SVS), openslide.OpenSlide(shared_data / "slides" / SVS)
    slide.require_whole()
    assert slide.size == own.dimensions == (2220, 2967)
    assert slide.mpp == 0.499
    for x, y, side in ((1110, 1480, 224), (240, 480, 300), (112, 112, 224), (2220 - 56, 2967 - 56, 112)):
        expected = own.read_region((x - side // 2, y - side // 2), 0, (side, side)).convert("RGB")
        np.testing.assert_array_equal(slide.read(x, y, side, 224, "reflect"), np.asarray(expected))
    whole = np.asarray(own.read_region((0, 0), 0, (300, 300)).convert("RGB"))
    np.testing.assert_array_equal(slide.read(10, 20, 112, 224, "reflect"), reference(whole, 10, 20, 112, "symmetric"))
    np.testing.assert_array_equal(slide.read(10, 20, 112, 224, "black"), reference(whole, 10, 20, 112, "constant"))


@pytest.mark.shared
@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_a_truncated_aperio_slide_is_named(shared_data, tmp_path, share):
    content = (shared_data / "slides" / SVS).read_bytes()
    (tmp_path / "cut.svs").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(SlideError, match=r"cut.svs"):
        open_slide(tmp_path / "cut.svs").require_whole()


def test_transparent_pixels_lie_on_white(tmp_path):
    rgba = np.zeros((20, 20, 4), np.uint8)
    rgba[..., 0], rgba[:, 5:10, 3], rgba[:, 10:, 3] = 200, 128, 255
    save(tmp_path / "a.png", rgba)
    window = open_slide(tmp_path / "a.png").read(10, 10, 20, 20, "reflect")
    assert window[0, 0].tolist() == [255, 255, 255]
    assert window[0, 15].tolist() == [200, 0, 0]
    np.testing.assert_allclose(window[0, 7], [255 - 55 * 128 / 255, 255 - 128, 255 - 128], atol=1)


def test_what_was_not_scanned_is_white_in_a_tiled_slide(tmp_path):
    import tifffile

    dark = np.full((64, 64, 3), 90, np.uint8)
    with tifffile.TiffWriter(tmp_path / "sparse.tif") as tiff:
        tiff.write(
            iter([dark, None, None, dark]), shape=(128, 128, 3), dtype="uint8", tile=(64, 64), photometric="rgb",
            compression="deflate",
        )  # fmt: skip
    slide = open_slide(tmp_path / "sparse.tif")
    window = slide.read(64, 64, 128, 128, "reflect")
    assert slide.levels[0].downsample == 1
    assert {tuple(pixel) for pixel in window[:64, :64].reshape(-1, 3).tolist()} == {(90, 90, 90)}
    assert {tuple(pixel) for pixel in window[:64, 64:].reshape(-1, 3).tolist()} == {(255, 255, 255)}


def test_half_transparent_tiles_are_blended_once(tmp_path, write_tiff, monkeypatch):
    """OpenSlide hands out straight alpha; a pixel of colour c and alpha a shows a c + (1 - a) background."""
    slide = open_slide(write_tiff(tmp_path / "s.tif", [FIELD], 0.25))
    half = Image.new("RGBA", (32, 32), (100, 0, 250, 51))
    monkeypatch.setattr(slide._slide, "read_region", lambda *_: half)
    window = slide.read(100, 75, 32, 32, "reflect")
    expected = Image.alpha_composite(Image.new("RGBA", (32, 32), "white"), half).convert("RGB")
    np.testing.assert_allclose(window.astype(int), np.asarray(expected).astype(int), atol=1)


@pytest.mark.parametrize(
    ("mpp", "expected"), [(0.25, 0.25), ((0.2500, 0.2510), 0.2505), (None, None), (352.8, None), (0.001, None)]
)
@pytest.mark.parametrize("tiled", [True, False])
def test_microns_per_pixel_of_the_file(tmp_path, write_tiff, mpp, expected, tiled):
    path = tmp_path / "s.tif"
    if tiled:
        write_tiff(path, [FIELD], mpp)
    else:
        across, down = mpp if isinstance(mpp, tuple) else (mpp, mpp)
        save(
            path,
            **(
                {}
                if mpp is None
                else {"x_resolution": 25400 / across, "y_resolution": 25400 / down, "resolution_unit": 2}
            ),
        )
    assert open_slide(path).mpp == (None if expected is None else pytest.approx(expected, rel=1e-5))


@pytest.mark.parametrize("tiled", [True, False])
def test_pixels_that_are_not_square_are_refused_once_asked_for(tmp_path, write_tiff, tiled):
    path = tmp_path / "s.tif"
    if tiled:
        write_tiff(path, [FIELD], (0.25, 0.2526))
    else:
        save(path, x_resolution=1e4 / 0.25, y_resolution=1e4 / 0.2526, resolution_unit=3)
    slide = open_slide(path)
    with pytest.raises(DataError, match=r"0.25 um/px across and 0.2526 um/px down"):
        _ = slide.mpp


def test_a_pictures_dpi_is_no_scanners(tmp_path):
    assert open_slide(save(tmp_path / "a.png", dpi=(101600, 101600))).mpp is None
    assert open_slide(save(tmp_path / "a.jpg", dpi=(300, 300))).mpp is None


def broken(tmp_path, write_tiff, kind):
    path = tmp_path / kind
    match kind:
        case "missing.tif":
            return path
        case "folder.tif":
            path.mkdir()
            return path
        case "empty.tif" | "empty.png":
            path.touch()
            return path
        case "text.png" | "text.svs":
            path.write_text("no image")
            return path
        case "grey16.png":
            return save(path, FIELD[..., 0].astype(np.uint16) * 200)
        case "cut-tiled.tif":
            write_tiff(path, [FIELD, FIELD[::2, ::2]], 0.25)
        case "cut-strips.tif":
            save(path)
        case _:
            save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    return path


@pytest.mark.parametrize(
    "kind",
    [
        "missing.tif", "folder.tif", "empty.tif", "empty.png", "text.png", "text.svs", "grey16.png", "cut-tiled.tif",
        "cut-strips.tif", "cut.png", "cut.jpg",
    ],
)  # fmt: skip
def test_a_broken_slide_is_named_before_work_starts(tmp_path, write_tiff, kind):
    path = broken(tmp_path, write_tiff, kind)
    with pytest.raises(SlideError, match=kind) as caught:
        open_slide(path).require_whole()
    assert "\n" not in caught.value.message


def test_a_slide_that_breaks_while_it_is_read_is_named(tmp_path):
    path = save(tmp_path / "s.png")
    slide = open_slide(path)
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(SlideError, match=r"s.png cannot be read") as caught:
        slide.read(100, 75, 32, 32, "reflect")
    assert caught.value.__cause__ is not None


def test_a_tile_that_cannot_be_decoded_is_named(tmp_path, write_tiff):
    path = write_tiff(tmp_path / "s.tif", [FIELD], 0.25)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 4000] = b"\xff" * 4000
    path.write_bytes(content)
    slide = open_slide(path)
    slide.require_whole()  # its tables are whole
    with pytest.raises(SlideError, match=r"s.tif cannot be read"):
        slide.read(100, 75, 200, 200, "reflect")


def test_an_image_too_large_to_decode_is_refused(tmp_path, monkeypatch):
    path = save(tmp_path / "s.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 29_999)
    with (
        pytest.warns(Image.DecompressionBombWarning),
        pytest.raises(SlideError, match=r"may have 29,999 px at most") as caught,
    ):
        open_slide(path)
    assert "tiled pyramidal TIFF" in caught.value.hint
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000)
    with pytest.raises(SlideError, match=r"decompression bomb"):
        open_slide(path)


@pytest.mark.parametrize("name", ["s.tif", "s.png"])
def test_many_threads_read_the_same_pixels(tmp_path, write_tiff, name):
    path = tmp_path / name
    _ = write_tiff(path, [FIELD], 0.25) if name == "s.tif" else save(path)
    places = [(x, y) for x in range(0, 200, 13) for y in range(0, 150, 17)]
    with ThreadPoolExecutor(8) as threads:
        windows = list(threads.map(lambda at: shared_slide(path).read(*at, 20, 20, "reflect"), places))
    for (x, y), window in zip(places, windows, strict=True):
        np.testing.assert_array_equal(window, reference(FIELD, x, y, 20, "symmetric"))


def test_few_slides_stay_open_and_a_changed_file_is_opened_anew(tmp_path, monkeypatch):
    held = slides._OpenSlides()
    paths = [save(tmp_path / f"{number}.png") for number in range(slides.OPEN_FILES + 4)]
    opened = [held.get(path) for path in paths]
    assert len(held._slides) == slides.OPEN_FILES
    assert held.get(paths[-1]) is opened[-1]
    assert held.get(paths[0]) is not opened[0]
    monkeypatch.setattr(slides, "OPEN_BYTES", FIELD.nbytes * 3)
    held.get(paths[1])
    assert len(held._slides) == 3
    save(paths[1], 255 - FIELD[:100])
    np.testing.assert_array_equal(held.get(paths[1]).read(50, 50, 10, 10, "black"), 255 - FIELD[45:55, 45:55])
    paths[1].unlink()
    with pytest.raises(SlideError, match=r"1.png cannot be read"):
        held.get(paths[1])


def read_in_child(path):
    return shared_slide(path).read(100, 75, 32, 32, "reflect")


@pytest.mark.parametrize("name", ["s.tif", "s.png"])
def test_a_forked_worker_neither_waits_for_a_lock_nor_shares_a_handle(tmp_path, write_tiff, name):
    path = tmp_path / name
    _ = write_tiff(path, [FIELD], 0.25) if name == "s.tif" else save(path)
    expected = shared_slide(path).read(100, 75, 32, 32, "reflect")
    with (
        slides._open_slides._lock,
        multiprocessing.get_context("fork").Pool(1) as pool,
    ):  # as if a thread were opening one
        np.testing.assert_array_equal(pool.apply_async(read_in_child, (path,)).get(timeout=30), expected)
