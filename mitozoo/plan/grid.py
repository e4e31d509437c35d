"""A plan's file: which runs are wanted, and what one task may take."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mitozoo.engine.find_dataset import names_a_table
from mitozoo.engine.request import Request
from mitozoo.errors import MitozooError
from mitozoo.plan.task import Asked
from mitozoo.plugins.record import canonical_json
from mitozoo.protocols.presets import find_protocol
from mitozoo.shared import is_url

#: What a grid lists itself, and what `[execution]` says once for all tasks.
_OWN = ("models", "datasets", "protocols", "axes")
_OF_EXECUTION = ("device", "batch_size", "out", "model", "dataset", "data", "protocol", "embeddings", "shared_runs")
_PATHS = ("data", "weights")
_FILE_HINT = "See how a plan's file looks: the page 'Plans and clusters' of the documentation."


@dataclass(frozen=True)
class Execution:
    """How tasks are executed; what of it can change a bit of a result is stated here, for every executor alike.

    Attributes:
        device: of all tasks: 'auto', 'cuda', 'mps' or 'cpu'.
        batch_size: cells at once; None: by device. Protocols that train state their own.
        threads: that a task computes with.
        workers: processes at once; None: one a CUDA device, else one for so many threads as there are cores.
        task_minutes: after so long a task is ended, and counts as failed.
        memory_gb: a worker that takes more is ended, and one that is near it starts anew; None: no limit.
        attempts: how often a task is begun whose worker dies under it.
        shards_a_task: embedding shards (about 1,000 cells each) of one task; None: 1 on a CPU, else 8.
        fits_a_task: heads that one task fits; a training is a task of its own.
    """

    device: str = "auto"
    batch_size: int | None = None
    threads: int = 1
    workers: int | None = None
    task_minutes: float = 120.0
    memory_gb: float | None = None
    attempts: int = 2
    shards_a_task: int | None = None
    fits_a_task: int = 8

    def __post_init__(self) -> None:
        for name in ("batch_size", "threads", "workers", "attempts", "shards_a_task", "fits_a_task"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise MitozooError(f"[execution] {name} is {value!r}; it must be a whole number of at least 1")
        for name in ("task_minutes", "memory_gb"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value <= 0):
                raise MitozooError(f"[execution] {name} is {value!r}; it must be a number above 0")

    @property
    def limit_s(self) -> float:
        """After how many seconds a task is ended."""
        return 60 * self.task_minutes


@dataclass(frozen=True)
class PlanFile:
    """A plan as its file states it.

    Attributes:
        name: of the plan.
        out: folder of the runs, or the one in front of a URL.
        runs: each combination of the grids, once.
        execution: how tasks are executed.
    """

    name: str
    out: Path
    runs: tuple[Asked, ...]
    execution: Execution

    @property
    def folder(self) -> Path:
        """Where the plan's journals and its workers' logs lie."""
        asked = canonical_json([one.to_json() for one in self.runs])
        return self.out / "plans" / f"{self.name}-{hashlib.sha256(asked.encode()).hexdigest()[:8]}"


def read_plan(path: Path, *, out: Path | str | None = None) -> PlanFile:
    """Read and check a plan's file; relative paths in it start from its own folder.

    Args:
        path: the TOML file.
        out: folder of the runs, or a URL that machines share, in place of the file's.

    Raises:
        MitozooError: it is missing, no TOML, or says something that cannot be meant.
    """
    try:
        stated = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MitozooError(f"the plan {path} cannot be read: {error.strerror}", hint=_FILE_HINT) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MitozooError(f"{path} is no plan: {error}", hint=_FILE_HINT) from error
    _require_known(path, "", stated, ("name", "out", "grid", "execution"))
    of_execution = _table(path, "execution", stated.get("execution", {}))
    _require_known(path, "[execution] ", of_execution, [field.name for field in dataclasses.fields(Execution)])
    execution = Execution(**of_execution)
    grids = stated.get("grid", [])
    grids = grids if isinstance(grids, list) else [grids]
    if not grids:
        raise MitozooError(f"{path} has no [[grid]]", hint=_FILE_HINT)
    base, given = path.absolute().parent, stated.get("out")
    place = out if out is not None else Path("runs") if given is None else given if is_url(given) else base / given
    place = place if is_url(place) else Path(place).absolute()
    runs = {
        asked.key: asked
        for grid in grids
        for asked in _runs_of(path, _table(path, "grid", grid), base, place, execution)
    }
    folder = next(iter(runs.values())).request.out
    return PlanFile(str(stated.get("name", path.stem)), folder, tuple(runs.values()), execution)


def _runs_of(path: Path, grid: Mapping[str, Any], base: Path, out: Path | str, execution: Execution) -> list[Asked]:
    """Return every combination of a grid's models, datasets, protocols and axes."""
    allowed = [field.name for field in dataclasses.fields(Request) if field.name not in _OF_EXECUTION]
    _require_known(path, "[[grid]] ", grid, (*_OWN, *allowed))
    axes = _table(path, "grid.axes", grid.get("axes", {}))
    _require_known(path, "[grid.axes] ", axes, allowed)
    common = {name: value for name, value in grid.items() if name not in _OWN}
    models, datasets, protocols = _list(path, grid, "models"), _list(path, grid, "datasets"), grid.get("protocols")
    protocols = ["linear-probe"] if protocols is None else _list(path, grid, "protocols")
    combinations = list(itertools.product(*(_list(path, axes, name) for name in axes)))
    made = []
    for dataset, model, protocol in itertools.product(datasets, models, protocols):
        where = dict(dataset) if isinstance(dataset, Mapping) else {"name": dataset}
        _require_known(path, "[[grid]] datasets: ", where, ("name", "data"))
        trains = find_protocol(str(protocol)).trains_network
        for values in combinations:
            asked = common | dict(zip(axes, values, strict=True))
            asked |= {"model": _placed(str(model), base), "dataset": _dataset(str(where.get("name")), base)}
            asked |= {"protocol": protocol, "data": where.get("data"), "out": out, "device": execution.device}
            asked |= {"batch_size": None if trains else execution.batch_size}
            for name in _PATHS:
                if asked.get(name) is not None:
                    asked[name] = (base / asked[name]).absolute()
            folders = _table(path, "test_data", asked.get("test_data", {}))
            asked["test_data"] = {name: (base / folder).absolute() for name, folder in folders.items()}
            made.append(Asked(_request(path, asked)))
    return made


