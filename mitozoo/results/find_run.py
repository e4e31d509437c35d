"""Find runs by what a user types: a folder, a document, or the start of a name or id, here or below a URL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mitozoo.errors import DataError
from mitozoo.results.run_folder import RESULT, ROWS, read_document
from mitozoo.shared import is_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mitozoo.results.shared_runs import SharedRuns


def find_run(name: str, root: Path | str) -> Path:
    """Return the folder of a run: a folder, its result.json, or a unique prefix of its id below `root`.

    Where either is a URL, the run is copied to this machine first.

    Raises:
        DataError: there is none, it has not finished, or there are several.
    """
    if is_url(name) or is_url(root):
        if is_url(name):
            root, _, name = name.removesuffix(f"/{RESULT}").rstrip("/").rpartition("/")
        if is_url(root) and not Path(name).exists():
            return _find_shared(name, str(root))
    path, root = Path(name), Path(root)
    if path.name == RESULT and path.is_file():
        return path.parent
    if (path / RESULT).is_file():
        return path
    if (path / ROWS).is_dir():
        raise DataError(f"the run in {path} has not finished", hint="Give its command again: it goes on where it was.")
    matching = [run for run in all_runs(root) if name and _is_called(run, name)]
    if len(matching) == 1:
        return matching[0]
    if not matching:
        raise DataError(f"there is no run '{name}' in {root}", hint="List them: mitozoo runs")
    names = ", ".join(run.name for run in matching[:5])
    raise DataError(f"'{name}' fits {len(matching)} runs in {root}: {names}", hint="Give more of its name.")


def _is_called(run: Path, name: str) -> bool:
    """Tell whether a name begins like a run's folder, or like its id, of which the folder's name shows the start."""
    shown = run.name.rpartition("-")[2]
    if len(name) > len(shown) and name.startswith(shown):
        return str(read_document(run / RESULT).get("run_id")).startswith(name)
    return run.name.startswith(name) or shown.startswith(name)


def all_runs(root: Path | str) -> Sequence[Path]:
    """Return the folders of all finished runs, sorted by name; of those below a URL, folders with their documents."""
    if is_url(root):
        from mitozoo.results.shared_runs import SharedRuns

        return SharedRuns(str(root)).copy_documents()
    root = Path(root)
    return sorted(path.parent for path in root.glob(f"*/{RESULT}"))


def _find_shared(name: str, url: str) -> Path:
    """Return a local copy of the run below a URL whose name or id begins so.

    Raises:
        DataError: there is none, or there are several.
    """
    from mitozoo.results.shared_runs import SharedRuns

    runs = SharedRuns(url)
    names = runs.names()
    fitting = [one for one in names if name and (one.startswith(name) or _may_be(one.rpartition("-")[2], name))]
    fitting = [name] if name in fitting else fitting
    if len(fitting) == 1 and not _is_called_there(runs, fitting[0], name):
        fitting = []
    if len(fitting) == 1:
        return runs.copy(fitting[0])
    if not fitting:
        raise DataError(f"there is no run '{name}' in {url}", hint=f"List them: mitozoo runs --out {url}")
    some = ", ".join(fitting[:5])
    raise DataError(f"'{name}' fits {len(fitting)} runs in {url}: {some}", hint="Give more of its name.")


def _may_be(shown: str, name: str) -> bool:
    """Tell whether an id, of which a folder's name shows the start, may be the one that is meant."""
    return shown.startswith(name) or name.startswith(shown)


def _is_called_there(runs: SharedRuns, run: str, name: str) -> bool:
    """Tell whether a name that may be longer than the part of the id that a folder shows is the run's."""
    if run.startswith(name) or run.rpartition("-")[2].startswith(name):
        return True
    found = runs.document(run)
    return found is not None and str(found[1]["run_id"]).startswith(name)
