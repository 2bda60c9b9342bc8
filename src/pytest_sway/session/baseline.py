"""A run against an earlier result: which belongs to which suite, what became worse, and the gate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from pathlib import Path, PurePath

import pytest

from pytest_sway.reports.baseline_text import regression_reason
from pytest_sway.result import BaselineComparison, CompositeChange, Gate, SuiteResult
from pytest_sway.suites.changes import changes, composite_delta, regressions
from pytest_sway.suites.comparison_notes import notes
from pytest_sway.suites.saved_results import SavedResultError, read_saved_result


@dataclass(frozen=True)
class Baseline:
    """Earlier results, one per suite.

    Attributes:
        path: the file or folder, as the user wrote it.
        results: the files' results.
        threshold: smallest drop that fails the gate; None where none does.
    """

    path: str
    results: tuple[SuiteResult, ...]
    threshold: float | None = None


BASELINE = pytest.StashKey[Baseline]()
"""The earlier results, as they were before anything ran."""


def load_baseline(path: str, threshold: float | None = None) -> Baseline:
    """A result file, or a folder with one per suite.

    Raises:
        SavedResultError: naming the file, what was found, and what to write.
    """
    source = Path(path)
    if source.is_dir():
        files = sorted(source.glob("*.json"))
        if not files:
            raise SavedResultError(
                f"folder {path} contains no result; pass a file or folder that --sway-json wrote"
            )
    elif source.exists():
        files = [source]
    else:
        raise SavedResultError(
            f"file or folder {path} does not exist; create it in a first run with --sway-json={path} and "
            "without --sway-baseline"
        )
    return Baseline(path, tuple(map(read_saved_result, files)), threshold)


def compare_with_baseline(suites: Sequence[SuiteResult], baseline: Baseline) -> list[SuiteResult]:
    """Every suite with what changed against its earlier result, and the gate that follows from it.

    A suite without an earlier result says so in its notes and is gated as ever; where none has one, a gate
    that was to look for regressions has nothing to look at, and fails.
    """
    earlier = _counterparts(suites, baseline.results)
    used = [one for one in earlier.values() if one is not None]
    compared = []
    for suite in suites:
        then = earlier[suite.suite]
        if then is None:
            held = ", ".join(_name(one) for one in baseline.results)
            text = f"no baseline: {baseline.path} contains results of {held}, but none of this suite"
            alone = baseline.threshold is not None and not used
            gate = with_regressions(suite.gate, [text] if alone else [])
            compared.append(replace(suite, notes=(*suite.notes, text), gate=gate))
        else:
            compared.append(_compared(suite, then, baseline))
    absent = [_name(one) for one in baseline.results if not any(one is other for other in used)]
    if absent and used:
        text = f"{baseline.path} also contains results of {', '.join(absent)}, which did not run this time"
        compared[-1] = replace(compared[-1], notes=(*compared[-1].notes, text))
    return compared


def with_regressions(gate: Gate, reasons: Sequence[str]) -> Gate:
    """A gate that also fails for what became worse; a partial run is not gated.

    Args:
        gate: as it was judged by the run alone.
        reasons: one line per regression.
    """
    if not reasons or gate.is_partial:
        return gate
    return Gate("failed", gate.threshold, (*gate.reasons, *reasons))


def _compared(suite: SuiteResult, then: SuiteResult, baseline: Baseline) -> SuiteResult:
    partial = suite.gate.is_partial
    found = [change for change in changes(then, suite) if not partial or change.now is not None]
    delta, threshold = composite_delta(then, suite), baseline.threshold
    worse = regressions(found, delta, threshold)
    reasons = [regression_reason(one, threshold or 0.0, then, suite) for one in worse]
    comparison = BaselineComparison(
        path=baseline.path,
        suite=then.suite,
        adapter_id=then.adapter_id,
        finished_at=then.finished_at,
        composite=CompositeChange(then.score.overall, suite.score.overall, delta),
        probes=[change.comparison for change in found],
        regression_threshold=threshold,
        regressions=[one.with_text(reason) for one, reason in zip(worse, reasons, strict=True)],
        gated=threshold is not None and not partial,
        notes=notes(then, suite, found),
    )
    return replace(suite, baseline=comparison, gate=with_regressions(suite.gate, reasons))


def _counterparts(
    suites: Sequence[SuiteResult], results: Sequence[SuiteResult]
) -> dict[str, SuiteResult | None]:
    """Each suite's earlier result, used once: one of each belong together; else by what they are called.

    The same id goes first, then the same spec and adapter, by three folders and by one. Where several are
    called alike nobody can tell which is meant, and none is taken.
    """
    if len(suites) == len(results) == 1:
        return {suites[0].suite: results[0]}
    found: dict[str, SuiteResult | None] = dict.fromkeys(suite.suite for suite in suites)
    free = list(results)
    by_three_parts, by_last_part = (partial(_suite_and_adapter, depth=depth) for depth in (3, 1))
    for called in (attrgetter("suite"), by_three_parts, by_last_part):
        waiting = [suite for suite in suites if found[suite.suite] is None]
        names = Counter(called(suite) for suite in waiting)
        for suite in waiting:
            same = [one for one in free if called(one) == called(suite)]
            if len(same) == names[called(suite)] == 1:
                found[suite.suite] = same[0]
        free = [one for one in free if not any(one is taken for taken in found.values())]
    return found


def _suite_and_adapter(suite: SuiteResult, depth: int) -> tuple[str, tuple[str, ...]]:
    return PurePath(suite.spec_path).name, PurePath(suite.adapter_id).parts[-depth:]


def _name(suite: SuiteResult) -> str:
    return suite.suite or PurePath(suite.spec_path).name or "a result without a name"
