"""What a tool's arguments must be: the part of JSON Schema that tools use, and how far two sets differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}


def fault(schema: Any, where: str) -> str:
    """Why a schema cannot be followed: the place, what was found and what is expected; empty where it can."""
    if not isinstance(schema, Mapping):
        return f"{where} is {schema!r}, expected a JSON schema, e.g. {{type: object}}"
    for name in _types(schema):
        if not isinstance(name, str) or name not in _KINDS:
            return f"{where}.type is {name!r}, expected one of {', '.join(_KINDS)}"
    for key in ("required", "enum"):
        if not isinstance(schema.get(key, []), list):
            return f"{where}.{key} is {schema[key]!r}, expected a list"
    parts = schema.get("properties", {})
    if not isinstance(parts, Mapping):
        return f"{where}.properties is {parts!r}, expected a mapping"
    inner = [(part, f"{where}.properties.{name}") for name, part in parts.items()]
    inner += [(schema["items"], f"{where}.items")] if "items" in schema else []
    return next((found for part, place in inner if (found := fault(part, place))), "")


def matches_schema(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a JSON value fits a schema.

    Read are ``type``, ``enum``, ``required``, ``properties`` and ``items``; other words are not, and keys
    that the schema does not name are allowed. A boolean is no number; 3.0 is an integer.
    """
    types = _types(schema)
    if types and not any(_is_type(value, name) for name in types):
        return False
    if "enum" in schema and not any(json_equal(value, allowed) for allowed in schema["enum"]):
        return False
    if isinstance(value, dict):
        parts = schema.get("properties", {})
        return all(key in value for key in schema.get("required", ())) and all(
            matches_schema(value[key], part) for key, part in parts.items() if key in value
        )
    if isinstance(value, list) and "items" in schema:
        return all(matches_schema(item, schema["items"]) for item in value)
    return True


def disagreement(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Share of leaves in which two objects differ, of all leaves that either has; 0 where neither has any.

    A list is one leaf, an empty object too; null is not the same as absent.
    """
    left, right = dict(_leaves(one)), dict(_leaves(other))
    paths = left.keys() | right.keys()
    alike = [p for p in paths if p in left and p in right and json_equal(left[p], right[p])]
    return 1 - len(alike) / len(paths) if paths else 0.0


def json_equal(one: Any, other: Any) -> bool:
    """Equal as JSON values: 1 is 1.0, and true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(json_equal, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(json_equal(one[key], other[key]) for key in one)
    return bool(one == other)


def _leaves(value: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, part in value.items():
        if isinstance(part, dict) and part:
            yield from _leaves(part, (*path, key))
        else:
            yield (*path, key), part


def _types(schema: Mapping[str, Any]) -> list[Any]:
    types = schema.get("type", [])
    return types if isinstance(types, list) else [types]


def _is_type(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _KINDS[name])
