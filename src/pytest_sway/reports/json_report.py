"""The result file: dlm-sway's schema 1, with added keys only; standard JSON, no NaN."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pytest_sway.result import SuiteResult
from pytest_sway.suites.json_conversion import to_json
from pytest_sway.suites.saved_results import SCHEMA_VERSION

_ESCAPED = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]|##\\[")
"""Characters that steer a terminal, and what GitHub's runner executes, in strings: written as escapes."""


def payload(suite: SuiteResult) -> dict[str, Any]:
    """One suite as the JSON object of schema 1."""
    return {"schema_version": SCHEMA_VERSION, **to_json(suite)}


def text(suite: SuiteResult) -> str:
    """The file's content: keys sorted, standard JSON."""
    return json_text(payload(suite))


def json_text(content: Mapping[str, Any]) -> str:
    """A file's content, for every file that we write as JSON: keys sorted, standard JSON.

    Args:
        content: builtins without NaN or infinity, as :mod:`~pytest_sway.suites.json_conversion` makes them.
    """
    text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    return _ESCAPED.sub(_escape, text) + "\n"


def _escape(found: re.Match[str]) -> str:
    return "".join(char if char == "#" else f"\\u{ord(char):04x}" for char in found[0])
