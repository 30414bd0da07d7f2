"""Plain JSON values back into the dataclasses that they were written from: the dataclasses are the schema.

=> Every value is checked against the type of its field; RecordError names the place, what stands there and what
   should. Fields with a default may be missing, unknown ones may not be there.
=> Numbers are of 64 bits and finite, and texts can be encoded: arithmetic with what was read does not overflow, and
   whatever is read can be written again. Of what stands there an error shows only what a terminal may have.
"""

from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from uvmfree.errors import RecordError, UvmError
from uvmfree.measure.printable import printable

T = TypeVar("T")

_PLAIN: dict[Any, tuple[tuple[type, ...], str]] = {
    int: ((int,), "a whole number"),
    float: ((float, int), "a number"),
    bool: ((bool,), "true or false"),
    NoneType: ((NoneType,), "null"),
}

_MOST: Final = (1 << 63) - 1
"""The largest number, either way: what is counted and timed has words of 64 bits."""


def decode(kind: type[T], value: Any, where: str) -> T:
    """Build a value of a type from what JSON made of it; `where` is the place that an error names."""
    return cast("T", _decode(kind, value, where))


def _decode(kind: Any, value: Any, where: str) -> Any:
    if kind in _PLAIN:
        types, words = _PLAIN[kind]
        if type(value) not in types:
            raise RecordError(f"{where}: must be {words}, is {shown(value)}")
        if not _in_bounds(value):
            raise RecordError(f"{where}: must be {words} within 64 bits, is {shown(value)}")
        return value
    if kind is str:
        return _text(value, where)
    if kind is Any:
        return value
    if is_dataclass(kind):
        return _dataclass(cast("type", kind), value, where)
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _union(args, value, where)
    if origin is dict:
        if type(value) is not dict:
            raise RecordError(f"{where}: must be an object, is {shown(value)}")
        return {_text(key, where): _decode(args[1], item, f"{where}.{printable(key)}") for key, item in value.items()}
    assert origin in (tuple, list), f"no rule for {kind}"
    if type(value) is not list:
        raise RecordError(f"{where}: must be a list, is {shown(value)}")
    if origin is tuple and Ellipsis not in args:  # of a fixed length
        if len(value) != len(args):
            raise RecordError(f"{where}: must have {len(args)} entries, has {len(value)}")
        return tuple(
            _decode(each, item, f"{where}[{at}]") for at, (each, item) in enumerate(zip(args, value, strict=True))
        )
    # Most of a record are long lists of whole numbers.
    if args[0] is int and all(type(item) is int and _in_bounds(item) for item in value):
        return origin(value)
    return origin(_decode(args[0], item, f"{where}[{number}]") for number, item in enumerate(value))


def _union(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and NoneType in kinds:
        return None
    (kind,) = (each for each in kinds if each is not NoneType)
    return _decode(kind, value, where)


def _dataclass(kind: type, value: Any, where: str) -> Any:
    if type(value) is not dict:
        raise RecordError(f"{where}: must be an object, is {shown(value)}")
    types, needed = _fields_of(kind)
    if unknown := sorted(value.keys() - types.keys()):
        raise RecordError(f"{where}: has {shown(unknown[0])}, which is no field of a record")
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


def _text(value: Any, where: str) -> str:
    if type(value) is not str:
        raise RecordError(f"{where}: must be a text, is {shown(value)}")
    if not value.isascii() and any("\ud800" <= each <= "\udfff" for each in value):
        raise RecordError(f"{where}: must be a text, has half a character: {shown(value)}")
    return value


def _in_bounds(value: float | None) -> bool:
    return value is None or abs(value) <= _MOST  # nan is not


def shown(value: Any) -> str:
    """Show a value of a document in a few characters."""
    if type(value) is int and not _in_bounds(value):  # its digits may be more than Python makes text of
        return "a larger one"
    if isinstance(value, list | dict) and value:
        return "a list" if isinstance(value, list) else "an object"
    text = printable(repr(value))
    return text if len(text) <= 40 else f"{text[:37]}..."
