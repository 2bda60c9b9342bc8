"""What a person needs first, in words, on every surface: healthy or not, how sure, one or two reasons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_sway.reports import null_text
from pytest_sway.result import MEASURED_VERDICTS, Claim, ProbeResult, SuiteResult, Verdict
from pytest_sway.text import formatting
from pytest_sway.text.width import shorten

_STATUS = {"unknown": "UNGATED"}
_BANDS = {"partial": "only partial", "": "not judged"}
"""What a band that passed is called, where it is not called by its own name."""
_REASONS = 2
_NAMES = 3
_CASE = 60
_UNTRAINED = "are the prompts about what it was trained on, is it the adapter that you meant, of this base?"


@dataclass(frozen=True)
class Headline:
    """The top of every report; nothing in it is computed anew.

    Attributes:
        status: ``PASSED``, ``FAILED``, ``PARTIAL``, or ``UNGATED`` where a saved result knows no gate.
        answer: healthy or not, with the composite and what the gate wants.
        sure: how many effects pass, how many stand beyond their nulls, and how many random adapters would
            have passed; or why that is not known; empty where the adapter was not evaluated.
        reasons: warnings about what was measured at all, then the one or two reasons that matter most, each
            with what to look at.
    """

    status: str
    answer: str
    sure: str
    reasons: tuple[str, ...]


def headline(suite: SuiteResult) -> Headline:
    """A suite in words."""
    status = suite.gate.status
    if suite.not_evaluated:
        return Headline(_STATUS.get(status, status.upper()), "not evaluated", "", (suite.not_evaluated,))
    reasons = (*suite.warnings, *_reasons(suite)[:_REASONS])
    return Headline(_STATUS.get(status, status.upper()), _answer(suite), _sure(suite), reasons)


def _answer(suite: SuiteResult) -> str:
    status, band = suite.gate.status, suite.score.band
    composite = f"composite {formatting.score(suite.score.overall)}"
    wanted = formatting.score(suite.gate.threshold)
    if not any(probe.verdict in MEASURED_VERDICTS for probe in suite.probes):
        return "nothing was measured"
    if status == "partial":
        return f"a part of the suite is not judged; {composite} of what ran"
    if status == "unknown":
        return f"{band or 'without a band'}: {composite}; the result knows no gate"
    if status == "passed":
        return f"{_BANDS.get(band, band)}: {composite}, the gate wants {wanted}{_undecided(suite)}"
    if _is_unhealthy(suite):
        answer = "not healthy" + (f" ({band})" if band not in ("healthy", "") else "")
    else:
        answer = "not shown to be healthy"
    if _is_below_threshold(suite):
        return f"{answer}: {composite}, the gate wants {wanted}"
    return f"{answer}, though {composite} reaches the gate's {wanted}"


def _is_below_threshold(suite: SuiteResult) -> bool:
    threshold = suite.gate.threshold
    return threshold is not None and suite.score.overall < threshold


def _is_unhealthy(suite: SuiteResult) -> bool:
    """Whether a number says so; an error, a lost probe, or a suite without an effect says nothing of it."""
    if any(probe.verdict is Verdict.FAIL for probe in suite.probes):
        return True
    effects = [probe for probe in suite.probes if probe.claim is Claim.EFFECT]
    if _has_lost_probes(suite) or any(probe.verdict is Verdict.ERROR for probe in suite.probes):
        return False
    return _is_below_threshold(suite) and bool(effects or suite.null_summary is None)


def _has_lost_probes(suite: SuiteResult) -> bool:
    return any("planned but not reported" in reason for reason in suite.gate.reasons)


def _sure(suite: SuiteResult) -> str:
    summary = suite.null_summary
    if summary is None:
        return _sure_by_statistics(suite)
    if summary.effects is not None:
        beyond = null_text.effects_sentence(summary.effects, summary.nulls)
        passing = null_text.passing_sentence(summary.nulls)
        return "; ".join(filter(None, [_passed_effects(suite), beyond, passing]))
    measured = _measured_effects(suite)
    if not measured:
        return "no effect was measured, so nothing was compared with random adapters"
    why = next((probe.not_calibrated for probe in measured if probe.not_calibrated), "")
    return "not compared with random adapters" + (f": {why}" if why else "")


def _measured_effects(suite: SuiteResult) -> list[ProbeResult]:
    return [p for p in suite.probes if p.claim is Claim.EFFECT and p.verdict in MEASURED_VERDICTS]


def _passed_effects(suite: SuiteResult) -> str:
    """How many effects are what was asked for: their floors decide that, not their nulls alone."""
    measured = _measured_effects(suite)
    passed = sum(probe.verdict is Verdict.PASS for probe in measured)
    return f"{passed} of {len(measured)} effects large enough and sure"


def _undecided(suite: SuiteResult) -> str:
    """What a suite that passed leaves open, in probes and in sections; empty where that is nothing."""
    measured = [probe for probe in suite.probes if probe.verdict in MEASURED_VERDICTS]
    open_probes = sum(probe.verdict is Verdict.WARN for probe in measured)
    sections = [row for p in measured for row in p.evidence.get("per_section") or [] if "verdict" in row]
    unclear = sum(row["verdict"] == "unclear" for row in sections)
    parts = [f"{open_probes} of {len(measured)} probes"] if open_probes else []
    parts += [f"{unclear} of {len(sections)} sections"] if unclear else []
    return f"; undecided: {', '.join(parts)}" if parts else ""


def _sure_by_statistics(suite: SuiteResult) -> str:
    """dlm-sway writes how many nulls there were, but not how they did."""
    counts = {f"{stats.n:g}" for stats in suite.null_stats.values() if stats.n}
    if not counts:
        return "the result says nothing of random adapters"
    return f"z against {' or '.join(sorted(counts))} null adapters; how many of them would pass is not known"


def _reasons(suite: SuiteResult) -> list[str]:
    """Every reason, the weightiest first, each once."""
    failed = sorted(_probes_with(suite, Verdict.FAIL), key=lambda probe: probe.score or 0.0)
    broken = _probes_with(suite, Verdict.ERROR)
    by_message = [*_group_by_message(failed), *_group_by_message(broken)]
    if suite.gate.status == "partial":
        return [*suite.gate.reasons, *by_message]
    if suite.gate.status == "failed":
        return by_message or [*suite.gate.reasons, *_suite_findings(suite)]
    return [*by_message, *_suite_findings(suite), *_strongest(suite), *_weakest(suite)]


def _probes_with(suite: SuiteResult, verdict: Verdict) -> list[ProbeResult]:
    return [probe for probe in suite.probes if probe.verdict is verdict]


def _group_by_message(probes: Sequence[ProbeResult]) -> Iterator[str]:
    """Probes that say the same (up to the colon) in one reason, with the first one's figures; most first."""
    alike: dict[str, list[ProbeResult]] = {}
    for probe in probes:
        alike.setdefault(probe.message.split(":")[0], []).append(probe)
    for group in sorted(alike.values(), key=len, reverse=True):
        named = ", ".join(probe.name for probe in group[:_NAMES])
        more = f" and {len(group) - _NAMES} more" if len(group) > _NAMES else ""
        yield f"{named}{more}: {group[0].message}{_advice(group[0])}"


