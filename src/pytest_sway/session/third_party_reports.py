"""Third-party reports: plugins and conftests that implement ``pytest_sway_report``."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pytest_sway.result import SuiteResult
from pytest_sway.third_party import HOOK_ERRORS, hook_implementations

_HOOK = "pytest_sway_report"


def call_report_hooks(config: pytest.Config, suites: Sequence[SuiteResult]) -> tuple[list[str], list[str]]:
    """Call every plugin, also where one before it failed.

    Returns:
        The lines to show, and what went wrong: a line each, which fails the run.
    """
    lines: list[str] = []
    errors: list[str] = []
    for hook in hook_implementations(config, config.hook.pytest_sway_report):
        try:
            answers = hook.call(config=config, suites=tuple(suites))
        except HOOK_ERRORS as error:
            errors.append(f"{_HOOK} of {hook.plugin_name} failed: {hook.error_text(error)}")
            continue
        answer = answers[0] if answers else []
        texts = [answer] if isinstance(answer, str) else answer
        if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) for text in texts):
            found = type(answer).__name__
            problem = f"returned a value of type {found}; it must return a string, a list of strings or None"
            errors.append(f"{_HOOK} of {hook.plugin_name} {problem}")
            continue
        lines += [line for text in texts for line in text.splitlines()]
    return lines, errors
