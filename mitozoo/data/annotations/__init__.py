"""Reads a dataset's label files: one reader for each format record, or the plugin's own function."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mitozoo.data.annotations import (
    cell_table,
    coordinate_tables,
    midog_json,
    patch_folder,
    qupath_geojson,
    slide_runner,
    slide_table,
)
from mitozoo.data.annotations.raw import COLUMNS, OPTIONAL, RawCells, text_column
from mitozoo.errors import DataError, MitozooError
from mitozoo.plugins.formats import (
    CellTable,
    CoordinateTables,
    Format,
    MidogJson,
    PatchFolder,
    QuPathGeoJson,
    SlideRunnerDatabase,
)
from mitozoo.plugins.record import reference

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mitozoo.plugins.dataset_spec import DatasetSpec

__all__ = ["RawCells", "label_files", "read_annotations"]

ONE_FILE = (SlideRunnerDatabase, CellTable, MidogJson)


def read_annotations(spec: DatasetSpec, root: Path) -> RawCells:
    """Return a dataset's cells as its label files hold them.

    Raises:
        DataError: a label file is missing, or is not what the spec says.
    """
    raw = _read(spec, root)
    return raw if spec.slides is None else slide_table.join(spec.slides, label_file(spec, root, spec.slides.path), raw)


def _read(spec: DatasetSpec, root: Path) -> RawCells:
    layout = spec.cells if isinstance(spec.cells, Format) else _ask(spec, spec.cells, root)
    match layout:
        case SlideRunnerDatabase():
            return slide_runner.read(layout, label_file(spec, root, layout.path))
        case CellTable():
            return cell_table.read(layout, label_file(spec, root, layout.path))
        case MidogJson():
            return midog_json.read(layout, label_file(spec, root, layout.path))
        case CoordinateTables():
            return coordinate_tables.read(layout, root)
        case PatchFolder():
            return patch_folder.read(layout, root)
        case QuPathGeoJson():
            return qupath_geojson.read(layout, root)
        case pd.DataFrame():
            return _from_rows(spec, layout)
    raise DataError(f"dataset '{spec.name}': this version of mitozoo has no reader for {type(layout).__name__}")


def label_files(spec: DatasetSpec, root: Path) -> list[Path]:
    """Return the files that a dataset's cells are read from, and those beside that bear their names with more behind.

    Empty where they are told by whole folders, or by a function of the plugin.
    """
    if not isinstance(spec.cells, ONE_FILE):
        return []
    files = [root / spec.cells.path, *([root / spec.slides.path] if spec.slides else ())]
    return [beside for file in files for beside in sorted(file.parent.glob(f"{glob.escape(file.name)}*"))]


def label_file(spec: DatasetSpec, root: Path, path: str) -> Path:
    """Return where a label file lies, or say where it was expected."""
    expected = root / path
    if expected.is_file():
        return expected
    nearby = next((found for found in sorted(root.glob(f"*/{path}")) if found.is_file()), None)
    folder = nearby.parents[len(Path(path).parts) - 1] if nearby else f"the folder that holds {path}"
    raise DataError(
        f"dataset '{spec.name}' expects its label file at {expected}, and there is none",
        hint=f"Point --data to {folder}.",
    )


def _ask(spec: DatasetSpec, function: Callable[[Path], Any], root: Path) -> Format | pd.DataFrame:
    """Return what a plugin's own function makes of a folder: the format of its files, or the rows themselves."""
    try:
        answer = function(root)
        return answer if isinstance(answer, Format | pd.DataFrame) else pd.DataFrame(list(answer))
    except MitozooError:
        raise
    except Exception as error:  # a plugin's code may raise anything; the cause is kept
        raise DataError(
            f"dataset '{spec.name}': its reader {reference(function)} failed: {type(error).__name__}: {error}"
        ) from error


def _from_rows(spec: DatasetSpec, rows: pd.DataFrame) -> RawCells:
    assert callable(spec.cells)
    source, table = reference(spec.cells), rows.reset_index(drop=True)
    if missing := [name for name in COLUMNS if name not in table.columns]:
        raise DataError(f"dataset '{spec.name}': the rows of its reader {source} lack {', '.join(missing)}")
    own = {str(name): text_column(table[name]) for name in table.columns}
    votes = table["raw_votes"].tolist() if "raw_votes" in table.columns else [[]] * len(table)
    if not all(isinstance(vote, list | tuple) for vote in votes):
        raise DataError(f"dataset '{spec.name}': raw_votes of its reader {source} must be lists")
    texts: Mapping[str, object] = {name: own.get(name, [""] * len(table)) for name in (*COLUMNS, *OPTIONAL)}
    raw = pd.DataFrame({**texts, "x": table["x"], "y": table["y"]})
    raw["raw_votes"] = pd.Series([[str(vote) for vote in person] for person in votes], dtype=object)
    return RawCells(table=raw, own=own, source=source, row_word="row")
