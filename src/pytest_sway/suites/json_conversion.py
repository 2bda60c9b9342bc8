"""Records of results as JSON, and back: one conversion, by the fields of the record."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cache
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from pytest_sway.result import JSON, Record

R = TypeVar("R", bound=Record)


def to_json(record: Record) -> JSON:
    """Builtins only: what execnet and JSON both take. No NaN, no infinity."""
    assert is_dataclass(record)
    return {_key(one): _field_value(one, getattr(record, one.name)) for one in fields(record)}


def json_value(value: Any) -> Any:
    """As builtins: tuples are lists, a number that is no finite double None, what is no number its text."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Record):
        return to_json(value)
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [json_value(item) for item in value]
    try:
        number = float(value)
    except OverflowError:  # an integer that no double holds
        return None
    except (TypeError, ValueError):
        return str(value)
    if isinstance(value, int):
        return int(value)
    return number if math.isfinite(number) else None


def from_json(record_type: type[R], value: Any, *, strict: bool = False) -> R:
    """A record from what :func:`to_json` wrote; unknown keys are ignored, missing ones default.

    Args:
        record_type: the record's class.
        value: JSON builtins.
        strict: whether every value must be of its field's type, as in a file that anybody may have written.

    Raises:
        ValueError: it has another shape.
    """
    found: R = _convert(record_type, value, strict)
    return found


def _convert(wanted: Any, value: Any, strict: bool) -> Any:
    """A value of the type ``wanted``."""
    kinds = get_args(wanted)
    if NoneType in kinds:  # a type or None; records have no other unions
        wanted = kinds[0]
        kinds = get_args(wanted)
        if value is None:
            return None
    origin = get_origin(wanted) or wanted
    if is_dataclass(wanted):
        return _record(wanted, value, strict)
    if origin in (list, tuple):
        return origin(_convert(kinds[0], item, strict) for item in _check(value, list))
    if origin in (dict, Mapping):
        return {key: _convert(kinds[1], item, strict) for key, item in _check(value, dict).items()}
    if wanted is Any or (not strict and not issubclass(wanted, Enum)):
        return value
    if issubclass(wanted, Enum):
        return wanted(value)
    return _check(value, wanted)


def _record(record_type: Any, value: Any, strict: bool) -> Any:
    hints = _hints(record_type)
    values: JSON = {}
    for one in fields(record_type):
        written = _check(value, dict).get(_key(one), MISSING)
        if written is MISSING:
            if one.default is MISSING and one.default_factory is MISSING:
                raise ValueError(f"{_key(one)} is missing")
        elif written == one.metadata.get("absent", MISSING):
            values[one.name] = None
        else:
            values[one.name] = _convert(hints[one.name], written, strict)
    return record_type(**values)


def _check(value: Any, kind: type) -> Any:
    """The value, where it is of the kind; an integer is a number, and a bool is none."""
    wanted = (int, float) if kind in (int, float) else (kind,)
    if not isinstance(value, wanted) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{type(value).__name__} is no {kind.__name__}")
    return value


def _field_value(one: Field[Any], value: Any) -> Any:
    return one.metadata["absent"] if value is None and "absent" in one.metadata else json_value(value)


def _key(one: Field[Any]) -> str:
    key: str = one.metadata.get("key", one.name)
    return key


@cache
def _hints(record_type: type) -> dict[str, Any]:
    return get_type_hints(record_type)
