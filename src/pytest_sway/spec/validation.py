"""A pydantic error of a spec, entry by entry, with its places."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from pytest_sway.spec.errors import Path_, Problem, explain, mistakes
from pytest_sway.spec.yaml_source import Source
from pytest_sway.text.message_parts import field_name


def problems_of(
    error: ValidationError, source: Source, prefix: Path_, model: type[BaseModel]
) -> list[Problem]:
    """A pydantic error's entries with their places."""
    problems = []
    for entry in mistakes(error.errors(include_url=False)):
        path = (*prefix, *entry["loc"])
        is_key = entry["type"] in ("extra_forbidden", "missing")
        if not is_key and path not in source.values and isinstance(path[-1], int):
            path = path[:-1]  # the only item of what was written without a list
        message = explain(entry, fields_at(model, entry["loc"][:-1]), source.written.get(path))
        place = source.place(path, key=is_key)
        problems.append(Problem(f"{field_name(path)}: {message}", *place))
    return problems


def fields_at(model: type[BaseModel], path: Path_) -> list[str]:
    """Names of the fields of the model that stands at ``path``, an item of a list among them."""
    found: type[BaseModel] | None = model
    for part in path:
        if found is not None and isinstance(part, str):
            field = found.model_fields.get(part)
            found = _model_in(field.annotation) if field is not None else None
    return list(found.model_fields) if found is not None else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The one model that an annotation names, itself or as what a list holds."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
