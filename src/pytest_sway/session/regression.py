"""A run against an earlier result: which belongs to which suite, what became worse, and the gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from pytest_sway.reports import changes as words
from pytest_sway.reports.comparable import notes
from pytest_sway.reports.saved import SavedResultError, read
from pytest_sway.result import SuiteResult
from pytest_sway.session.compose import gate_of
from pytest_sway.session.gate import Gate
from pytest_sway.statistics.change import changes, composite_delta, regressions


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


def load(path: str, threshold: float | None = None) -> Baseline:
    """A result file, or a folder with one per suite.

    Raises:
        SavedResultError: naming the file, what was found, and what to write.
    """
    place = Path(path)
    if place.is_dir():
        files = sorted(place.glob("*.json"))
        if not files:
            raise SavedResultError(f"{path}: holds no result: give a folder that --sway-json wrote")
    elif place.exists():
        files = [place]
    else:
        raise SavedResultError(
            f"{path}: there is no such file or folder; write it with --sway-json={path} "
            "(for a first run, leave the baseline out)"
        )
    return Baseline(path, tuple(map(read, files)), threshold)


def against(suites: Sequence[SuiteResult], baseline: Baseline) -> list[SuiteResult]:
    """Every suite with what changed against its earlier result, and the gate that follows from it.

    A suite without an earlier result says so in its notes and is gated as ever.
    """
    earlier = {suite.suite: _counterpart(suite, suites, baseline.results) for suite in suites}
    compared = []
    for suite in suites:
        then = earlier[suite.suite]
        if then is None:
            held = ", ".join(_name(one) for one in baseline.results)
            text = f"no baseline: {baseline.path} holds {held}, and nothing of this suite"
            compared.append(replace(suite, notes=(*suite.notes, text)))
        else:
            compared.append(_compared(suite, then, baseline))
    used = [one for one in earlier.values() if one is not None]
    absent = [_name(one) for one in baseline.results if not any(one is other for other in used)]
    if absent and used:
        text = f"{baseline.path} also holds {', '.join(absent)}, which this run does not"
        compared[-1] = replace(compared[-1], notes=(*compared[-1].notes, text))
    return compared


def with_regressions(gate: Gate, reasons: Sequence[str]) -> Gate:
    """A gate that also fails for what became worse; a partial run is not gated.

    Args:
        gate: as it was judged by the run alone.
        reasons: one line per regression.
    """
    if not reasons or gate.status == "partial":
        return gate
    return Gate("failed", gate.threshold, (*gate.reasons, *reasons))


def _compared(suite: SuiteResult, then: SuiteResult, baseline: Baseline) -> SuiteResult:
    gate = gate_of(suite)
    partial = gate.status == "partial"
    found = [change for change in changes(then, suite) if not partial or change.now is not None]
    delta, threshold = composite_delta(then, suite), baseline.threshold
    worse = regressions(found, delta, threshold)
    reasons = [words.reason(one, threshold or 0.0, then, suite) for one in worse]
    told: dict[str, Any] = {
        "path": baseline.path,
        "suite": then.suite,
        "adapter_id": then.adapter_id,
        "finished_at": then.finished_at,
        "composite": {"then": then.score.overall, "now": suite.score.overall, "delta": delta},
        "probes": [change.to_wire() for change in found],
        "regression_threshold": threshold,
        "regressions": [
            {**one.to_wire(), "text": reason} for one, reason in zip(worse, reasons, strict=True)
        ],
        "gated": threshold is not None and not partial,
        "notes": notes(then, suite, found),
    }
    return replace(suite, baseline=told, gate=with_regressions(gate, reasons).to_wire())


def _counterpart(
    suite: SuiteResult, suites: Sequence[SuiteResult], results: Sequence[SuiteResult]
) -> SuiteResult | None:
    """One file and one suite belong together; else the same id; else the same spec and adapter by name."""
    if len(suites) == len(results) == 1:
        return results[0]
    same = [one for one in results if one.suite == suite.suite]
    for depth in (3, 1):
        if len(same) != 1:
            same = [one for one in results if _labels(one, depth) == _labels(suite, depth)]
    return same[0] if len(same) == 1 else None


def _labels(suite: SuiteResult, depth: int) -> tuple[str, tuple[str, ...]]:
    return PurePath(suite.spec_path).name, PurePath(suite.adapter_id).parts[-depth:]


def _name(suite: SuiteResult) -> str:
    return suite.suite or PurePath(suite.spec_path).name or "a result without a name"
