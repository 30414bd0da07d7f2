"""Plain JSON values back into the dataclasses that they were written from: the dataclasses are the schema.

=> Every value is checked against the type of its field; RecordError names the place, what stands there and what
   should. Fields with a default may be missing, unknown ones may not be there.
"""

from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from uvmfree.errors import RecordError, UvmError

T = TypeVar("T")

_PLAIN: dict[Any, tuple[tuple[type, ...], str]] = {
    int: ((int,), "a whole number"),
    float: ((float, int), "a number"),
    str: ((str,), "a text"),
    bool: ((bool,), "true or false"),
    NoneType: ((NoneType,), "null"),
}


def decode(kind: type[T], value: Any, where: str) -> T:
    """Build a value of a type from what JSON made of it; `where` is the place that an error names."""
    return cast("T", _decode(kind, value, where))


def _decode(kind: Any, value: Any, where: str) -> Any:
    if kind in _PLAIN:
        types, words = _PLAIN[kind]
        if type(value) not in types:
            raise RecordError(f"{where}: must be {words}, is {_shown(value)}")
        return value
    if kind is Any:
        return value
    if is_dataclass(kind):
        return _dataclass(cast("type", kind), value, where)
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _union(args, value, where)
    if origin is dict:
        if type(value) is not dict:
            raise RecordError(f"{where}: must be an object, is {_shown(value)}")
        return {key: _decode(args[1], item, f"{where}.{key}") for key, item in value.items()}
    assert origin in (tuple, list), f"no rule for {kind}"
    if type(value) is not list:
        raise RecordError(f"{where}: must be a list, is {_shown(value)}")
    # Most of a record are long lists of whole numbers.
    if args[0] is int and all(type(item) is int for item in value):
        return origin(value)
    return origin(_decode(args[0], item, f"{where}[{number}]") for number, item in enumerate(value))


def _union(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and NoneType in kinds:
        return None
    (kind,) = (each for each in kinds if each is not NoneType)
    return _decode(kind, value, where)


def _dataclass(kind: type, value: Any, where: str) -> Any:
    if type(value) is not dict:
        raise RecordError(f"{where}: must be an object, is {_shown(value)}")
    types, needed = _fields_of(kind)
    if unknown := sorted(value.keys() - types.keys()):
        raise RecordError(f"{where}: has {unknown[0]!r}, which is no field of a record")
    if missing := sorted(needed - value.keys()):
        raise RecordError(f"{where}: has no {missing[0]!r}")
    arguments = {name: _decode(types[name], item, f"{where}.{name}") for name, item in value.items()}
    try:
        return cast("Callable[..., Any]", kind)(**arguments)
    except UvmError as error:  # a tunable that is out of range
        raise RecordError(f"{where}: {error}") from None


@cache
def _fields_of(kind: type) -> tuple[dict[str, Any], frozenset[str]]:
    """Return the types of a dataclass's fields by name, and the names of those that have no default."""
    types = get_type_hints(kind)
    needed = (f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING)
    return {f.name: types[f.name] for f in fields(kind)}, frozenset(needed)


def _shown(value: Any) -> str:
    """Show a value in a few characters."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
