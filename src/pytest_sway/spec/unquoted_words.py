"""Messages on values where a text is expected, mostly words that YAML reads as something else."""

from __future__ import annotations

from datetime import date
from typing import Any

from pytest_sway.text.message_parts import describe


def text_expected_message(value: Any, written: str | None) -> str:
    """What was found where a text is expected.

    Args:
        value: as YAML reads it.
        written: as it stands in the file; None where that is not known.
    """
    if isinstance(value, dict):
        return (
            f"found the mapping {describe(value)}, expected a string. If the string contains a colon, put it "
            "in quotes"
        )
    if written == "":
        return "found nothing, expected a string; add a string, or remove the entry"
    if written is None:
        return f"found {describe(value)}, expected a string"
    if written == str(value) and isinstance(value, int | float) and not isinstance(value, bool):
        return f"found the number {written}, expected a string. Put it in quotes: {written!r}"
    return f"found {written}, which YAML reads as {yaml_reading(value)}. Put it in quotes: {written!r}"


def yaml_reading(value: Any) -> str:
    """What YAML made of an unquoted word, for a message."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}"
    return "a date" if isinstance(value, date) else f"a value of type {type(value).__name__}"
