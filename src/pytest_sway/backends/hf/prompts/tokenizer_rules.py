"""Rules of a tokenizer that turn a short text into a very long one: the tokenizer's library has no limit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pytest_sway.requests import RequestError

_MOST_GROWTH = 1000
"""Characters that all replacements together may make of one; those of well-known tokenizers make 1 to 20."""


def checked_tokenizer(tokenizer: Any) -> Any:
    """The tokenizer, after a first text; its library may refuse that one, which a vocabulary need not spell.

    Raises:
        ValueError: its rules make a text far longer.
        RequestError: its library panics.
        Exception: transformers cannot work with its settings.
    """
    if fault := rules_fault(tokenizer):
        raise ValueError(fault)
    try:
        with panics_as_errors():
            tokenizer("a", verbose=False)
    except Exception as error:
        if type(error) is not Exception:  # the library raises this class itself
            raise
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
    growth = _growth(list(_replacements(state)))
    if growth <= _MOST_GROWTH:
        return ""
    return f"its normalizer (tokenizer.json) may replace a character by {min(growth, 10**9):,} or more"


@dataclass(frozen=True)
class _Replacement:
    """A rule of a normalizer.

    Attributes:
        literal: the text that it replaces; None: whatever it finds.
        content: what it writes; None: any characters, as many as before.
    """

    literal: str | None
    content: str | None

    @property
    def growth(self) -> int:
        """Characters that it makes of one, at most."""
        return max(1, -(-len(self.content or "") // max(1, len(self.literal or ""))))

    def may_change(self, text: str | None) -> bool:
        """Whether it can find something in a text, or in the text with what stands around it."""
        return self.literal is None or text is None or bool(set(self.literal) & set(text))


def _growth(rules: Sequence[_Replacement]) -> int:
    """Characters that rules make of one, one after the other.

    What a rule writes grows again only where a later rule finds characters of it.
    """
    most: list[int] = []
    for number, rule in enumerate(rules):
        before = [most[earlier] for earlier in range(number) if rule.may_change(rules[earlier].content)]
        most.append(rule.growth * max(before, default=1))
    return max(most, default=1)


def _replacements(state: Any) -> Iterator[_Replacement]:
    if not isinstance(state, dict):
        return
    kind = state.get("type")
    if kind == "Replace":
        pattern = state.get("pattern")
        literal = pattern.get("String") if isinstance(pattern, dict) else None
        yield _Replacement(literal if isinstance(literal, str) else None, str(state.get("content", "")))
    elif kind != "Sequence":
        yield _Replacement(None, None)
    for inner in state.get("normalizers") or ():
        yield from _replacements(inner)
