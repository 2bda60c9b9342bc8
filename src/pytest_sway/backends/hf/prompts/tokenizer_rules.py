"""Rules of a tokenizer that turn a short text into a very long one: the tokenizer's library has no limit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pytest_sway.requests import RequestError

_MOST_GROWTH = 64
"""Characters that all replacements together may make of one; those of well-known tokenizers make 1 to 4."""


def checked_tokenizer(tokenizer: Any) -> Any:
    """The tokenizer, after a first text.

    Raises:
        ValueError: its rules make a text far longer.
        Exception: whatever the tokenizer raises.
    """
    if fault := rules_fault(tokenizer):
        raise ValueError(fault)
    with panics_as_errors():
        tokenizer("a", verbose=False)
    return tokenizer


@contextmanager
def panics_as_errors() -> Iterator[None]:
    """Turn a panic of the tokenizer's library into a RequestError: it is no Exception, and would end pytest.

    A regular expression that backtracks too often ends so (Oniguruma's retry limit).
    """
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # pyo3's class has no module that could be imported
            raise
        raise RequestError(
            f"the tokenizer cannot split a text: {error}. Check the rules in its tokenizer.json"
        ) from None


def rules_fault(tokenizer: Any) -> str:
    """Why a text cannot be given to a tokenizer, as the end of a sentence; empty where it can."""
    rules = getattr(tokenizer, "backend_tokenizer", None)
    normalizer = getattr(rules, "normalizer", None)
    try:
        state = json.loads(normalizer.__getstate__()) if normalizer is not None else None
    except (AttributeError, ValueError, RecursionError, TypeError):  # one written in Python has no state
        return ""
    growth = 1
    for length in _replacement_lengths(state):
        growth *= max(1, length)
    if growth <= _MOST_GROWTH:
        return ""
    return f"its normalizer (tokenizer.json) may replace a character by {min(growth, 10**9):,} or more"


def _replacement_lengths(state: Any) -> Iterator[int]:
    """How many characters each replacement makes of one, at most."""
    if not isinstance(state, dict):
        return
    if state.get("type") == "Replace":
        pattern = state.get("pattern")
        literal = pattern.get("String") if isinstance(pattern, dict) else None
        replaced = max(1, len(literal)) if isinstance(literal, str) else 1
        yield -(-len(str(state.get("content", ""))) // replaced)
    for inner in state.get("normalizers") or ():
        yield from _replacement_lengths(inner)
