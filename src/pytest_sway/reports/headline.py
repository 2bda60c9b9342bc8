"""What a person needs first, in words, on every surface: healthy or not, how sure, one or two reasons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_sway.result import MEASURED_VERDICTS, ProbeResult, SuiteResult, Verdict
from pytest_sway.suites import null_comparison
from pytest_sway.text import formatting
from pytest_sway.text.width import short

_STATUS = {"unknown": "UNGATED"}
_WORDS = {"partial": "only partial", "": "not judged"}
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
        sure: how many effects stand beyond their nulls and how many random adapters would have passed; or
            why that is not known; empty where the adapter was not evaluated.
        reasons: warnings about what was measured at all, then the one or two reasons that matter most, each
            with what to look at.
    """

    status: str
    answer: str
    sure: str
    reasons: tuple[str, ...]


def headline(suite: SuiteResult) -> Headline:
    """A suite in words."""
    status = suite.gate["status"]
    if suite.not_evaluated:
        return Headline(_STATUS.get(status, status.upper()), "not evaluated", "", (suite.not_evaluated,))
    reasons = (*suite.warnings, *_reasons(suite)[:_REASONS])
    return Headline(_STATUS.get(status, status.upper()), _answer(suite), _sure(suite), reasons)


def _answer(suite: SuiteResult) -> str:
    status, band = suite.gate["status"], suite.score.band
    composite = f"composite {formatting.score(suite.score.overall)}"
    wanted = formatting.score(suite.gate["threshold"])
    if not any(probe.verdict in MEASURED_VERDICTS for probe in suite.probes):
        return "nothing was measured"
    if status == "partial":
        return f"a part of the suite is not judged; {composite} of what ran"
    if status == "unknown":
        return f"{band or 'without a band'}: {composite}; the result knows no gate"
    if status == "passed":
        return f"{_WORDS.get(band, band)}: {composite}, the gate wants {wanted}"
    shown = "not healthy" if _found_wanting(suite) else "not shown to be healthy"
    named = f" ({band})" if band not in ("healthy", "") and shown == "not healthy" else ""
    if _below(suite):
        return f"{shown}{named}: {composite}, the gate wants {wanted}"
    return f"{shown}{named}, though {composite} reaches the gate's {wanted}"


def _below(suite: SuiteResult) -> bool:
    return suite.gate["threshold"] is not None and suite.score.overall < suite.gate["threshold"]


def _found_wanting(suite: SuiteResult) -> bool:
    """Whether a number says so; an error, a lost probe, or a suite without an effect says nothing of it."""
    if any(probe.verdict is Verdict.FAIL for probe in suite.probes):
        return True
    effects = [probe for probe in suite.probes if probe.claim == "effect"]
    told = not any(probe.verdict is Verdict.ERROR for probe in suite.probes) and not _lost(suite)
    return _below(suite) and told and bool(effects or not suite.calibration)


def _lost(suite: SuiteResult) -> bool:
    return any("planned but not reported" in reason for reason in suite.gate["reasons"])


def _sure(suite: SuiteResult) -> str:
    effects, nulls = suite.calibration.get("effects"), suite.calibration.get("nulls")
    if effects:
        return "; ".join(
            filter(None, [null_comparison.beyond(effects, nulls), null_comparison.passing(nulls)])
        )
    if not suite.calibration:
        return _foreign(suite)
    measured = [p for p in suite.probes if p.claim == "effect" and p.verdict in MEASURED_VERDICTS]
    if not measured:
        return "no effect was measured, so nothing was compared with random adapters"
    why = next((probe.not_calibrated for probe in measured if probe.not_calibrated), "")
    return "not compared with random adapters" + (f": {why}" if why else "")


def _foreign(suite: SuiteResult) -> str:
    """dlm-sway writes how many nulls there were, but not how they did."""
    counts = {f"{stats['n']:g}" for stats in suite.null_stats.values() if stats.get("n")}
    if not counts:
        return "the result says nothing of random adapters"
    return f"z against {' or '.join(sorted(counts))} null adapters; how many of them would pass is not known"


def _reasons(suite: SuiteResult) -> list[str]:
    """Every reason, the weightiest first, each told once."""
    failed = sorted(_with(suite, Verdict.FAIL), key=lambda probe: probe.score or 0.0)
    broken = _with(suite, Verdict.ERROR)
    told = [*_grouped(failed), *_grouped(broken)]
    if suite.gate["status"] == "partial":
        return [*suite.gate["reasons"], *told]
    if suite.gate["status"] == "failed":
        return told or [*suite.gate["reasons"], *_general(suite)]
    return [*told, *_general(suite), *_strongest(suite), *_weakest(suite)]


def _with(suite: SuiteResult, verdict: Verdict) -> list[ProbeResult]:
    return [probe for probe in suite.probes if probe.verdict is verdict]


def _grouped(probes: Sequence[ProbeResult]) -> Iterator[str]:
    """Probes that say the same (up to the colon) in one reason, with the first one's figures; most first."""
    alike: dict[str, list[ProbeResult]] = {}
    for probe in probes:
        alike.setdefault(probe.message.split(":")[0], []).append(probe)
    for group in sorted(alike.values(), key=len, reverse=True):
        named = ", ".join(probe.name for probe in group[:_NAMES])
        more = f" and {len(group) - _NAMES} more" if len(group) > _NAMES else ""
        yield f"{named}{more}: {group[0].message}{_look(group[0])}"


def _look(probe: ProbeResult) -> str:
    """What to look at, where the message does not say it."""
    case = probe.evidence.get("prompt")
    if isinstance(case, str) and case.strip():
        return f"; worst on {short(case, _CASE)!r}"
    if probe.claim == "effect" and probe.distinguishable is False and "inert" not in probe.message:
        return f"; {_UNTRAINED}"
    return ""


def _general(suite: SuiteResult) -> list[str]:
    """Findings on the suite; those on a probe are told with the probes."""
    told = [probe.message for probe in _with(suite, Verdict.FAIL) if probe.message]
    return [found for found in suite.score.findings if not any(message in found for message in told)]


def _weakest(suite: SuiteResult) -> list[str]:
    warned = sorted(_with(suite, Verdict.WARN), key=lambda probe: probe.score or 0.0)
    return [f"weakest, {probe.name}: {probe.message}{_look(probe)}" for probe in warned[:1]]


def _strongest(suite: SuiteResult) -> list[str]:
    """The effect that stands furthest beyond its nulls, when all are looked at together."""
    real = (suite.calibration.get("effects") or {}).get("holm", [])
    shown = [
        p for p in suite.probes if p.name in real and p.z_score is not None and p.verdict is Verdict.PASS
    ]
    best = max(shown, key=lambda probe: probe.z_score or 0.0, default=None)
    return [f"strongest, {best.name}: {best.message}"] if best is not None else []
