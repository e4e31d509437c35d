"""A contact sheet: the crops of an audit's examples side by side, framed by label, for a person to judge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from PIL.Image import Image as Picture

    from mitozoo.data.audit.findings import AuditFinding
    from mitozoo.data.slide import Pixels

CROP, FRAME, GAP, LINE = 128, 5, 14, 14  # px
SLOT = CROP + 2 * FRAME + 2  # of one crop with its frame
ACROSS, TOGETHER = 9, 3  # crops in a row, crops of one example
POSITIVE, NEGATIVE = (213, 94, 0), (0, 114, 178)  # vermilion and blue, which nearly everybody can tell apart
INK, PAPER = (20, 20, 20), (255, 255, 255)
LONGEST_NAME = 22  # letters below a crop


def contact_sheet(
    findings: Sequence[AuditFinding],
    read: Callable[[int], Pixels | None],
    names: Sequence[str],
    labels: Sequence[int],
    classes: tuple[str, str],
    path: Path,
) -> int:
    """Write a PNG of the findings' examples, and return how many crops it shows.

    Args:
        findings: those without examples are left out.
        read: reads the crop of a cell (h, w, 3) by its position, None where it cannot be seen.
        names: the cells' names.
        labels: 1 for the positive class.
        classes: names of the positive and of the negative class.
        path: where to write it.
    """
    from PIL import Image

    from mitozoo.storage import write_whole

    sections = [(one, _seen(one, read)) for one in findings]
    sections = [(one, examples) for one, examples in sections if examples]
    example_height = CROP + 2 * FRAME + 2 * LINE + GAP
    together = [max(map(len, examples)) for _, examples in sections]
    rows = [-(-len(examples) // (ACROSS // crops)) for (_, examples), crops in zip(sections, together, strict=True)]
    height = GAP + 2 * LINE + sum(2 * LINE + row * example_height for row in rows)
    sheet = Image.new("RGB", (ACROSS * (SLOT + GAP) + GAP, height), PAPER)
    _write(sheet, GAP, GAP // 2, f"positive: {classes[0]}", POSITIVE)
    _write(sheet, GAP, GAP // 2 + LINE, f"negative: {classes[1]}", NEGATIVE)
    top, shown = GAP + 2 * LINE, 0
    for (one, examples), crops, row_count in zip(sections, together, rows, strict=True):
        in_a_row, example_width = ACROSS // crops, crops * SLOT + GAP
        _write(sheet, GAP, top, f"{one.kind}: {one.count:,} {one.unit} ({one.severity})", INK)
        for place, example in enumerate(examples):
            left = GAP + place % in_a_row * example_width
            at = top + 2 * LINE + place // in_a_row * example_height
            for number, (row, pixels) in enumerate(example):
                _show(sheet, left + number * SLOT, at, pixels, names[row], bool(labels[row]))
                shown += 1
        top += 2 * LINE + row_count * example_height
    with write_whole(path) as unfinished:
        sheet.save(unfinished, format="PNG")
    return shown


def _seen(finding: AuditFinding, read: Callable[[int], Pixels | None]) -> list[list[tuple[int, Pixels]]]:
    """Return the examples of a finding with their pixels, without what cannot be seen."""
    examples = [[(row, read(row)) for row in example[:TOGETHER]] for example in finding.examples]
    return [kept for one in examples if (kept := [(row, pixels) for row, pixels in one if pixels is not None])]


def _show(sheet: Picture, left: int, top: int, pixels: Pixels, name: str, positive: bool) -> None:
    from PIL import Image

    side = CROP + 2 * FRAME
    sheet.paste(POSITIVE if positive else NEGATIVE, (left, top, left + side, top + side))
    crop = Image.fromarray(np.ascontiguousarray(pixels)).resize((CROP, CROP), Image.Resampling.BICUBIC)
    sheet.paste(crop, (left + FRAME, top + FRAME))
    short = name if len(name) <= LONGEST_NAME else f"...{name[-LONGEST_NAME + 3 :]}"
    _write(sheet, left, top + side, short, POSITIVE if positive else NEGATIVE)


def _write(sheet: Picture, left: int, top: int, text: str, colour: tuple[int, int, int]) -> None:
    from PIL import ImageDraw, ImageFont

    plain = text.encode("ascii", "replace").decode()  # the built-in letters know no others
    ImageDraw.Draw(sheet).text((left, top), plain, fill=colour, font=ImageFont.load_default(11))
