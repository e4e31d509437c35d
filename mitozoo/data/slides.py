"""The one door to slide files: OpenSlide where it can, else Pillow; those used last stay open."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from mitozoo.data.slide import decoding
from mitozoo.data.slide_files import PlainImage, WholeSlide
from mitozoo.errors import SlideError

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.data.slide import Slide

OPEN_FILES = 16
OPEN_BYTES = 400_000_000  # decoded pixels of plain images held at once


def open_slide(path: Path) -> Slide:
    """Open a slide; its header is read, its pixels are not.

    Raises:
        SlideError: the file is missing, truncated, of no known format, or too large to decode at once.
    """
    if not path.is_file():
        raise SlideError(f"slide {path} {'is a folder' if path.is_dir() else 'does not exist'}")
    with decoding(path):
        return WholeSlide(path) if WholeSlide.knows(path) else PlainImage(path)


def shared_slide(path: Path) -> Slide:
    """Return a slide that all threads of this process share; those used last stay open."""
    return _open_slides.get(path)


class _OpenSlides:
    """The slides that were read last, kept open for all threads of a process, least recently used first."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._lock = threading.Lock()
        self._slides: OrderedDict[tuple[Path, int, int], Slide] = OrderedDict()

    def get(self, path: Path) -> Slide:
        try:
            status = path.stat()
        except OSError as error:
            raise SlideError(f"slide {path} cannot be read: {error.strerror}") from error
        key = (path, status.st_size, status.st_mtime_ns)
        with self._lock:
            slide = self._slides.pop(key, None) or open_slide(path)
            self._slides[key] = slide
            while len(self._slides) > 1 and self._too_much():
                self._slides.popitem(last=False)  # closed once the last thread has read from it
        return slide

    def _too_much(self) -> bool:
        held = sum(slide.decoded_bytes for slide in self._slides.values())
        return len(self._slides) > OPEN_FILES or held > OPEN_BYTES


_open_slides = _OpenSlides()
if hasattr(os, "register_at_fork"):  # a lock or a handle must not be shared with a child
    os.register_at_fork(after_in_child=_open_slides.clear)
