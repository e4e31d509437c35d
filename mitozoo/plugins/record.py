"""What all records share: frozen, keyword-only, validated, JSON-able, and a fingerprint of what can change a number."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar, dataclass_transform

from mitozoo.errors import SpecError

T = TypeVar("T")
_FROZEN = frozenset({str, bool, int, type(None)})  # most fields of most records, and nothing to check about them


class UnknownFieldError(SpecError):
    """A record was given a field that this version of mitozoo does not know."""

    def __init__(self, record_name: str, field: str) -> None:
        self.record_name, self.field = record_name, field
        super().__init__(f"{record_name} has no field '{field}' in this version of mitozoo")

    def __reduce__(self) -> tuple[type[UnknownFieldError], tuple[str, str]]:
        return type(self), (self.record_name, self.field)  # so that a worker process can send it home


class FrozenMapping(Mapping[str, object]):
    """A mapping that cannot change, so that records can be hashed, compared, copied and sent to other processes."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, object]) -> None:
        self._items = dict(items)

    def __getitem__(self, key: str) -> object:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return repr(self._items)


class Record:
    """Base of every record: deeply frozen after creation, able to tell its fingerprint."""

    #: Fields that can change a feature; None: all of them.
    fingerprinted: ClassVar[tuple[str, ...] | None] = None

    def __post_init__(self) -> None:
        for name, value in list(vars(self).items()):
            if type(value) not in _FROZEN:
                object.__setattr__(self, name, _freeze(value, f"{type(self).__name__}.{name}"))
        self.validate()

    def validate(self) -> None:
        """Raise `SpecError` where a value is impossible."""

    def to_json(self) -> dict[str, Any]:
        """Return the record as plain JSON values; functions as 'module:name'."""
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return {"record": type(self).__name__} | {f.name: _plain(getattr(self, f.name)) for f in fields}

    def fingerprint(self) -> str:
        """Return 64 hex digits over the fields that can change a feature.

        Fields at their default are left out, so a new optional field changes no fingerprint.
        """
        return hashlib.sha256(canonical_json(self.essence()).encode()).hexdigest()

    def essence(self) -> Any:
        """Return, as plain JSON values, what the fingerprint is the sha256 of, in canonical JSON."""
        return _essence(self)


@dataclass_transform(kw_only_default=True, frozen_default=True)
def record(cls: type[T]) -> type[T]:
    """Make a class a frozen, keyword-only record that names a field it does not know."""
    made = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
    known = {field.name for field in dataclasses.fields(made)}  # type: ignore[arg-type]
    generated_init = made.__init__

    @functools.wraps(generated_init)
    def init(self: object, *args: object, **values: object) -> None:
        for name in values:
            if name not in known:
                raise UnknownFieldError(cls.__name__, name)
        generated_init(self, *args, **values)

    made.__init__ = init  # type: ignore[method-assign]
    return made


def canonical_json(value: object) -> str:
    """Serialise plain values so that equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def reference(function: Callable[..., Any]) -> str:
    """Return a function's or class's address as 'module:name'."""
    return f"{function.__module__}:{function.__qualname__}"


_PLAIN = frozenset((str, int, bool, type(None)))


def _freeze(value: object, where: str) -> object:
    """Return the value deeply frozen; refuse at once what could not become JSON, or not be told apart in it."""
    if type(value) in _PLAIN:  # most values by far; whoever lists datasets waits for all of them
        return value
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise SpecError(f"{where} must have text for keys, not {list(value)!r}")
        items = value.items()
        return FrozenMapping({k: v if type(v) in _PLAIN else _freeze(v, f"{where}[{k!r}]") for k, v in items})
    if isinstance(value, list | tuple):
        return tuple(_freeze(item, where) for item in value)
    if isinstance(value, float) and not math.isfinite(value):
        raise SpecError(f"{where} is {value}; it must be a finite number")
    if value is None or isinstance(value, str | int | float | Record):
        return value
    if not callable(value):
        raise SpecError(f"{where} holds a {type(value).__name__}; a record holds plain data, records and functions")
    if "<" in getattr(value, "__qualname__", "<partial>"):  # <lambda>, <locals>: two of them could bear one name
        raise SpecError(f"{where} must be a function that a module defines by name, so that every process can find it")
    return value


def _plain(value: object) -> object:
    if isinstance(value, Record):
        return value.to_json()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if callable(value):
        return reference(value)
    return value


def _essence(value: object) -> object:
    """Return what the fingerprint hashes: like `_plain`, without defaults and without what changes no feature."""
    if isinstance(value, Record):
        fields = dataclasses.fields(value)  # type: ignore[arg-type]
        listed = [field for field in fields if value.fingerprinted is None or field.name in value.fingerprinted]
        kept = [field.name for field in listed if not _is_default(field, getattr(value, field.name))]
        code = {"module_sha256": _module_sha256(type(value).__module__)} if callable(value) else {}  # as a function's
        return {"record": type(value).__name__} | code | {name: _essence(getattr(value, name)) for name in kept}
    if isinstance(value, Mapping):
        return {str(key): _essence(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_essence(item) for item in value]
    if callable(value):  # a loader is code: any change of its module may change a number
        return {"function": reference(value), "module_sha256": _module_sha256(value.__module__)}
    if isinstance(value, float) and value.is_integer():
        return int(value)  # 1 == 1.0, so equal records must not differ here
    return value


def _module_sha256(name: str) -> str | None:
    module = sys.modules.get(name)
    read = getattr(getattr(module, "__loader__", None), "get_data", None)  # reads zipped modules too
    file = getattr(module, "__file__", None)
    return hashlib.sha256(read(file)).hexdigest() if read and file else None  # None: typed into a prompt


def _is_default(field: dataclasses.Field[Any], value: object) -> bool:
    if field.default is not dataclasses.MISSING:
        return bool(_freeze(field.default, field.name) == value)
    if field.default_factory is not dataclasses.MISSING:
        return bool(_freeze(field.default_factory(), field.name) == value)
    return False
