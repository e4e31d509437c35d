"""Reading cells' patches from JPEG-tiled pyramids, against a loop of OpenSlide.read_region in cell order.

The cells lie where MIDOG++'s lie, 20 of its fields of 7,000 x 5,200 px on a slide, and come in the order of their ids
as text, as in a cell table; or in random order. The slides are synthetic; none of them is in the file cache when a
round begins. That both sides read the same pixels is checked first. What a GPU would need is modelled, not measured.

python benchmarks/patches.py [--cells 5000] [--tile 256] [--rounds 3] [--order random] [--labels MIDOG++.json]
"""

from __future__ import annotations

import io
import json
import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openslide
import pandas as pd
import tifffile
from PIL import Image
from recording import arguments, keep, say, skip

from mitozoo.data import jpeg_tiles
from mitozoo.data.cells import Cells, read_every_cell
from mitozoo.data.geometry import Geometry
from mitozoo.data.patches import PatchPlan, plan_patches
from mitozoo.data.slides import _open_slides
from mitozoo.embeddings.reading import ROWS_A_TASK, reading_threads
from mitozoo.plugins.dataset_spec import DatasetSpec
from mitozoo.plugins.formats import CellTable
from mitozoo.plugins.registry import load_registry

MPP, SIDE = 0.25, 224
FIELD = (7_400, 5_600)  # px around one MIDOG++ image, with room to its neighbours
FIELDS_ACROSS, FIELDS_DOWN = 4, 5
POOL = 200  # different tiles of a slide
LABELS = Path(__file__).parents[2] / "shared" / "data" / "annotations" / "MIDOG++.json"
CORES = 16
VIT_L_FLOP, GPU_FLOPS = 2 * 61.6e9, 989e12  # a ViT-L/16 at 224 px; an H200's stated dense bf16 peak
GPU_SHARE = 0.5  # more than the extraction goal asks of a ViT-L

