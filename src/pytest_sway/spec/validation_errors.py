"""Pydantic's validation errors in a user's words: field, what was found, what to write, and where.

One entry of ``ValidationError.errors()`` becomes one message.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from pytest_sway.spec.environment_variables import SECRET
from pytest_sway.spec.problems import FieldPath, Problem
from pytest_sway.spec.unquoted_words import text_expected_message
from pytest_sway.spec.yaml_source import Source
from pytest_sway.text.message_parts import describe, did_you_mean, field_name

Entry = TypeVar("Entry", bound=Mapping[str, Any])


def distinct_errors(entries: Sequence[Entry]) -> list[Entry]:
    """The entries of ``ValidationError.errors()``, each mistake once.

    A required key under another name is one mistake, and a list of wrong items is not too short as well.
    """
    missing = [entry["loc"] for entry in entries if entry["type"] == "missing"]
    misspelt = {
        (*where[:-1], *difflib.get_close_matches(str(where[-1]), [str(m[-1]) for m in missing], n=1))
        for where in (entry["loc"] for entry in entries if entry["type"] == "extra_forbidden")
    }
    return [
        entry
        for entry in entries
        if not (entry["type"] == "missing" and entry["loc"] in misspelt)
        and not (entry["type"] == "too_short" and len(entry["input"]) >= entry["ctx"]["min_length"])
    ]


_EXPECTED = {
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_from_float": "an integer",
    "int_parsing_size": "a number with fewer digits",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "greater_than": "a number > {gt:g}",
    "greater_than_equal": "a number ≥ {ge:g}",
    "less_than": "a number < {lt:g}",
    "less_than_equal": "a number ≤ {le:g}",
    "string_too_short": "a non-empty string",
    "string_too_long": "a string of at most {max_length} characters",
}
"""What is expected, by pydantic's kind of error; its context fills the braces."""


def explain(error: Mapping[str, Any], allowed: Iterable[str], written: str | None = None) -> str:
    """One pydantic error as: field, what was found, what to write.

    Args:
        error: an entry of ``ValidationError.errors()``.
        allowed: names of the fields beside the one at fault, for "did you mean".
        written: what stands in the file, where YAML reads something else than text.
    """
    kind, where, value = error["type"], error["loc"], error["input"]
    context = error.get("ctx", {})
    name = str(where[-1]) if where else ""
    if kind == SECRET:
        return str(error["msg"])
    found = f"found {written or describe(value)}"
    if kind == "extra_forbidden":
        names = sorted(allowed)
        known = f"; allowed: {', '.join(names)}" if names else ""
        return f"unknown key {name!r}{did_you_mean(name, names)}{known}"
    if kind == "missing":
        return "is required but missing"
    if kind == "string_type":
        return text_expected_message(value, written)
    if kind == "too_short" and isinstance(value, str):  # of a text that has a validator of its own
        return f"{found}, expected {_EXPECTED['string_too_short']}"
    if kind == "too_short":
        return f"{found}, give at least {context['min_length']}"
    if kind == "too_long":
        return f"{found}, give at most {context['max_length']}"
    if kind == "literal_error":
        return f"{found}, allowed: {context['expected'].replace(' or ', ', ')}"
    if kind == "value_error":
        return f"{found}: {str(error['msg']).removeprefix('Value error, ')}"
    expected = _EXPECTED.get(kind, str(error["msg"]).removeprefix("Input should be "))
    return f"{found}, expected {expected.format_map(context) if kind in _EXPECTED else expected}"


def validation_problems(
    error: ValidationError, source: Source, prefix: FieldPath, model: type[BaseModel]
) -> list[Problem]:
    """Everything that pydantic found wrong, with positions."""
    problems = []
    for entry in distinct_errors(error.errors(include_url=False)):
        path = (*prefix, *entry["loc"])
        is_key = entry["type"] in ("extra_forbidden", "missing")
        if not is_key and path not in source.values and isinstance(path[-1], int):
            path = path[:-1]  # the only item of what was written without a list
        message = explain(entry, field_names_at(model, entry["loc"][:-1]), source.written.get(path))
        place = source.locate(path, key=is_key)
        problems.append(Problem(f"{field_name(path)}: {message}", *place))
    return problems


def field_names_at(model: type[BaseModel], path: FieldPath) -> list[str]:
    """Field names of the model at ``path``, also where that is an item of a list."""
    current: type[BaseModel] | None = model
    for part in path:
        if current is not None and isinstance(part, str):
            field = current.model_fields.get(part)
            current = _model_in(field.annotation) if field is not None else None
    return list(current.model_fields) if current is not None else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model in an annotation: itself, or the items of a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part))), None)
