"""Reads a `PatchFolder`: released patches, one folder a class."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pandas as pd

from mitozoo.data.annotations.raw import RawCells
from mitozoo.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.plugins.formats import PatchFolder

IMAGES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"}
LITTER = {"thumbs.db", "desktop.ini"}  # what operating systems leave; hidden files are left out as well


def read(layout: PatchFolder, root: Path) -> RawCells:
    """Return one cell for each patch, called '<class>/<file>'; slide and case are '' where names do not tell them.

    Raises:
        DataError: the folder is missing, has no class folders, or holds what is no patch.
    """
    folder = root / layout.path
    if not folder.is_dir():
        raise DataError(
            f"the patches are expected in {folder}, and there is no such folder",
            hint=f"Point --data to the folder that holds {layout.path}.",
        )
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not classes:
        raise DataError(f"{folder} has no folders in it, and each class of patches has one")
    patches = [path for one in classes for path in sorted(one.iterdir()) if _is_patch(path)]
    names = [_named(layout, path) for path in patches]
    labels, ids = [path.parent.name for path in patches], [f"{path.parent.name}/{path.name}" for path in patches]
    table = pd.DataFrame(
        {
            "cell_id": ids,
            "slide": [slide for slide, _ in names],
            "case": [case for _, case in names],
            "file": [path.relative_to(root).as_posix() for path in patches],
            "x": None,  # where on its slide a patch was cut out, the release does not tell
            "y": None,
            "raw_label": labels,
        },
        index=pd.Index(ids, dtype=object),
    )
    table["raw_votes"] = pd.Series([[] for _ in ids], index=table.index, dtype=object)
    own = {
        "class": labels,
        "name": [path.name for path in patches],
        **{k: table[k].tolist() for k in ("slide", "case")},
    }
    return RawCells(table=table, own=own, source=str(folder), row_word="patch")


def _is_patch(path: Path) -> bool:
    if path.name.startswith(".") or path.name.lower() in LITTER:
        return False
    if path.suffix.lower() not in IMAGES or not path.is_file():
        raise DataError(f"{path} is no patch; a class folder holds {', '.join(sorted(IMAGES))} files and nothing else")
    return True


def _named(layout: PatchFolder, path: Path) -> tuple[str, str]:
    """Return the slide and the case that a patch's name tells."""
    if not layout.name:
        return "", ""
    match = re.fullmatch(layout.name, path.name)
    if match is None:
        raise DataError(f"the name of {path} does not tell its slide: it does not match '{layout.name}'")
    told = match.groupdict("")
    return told["slide"], told.get("case", "")
