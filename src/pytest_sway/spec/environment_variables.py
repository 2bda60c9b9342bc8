"""``${NAME}`` and ``${NAME:-default}`` in paths and ids of a spec; a prompt is never expanded."""

from __future__ import annotations

import os
import re
from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

SECRET = "secret"  # noqa: S105 - the name of an error
"""Kind of the validation error whose input must not be shown."""
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_PARTS = re.compile(
    rf"\$\$|\$\{{(?P<name>{_NAME})(?::-(?P<default>[^{{}}$]*))?\}}|(?P<braces>\$\{{)|\$(?P<bare>{_NAME})"
    rf"|(?P<template>\{{\{{\s*(?:env\.)?(?P<inner>{_NAME})?)|%(?P<percent>{_NAME})%"
)
_ESCAPES = {
    "\a": "a", "\b": "b", "\t": "t", "\n": "n", "\v": "v", "\f": "f", "\r": "r", "\x1b": "e", "\0": "0",
}  # fmt: skip
"""What YAML makes of a backslash and a letter between double quotes."""


def expand(text: str) -> str:
    """A path or an id with its environment variables; ``$$`` is one ``$``.

    Raises:
        ValueError: a variable that is not set, or another way of writing one; the message says which.
    """
    for character in text:
        if character in _ESCAPES:
            raise ValueError(_control_character_message(character))
    return _PARTS.sub(_expand_part, text)


def expand_secret(text: object) -> str:
    """The value of one environment variable, which alone may stand where a key is wanted.

    Raises:
        PydanticCustomError: it is anything else; the message holds nothing of it.
        ValueError: the variable is not set.
    """
    if not isinstance(text, str) or not re.fullmatch(rf"\$\{{{_NAME}\}}", text):
        raise PydanticCustomError(
            SECRET,
            "a secret must not be in the spec as plain text. Write ${NAME}, and set the environment variable "
            "NAME",
        )
    return expand(text)


def _expand_part(part: re.Match[str]) -> str:
    groups = part.groupdict()
    if groups["name"]:
        return _variable_value(groups["name"], groups["default"])
    if groups["braces"]:
        raise ValueError(
            "only ${NAME} and ${NAME:-default} are supported for variables; write $$ for a dollar sign"
        )
    if groups["template"]:
        raise ValueError(f"templates are not supported; write ${{{groups['inner'] or 'NAME'}}}")
    if written := groups["bare"] or groups["percent"]:
        raise ValueError(f"{part[0]} is not expanded; write ${{{written}}}")
    return "$"


def _variable_value(name: str, default: str | None) -> str:
    value = os.environ.get(name)
    if value:
        return value
    if default is not None:
        return default
    state = "is not set" if value is None else "is empty"
    raise ValueError(f"the environment variable {name} {state}; set it, or write ${{{name}:-a default}}")


def _control_character_message(character: str) -> str:
    escape = _ESCAPES[character]
    return (
        f"the value contains a control character, because YAML reads \\{escape} in double quotes as one. "
        "Write a path in single quotes, or with / instead of backslashes"
    )


Expanded = Annotated[str, AfterValidator(expand)]
"""A path or an id in which environment variables are expanded."""
