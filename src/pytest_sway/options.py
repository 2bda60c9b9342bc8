"""The command line's values, checked before anything is collected."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from pytest_sway.result import CATEGORY_WEIGHTS
from pytest_sway.session.baseline import Baseline, load
from pytest_sway.session.suite_reports import ReportOptions
from pytest_sway.suites.saved_results import SavedResultError


def options_of(config: pytest.Config) -> ReportOptions:
    """The options that the controller needs.

    Raises:
        pytest.UsageError: naming the option, what was found, and what to write.
    """
    return ReportOptions(
        threshold=_threshold(config.getoption("sway_threshold")),
        weights=_weights(config.getoption("sway_weights")),
        limit=limit_of(config),
        strict=config.getoption("sway_strict"),
    )


def limit_of(config: pytest.Config) -> int | None:
    """The most items of a probe that are looked at; None without a limit.

    Raises:
        pytest.UsageError: naming the option, what was found, and what to write.
    """
    text: str | None = config.getoption("sway_limit")
    if text is None:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise pytest.UsageError(f"--sway-limit={text}: write how many items of a probe to look at, e.g. 3")
    return int(text)


BASELINE = pytest.StashKey[Baseline]()
"""The earlier results, as they were before anything ran."""


def start_baseline(config: pytest.Config) -> None:
    """Read the earlier results.

    Raises:
        pytest.UsageError: naming the option, what was found, and what to write.
    """
    path, drop = config.getoption("sway_baseline"), config.getoption("sway_fail_on_regression")
    threshold = None if drop is None else _number(drop)
    if drop is not None and (threshold is None or not 0 < threshold <= 1):
        raise pytest.UsageError(f"--sway-fail-on-regression={drop}: write a number in (0, 1], e.g. 0.1")
    if path is None:
        if drop is not None:
            raise pytest.UsageError(
                "--sway-fail-on-regression compares with an earlier result: add --sway-baseline=RESULT.json"
            )
        return
    written = config.getoption("sway_json")
    if written and _overlap(Path(written).resolve(), Path(path).resolve()):
        raise pytest.UsageError(
            f"--sway-baseline={path} and --sway-json={written} are one place: a failed run would be the next "
            "baseline; write the new result elsewhere"
        )
    try:
        config.stash[BASELINE] = load(path, threshold)
    except SavedResultError as error:
        raise pytest.UsageError(f"--sway-baseline: {error}") from None


def _overlap(one: Path, other: Path) -> bool:
    """Whether they are one file or folder, or one is a file in the other."""
    return one == other or (one.parent == other and other.is_dir()) or (other.parent == one and one.is_dir())


_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}
_LEAST_MEMORY = 16 << 20


def memory_of(config: pytest.Config) -> int:
    """Bytes that a batch may take beside the weights.

    Raises:
        pytest.UsageError: naming the option, what was found, and what to write.
    """
    text: str = config.getoption("sway_memory")
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?i?)b?", text.strip().lower())
    unit = _UNITS.get(found[2]) if found else None
    if found is None or unit is None:
        raise pytest.UsageError(f"--sway-memory={text}: write a size, e.g. 512MiB or 2GB")
    size = int(float(found[1]) * unit)
    if size < _LEAST_MEMORY:
        raise pytest.UsageError(f"--sway-memory={text}: a batch needs 16MiB or more")
    return size


def start_trace(config: pytest.Config) -> None:
    """Begin the trace's file anew; the workers only add to it.

    Raises:
        pytest.UsageError: it cannot be written.
    """
    path = config.getoption("sway_trace")
    if not path or config.option.collectonly:
        return
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text("", encoding="utf-8")
    except (OSError, ValueError) as error:
        raise pytest.UsageError(f"--sway-trace={path} cannot be written: {error}") from None


def check(config: pytest.Config) -> None:
    """Look at every value, read the baseline, and begin the trace.

    Raises:
        pytest.UsageError: naming the option, what was found, and what to write.
    """
    options_of(config)
    memory_of(config)
    _drawable(config.getoption("sway_html"))
    start_baseline(config)
    start_trace(config)


def _drawable(path: str | None) -> None:
    """A page needs plotly: told now, not after an hour of measuring."""
    if path and importlib.util.find_spec("plotly") is None:
        from pytest_sway.reports.html import NEEDS

        raise pytest.UsageError(f"--sway-html={path}: {NEEDS}")


def _threshold(text: str | None) -> float | None:
    if text is None:
        return None
    value = _number(text)
    if value is None or not 0 <= value <= 1:
        raise pytest.UsageError(f"--sway-threshold={text}: write a number in [0, 1], e.g. 0.6")
    return value


def _weights(text: str | None) -> dict[str, float] | None:
    if text is None:
        return None
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, equals, number = part.strip().partition("=")
        value = _number(number)
        if not equals or value is None or not 0 <= value < float("inf"):
            raise pytest.UsageError(
                f"--sway-weights={text}: found {part.strip()!r}, write CATEGORY=WEIGHT with a finite "
                "weight ≥ 0, e.g. adherence=0.5,ablation=0"
            )
        if name not in CATEGORY_WEIGHTS:
            known = ", ".join(CATEGORY_WEIGHTS)
            raise pytest.UsageError(f"--sway-weights: unknown category {name!r}; known: {known}")
        weights[name] = value
    if not sum({**CATEGORY_WEIGHTS, **weights}.values()):
        raise pytest.UsageError(f"--sway-weights={text}: the weights sum to 0")
    return weights


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
