"""Reports of others: plugins and conftests that implement ``pytest_sway_report``."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pytest_sway.result import SuiteResult
from pytest_sway.third_party import HOOK_ERRORS, hook_implementations

_HOOK = "pytest_sway_report"


def call_report_hooks(config: pytest.Config, suites: Sequence[SuiteResult]) -> tuple[list[str], list[str]]:
    """Ask every plugin, whatever became of the one before.

    Returns:
        The lines to show, and what went wrong: a line each, which fails the run.
    """
    lines: list[str] = []
    troubles: list[str] = []
    for asked in hook_implementations(config, config.hook.pytest_sway_report):
        try:
            answers = asked.call(config=config, suites=tuple(suites))
        except HOOK_ERRORS as error:
            troubles.append(f"{_HOOK} of {asked.plugin} failed: {asked.why(error)}")
            continue
        found = answers[0] if answers else []
        given = [found] if isinstance(found, str) else found
        if not isinstance(given, (list, tuple)) or not all(isinstance(line, str) for line in given):
            found = f"returned {type(found).__name__}; return lines, a text or a list of texts, or nothing"
            troubles.append(f"{_HOOK} of {asked.plugin} {found}")
            continue
        lines += [line for text in given for line in text.splitlines()]
    return lines, troubles
