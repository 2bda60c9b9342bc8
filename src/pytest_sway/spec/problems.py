"""A pydantic error of a spec, entry by entry, with its places."""

from __future__ import annotations

from pydantic import BaseModel, ValidationError

from pytest_sway.spec.messages import Path_, Problem, explain, field_name, mistakes
from pytest_sway.spec.source import Source


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
        message = explain(entry, _fields_at(model, entry["loc"][:-1]), source.written.get(path))
        place = source.place(path, key=is_key)
        problems.append(Problem(f"{field_name(path)}: {message}", *place))
    return problems


def _fields_at(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Names of the fields of the model that stands at ``path``."""
    for part in path:
        field = model.model_fields.get(str(part))
        inner = field.annotation if field is not None else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return list(model.model_fields)