def _request(path: Path, asked: dict[str, Any]) -> Request:
    for name in ("fractions", "test_on", "perturb"):
        if name in asked:
            value = asked[name]
            asked[name] = tuple(value) if isinstance(value, list) else (value,)
    try:
        return Request(**asked)
    except (TypeError, ValueError, AttributeError) as error:
        raise MitozooError(f"{path} asks for something of the wrong kind: {error}", hint=_FILE_HINT) from error


def _dataset(name: str, base: Path) -> str:
    return str((base / name).absolute()) if names_a_table(name) else name


def _placed(model: str, base: Path) -> str:
    """Return a model's name; that of FILE.py:NAME with the file's whole path."""
    file, colon, within = model.rpartition(":")
    return f"{(base / file).absolute()}:{within}" if colon and (base / file).is_file() else model


def _table(path: Path, name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise MitozooError(f"{path}: '{name}' must be a table", hint=_FILE_HINT)
    return dict(value)


def _list(path: Path, table: Mapping[str, Any], name: str) -> list[Any]:
    value = table.get(name)
    if not isinstance(value, list) or not value:
        raise MitozooError(f"{path}: '{name}' must be a list with at least one entry", hint=_FILE_HINT)
    return value


def _require_known(path: Path, where: str, table: Mapping[str, Any], known: Any) -> None:
    for name in table:
        if name not in known:
            import difflib

            near = difflib.get_close_matches(name, list(known), n=1)
            meant = f"; did you mean '{near[0]}'?" if near else ""
            raise MitozooError(f"{path}: {where}'{name}' is nothing that a plan knows{meant}", hint=_FILE_HINT)