SPEC = DatasetSpec(
    name="bench", labels={"MF": "positive", "HN": "hard"}, positive_class="mitotic figure", negative_class="look-alike",
    cells=CellTable(path="cells.csv", cell_id="{id}", slide="{slide}", file="{slide}", x="x", y="y", label="{label}"),
    group="slide", mpp=None, license="CC0-1.0", reference="https://example.org", negatives_origin="made up",
)  # fmt: skip


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--cells", type=int, default=5000)
    parser.add_argument("--tile", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--order", choices=("text", "random"), default="text", help="of the cells on OpenSlide's side")
    parser.add_argument("--labels", type=Path, default=LABELS)
    asked = parser.parse_args()
    if not asked.labels.is_file():
        skip(f"{asked.labels} is not there; MIDOG++.json gives the cells their places (--labels)")

    read_labels(asked.labels.parent)
    with tempfile.TemporaryDirectory() as folder:
        table = places(asked.labels, asked.cells)
        files = write_slides(Path(folder), sorted(table["file"].unique()), asked.tile)
        plan = plan_patches(Cells(SPEC, Path(folder), table, "slide"), Geometry(SIDE * MPP, "reflect"), target_px=SIDE)
        if asked.order == "random":
            plan = plan.take(np.random.default_rng(0).permutation(len(plan)))
        assert (plan.side_px == SIDE).all()
        assert not plan.beyond_border.any()
        size = f"{sum(file.stat().st_size for file in files) / 1e6:,.0f} MB"
        say(f"{len(plan):,} cells in {asked.order} order, {len(files)} slides, {size}, tiles of {asked.tile} px")
        if not np.array_equal(openslide_loop(plan), mitozoo_reads(plan)):
            raise SystemExit("the two sides read different pixels")
        say("equal pixels on both sides")
        theirs, ours = [], []
        for _ in range(asked.rounds):
            theirs.append(timed(openslide_loop, plan, files))
            ours.append(timed(mitozoo_reads, plan, files))
        report(len(plan), theirs, ours)
        model(plan, ours)
    keep(asked, __doc__)


def read_labels(folder: Path) -> None:
    """Say how long MIDOG++'s label file and split take to become the validated cell table."""
    spec, seconds = load_registry().dataset("midogpp").spec, []
    for _ in range(5):
        clock, processor = time.perf_counter(), time.process_time()
        table = read_every_cell(spec, folder)[1]
        seconds.append((time.perf_counter() - clock, time.process_time() - processor))
    clock, processor = (statistics.median(both[index] for both in seconds) for index in (0, 1))
    say(f"MIDOG++.json and its split into a table of {len(table):,} cells: {clock:.2f} s, processor {processor:.2f} s")


def places(labels: Path, count: int) -> pd.DataFrame:
    """Return a cell table with MIDOG++'s positions, images laid out side by side on slides."""
    content = json.loads(labels.read_text())
    boxes = pd.DataFrame(
        [
            (a["image_id"], str(a["id"]), *np.mean(np.reshape(a["bbox"], (2, 2)), axis=0))
            for a in content["annotations"]
        ],
        columns=["image", "cell_id", "x", "y"],
    )
    boxes = boxes[boxes["x"].between(0, FIELD[0]) & boxes["y"].between(0, FIELD[1])]
    images = np.random.default_rng(0).permutation(boxes["image"].unique())
    sizes = boxes["image"].value_counts()[images].cumsum()
    images = images[: int((sizes < count).sum()) + 1]
    number = {image: index for index, image in enumerate(sorted(images))}
    cells = boxes[boxes["image"].isin(images)].sort_values("cell_id")[:count].reset_index(drop=True)
    field = cells["image"].map(number).to_numpy()
    slide, place = np.divmod(field, FIELDS_ACROSS * FIELDS_DOWN)
    down, across = np.divmod(place, FIELDS_ACROSS)
    cells["x"] += SIDE + across * FIELD[0]
    cells["y"] += SIDE + down * FIELD[1]
    cells["file"] = [f"slide-{at}.tif" for at in slide]
    return cells.assign(slide=cells["file"], group=cells["file"], mpp=np.nan, label=0)


def write_slides(folder: Path, names: list[str], tile: int) -> list[Path]:
    """Write pyramids of JPEG tiles; a slide repeats some hundred tiles in random order."""
    tifffile.tifffile.imagecodecs.jpeg_encode = tifffile.tifffile.imagecodecs.jpeg_decode = None  # tiles come encoded
    random = np.random.default_rng(1)
    pool = [tissue(tile, random) for _ in range(POOL)]
    for name in names:
        width, height = FIELDS_ACROSS * FIELD[0] + 2 * SIDE, FIELDS_DOWN * FIELD[1] + 2 * SIDE
        with tifffile.TiffWriter(folder / name, bigtiff=True) as tiff:
            for shrink in (1, 4, 16):
                shape = (height // shrink, width // shrink, 3)
                tiles = -(-shape[0] // tile) * -(-shape[1] // tile)
                tiff.write(
                    (pool[at] for at in random.integers(POOL, size=tiles)), shape=shape, dtype="uint8",
                    tile=(tile, tile), photometric="ycbcr", compression="jpeg", subsampling=(2, 2),
                    subfiletype=int(shrink > 1), resolution=(1e4 / MPP, 1e4 / MPP), resolutionunit="CENTIMETER",
                )  # fmt: skip
    return [folder / name for name in names]


def tissue(side: int, random: np.random.Generator) -> bytes:
    coarse = np.array([200, 140, 180]) + 25 * random.normal(size=(side // 8, side // 8, 3))
    smooth = Image.fromarray(np.clip(coarse, 0, 255).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    grainy = np.asarray(smooth) + 6 * random.normal(size=(side, side, 3))
    encoded = io.BytesIO()
    Image.fromarray(np.clip(grainy, 0, 255).astype(np.uint8)).save(encoded, "JPEG", quality=80)
    return encoded.getvalue()


def openslide_loop(plan: PatchPlan) -> np.ndarray:
    slides = [openslide.OpenSlide(file) for file in plan.files]
    patches = np.empty((len(plan), SIDE, SIDE, 3), dtype=np.uint8)
    for row in range(len(plan)):
        corner = (int(np.floor(at[row] - SIDE / 2 + 0.5)) for at in (plan.x, plan.y))
        region = slides[plan.file_index[row]].read_region(tuple(corner), 0, (SIDE, SIDE))
        patches[row] = np.asarray(region.convert("RGB"))
    return patches


def mitozoo_reads(plan: PatchPlan) -> np.ndarray:
    """Read all patches as extraction and the patch store do, less the resampling and the digests that follow."""
    _open_slides.clear()
    jpeg_tiles._decoded_tiles.cache_clear()
    patches = np.empty((len(plan), SIDE, SIDE, 3), dtype=np.uint8)
    order = plan.reading_order()

    def read(rows: np.ndarray) -> None:
        for row in rows:
            patches[row] = plan.read(int(row))

    with ThreadPoolExecutor(reading_threads()) as threads:
        list(threads.map(read, [order[at : at + ROWS_A_TASK] for at in range(0, len(order), ROWS_A_TASK)]))
    return patches


def timed(read, plan: PatchPlan, files: list[Path]) -> tuple[float, float]:
    """Return seconds on the clock and of the processor, the files not in the cache at the start."""
    for file in files:
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    clock, processor = time.perf_counter(), time.process_time()
    read(plan)
    return time.perf_counter() - clock, time.process_time() - processor


def report(cells: int, theirs: list[tuple[float, float]], ours: list[tuple[float, float]]) -> None:
    for what, index in (("clock", 0), ("processor", 1)):
        one, other = (statistics.median(times[index] for times in side) for side in (theirs, ours))
        ratio = statistics.median(a[index] / b[index] for a, b in zip(theirs, ours, strict=True))
        milliseconds = f"{one / cells * 1e3:5.2f} against {other / cells * 1e3:5.2f} ms a cell"
        say(f"{what:9}  read_region in cell order, mitozoo: {milliseconds}; {ratio:.2f} times (median)")


def model(plan: PatchPlan, ours: list[tuple[float, float]]) -> None:
    """Say what 16 such cores would feed; modelled, with all but the decoding of tiles taken as serial in a process."""
    busy = statistics.median(processor for _, processor in ours) / len(plan)
    jpeg_tiles.DECODED_BYTES, rows = 2_000_000_000, plan.reading_order()[:400]
    for _ in range(2):  # the second time all tiles are in memory
        start = time.process_time()
        for row in rows:
            plan.read(int(row))
        serial = (time.process_time() - start) / len(rows)
    feeds, eats = min(CORES / busy, 1 / serial), GPU_SHARE * GPU_FLOPS / VIT_L_FLOP
    say(
        f"modelled, not measured: {CORES} such cores feed {CORES / busy:,.0f} patches/s, threads of one process at "
        f"most {1 / serial:,.0f};\na ViT-L/16 in bf16 at {GPU_SHARE:.0%} of an H200's stated peak takes {eats:,.0f}: "
        + ("reading keeps up" if feeds > eats else "the network would wait")
    )


if __name__ == "__main__":
    main()