def _advice(probe: ProbeResult) -> str:
    """What to look at, where the message does not say it."""
    case = probe.evidence.get("prompt")
    if isinstance(case, str) and case.strip():
        return f"; worst on {shorten(case, _CASE)!r}"
    if probe.claim is Claim.EFFECT and probe.distinguishable is False and "inert" not in probe.message:
        return f"; {_UNTRAINED}"
    return ""


def _suite_findings(suite: SuiteResult) -> list[str]:
    """Findings on the suite; those on a probe stand among the probes' reasons."""
    messages = [probe.message for probe in _probes_with(suite, Verdict.FAIL) if probe.message]
    return [finding for finding in suite.score.findings if not any(text in finding for text in messages)]


def _weakest(suite: SuiteResult) -> list[str]:
    warned = sorted(_probes_with(suite, Verdict.WARN), key=lambda probe: probe.score or 0.0)
    return [f"weakest, {probe.name}: {probe.message}{_advice(probe)}" for probe in warned[:1]]


def _strongest(suite: SuiteResult) -> list[str]:
    """The effect that stands furthest beyond its nulls, when all are looked at together."""
    effects = None if suite.null_summary is None else suite.null_summary.effects
    real = [] if effects is None else effects.holm
    passed = [
        p for p in suite.probes if p.name in real and p.z_score is not None and p.verdict is Verdict.PASS
    ]
    best = max(passed, key=lambda probe: probe.z_score or 0.0, default=None)
    return [f"strongest, {best.name}: {best.message}"] if best is not None else []
