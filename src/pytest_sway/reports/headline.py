"""What a person needs first, in words, on every surface: what the result means, how sure it is, and why."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_sway.reports import null_text
from pytest_sway.reports.suite_text import REAL_Z, band_text
from pytest_sway.result import MEASURED_VERDICTS, Claim, ProbeResult, SuiteResult, Verdict, null_group
from pytest_sway.suites.composite import LEARNING
from pytest_sway.suites.gate import NOT_REPORTED
from pytest_sway.text import formatting
from pytest_sway.text.width import shorten

_STATUS = {"unknown": "UNGATED"}
_REASONS = 2
_NAMES = 3
_CASE = 60
_UNTRAINED = (
    "check that the prompts are about the adapter's training data, "
    "and that you gave the right adapter and base model"
)
_WRONG_DIRECTION = "wrong direction"
_SMALL = re.compile(r"real \(z [^)]*\) but small: [^;]+")
"""What the effect rule says of an effect that is beyond random adapters and below its floor."""


@dataclass(frozen=True)
class Headline:
    """The top of every report; nothing in it is computed anew.

    Attributes:
        status: ``PASSED``, ``FAILED``, ``PARTIAL``, or ``UNGATED`` where a saved result knows no gate.
        answer: one word for the adapter's condition, and what it means.
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
    status = suite.gate.status
    if not any(probe.verdict in MEASURED_VERDICTS for probe in suite.probes):
        return "could not be measured. No probe has a result"
    composite = formatting.score(suite.score.overall)
    if status == "partial":
        part = "only a part of the suite was measured, so the gate did not judge it"
        return f"{part}. Composite of this part: {composite}"
    if status == "unknown":
        return f"{band_text(suite)}. Composite {composite}; the result has no gate"
    if status == "passed":
        return f"{_passed_condition(suite)}. Composite {_composite_text(suite)}{_undecided(suite)}"
    return _failed_answer(suite)


def _composite_text(suite: SuiteResult) -> str:
    wanted = formatting.score(suite.gate.threshold)
    return f"{formatting.score(suite.score.overall)}, needs {wanted}"


def _passed_condition(suite: SuiteResult) -> str:
    band = band_text(suite)
    return {"no band": "passed its gate", "partial": "partial, but enough for the gate"}.get(band, band)


def _failed_answer(suite: SuiteResult) -> str:
    """The condition of an adapter that failed its gate, the weightiest first."""
    failed = _probes_with(suite, Verdict.FAIL)
    if any("adapter is inert" in probe.message for probe in failed):
        return "inert. The adapter changes nothing: its update is zero"
    if harmed := [probe for probe in failed if probe.claim is Claim.NO_HARM]:
        return _damage(harmed)
    memorised = [probe for probe in failed if probe.message.startswith("memorised")]
    if memorised:
        return f"memorised. The adapter knows its answers only in the trained wording ({memorised[0].name})"
    if broken := [probe for probe in failed if probe.claim is Claim.PRE_RUN]:
        return f"training went wrong. {_capital(broken[0].message)}"
    if effect := _effect_answer(suite):
        return effect
    if failed:
        return f"unsound. {_names(failed)} failed"
    return _unproven_answer(suite)


def _damage(harmed: Sequence[ProbeResult]) -> str:
    """What a no-harm probe shows: a model that recites is not one that forgot."""
    if all(probe.message.startswith("too little gained") for probe in harmed):
        return f"weak. The gain is smaller than required ({_names(harmed)})"
    lost = [probe for probe in harmed if probe.kind != "leakage"]
    if not lost:
        return f"memorised. The adapter recites its training text ({_names(harmed)})"
    return f"damaged. The adapter harms abilities of the base model ({_names(lost)})"


def _effect_answer(suite: SuiteResult) -> str:
    """Where an effect is missing or too small; empty where no effect failed."""
    effects = _measured_effects(suite)
    failed = [probe for probe in effects if probe.verdict is Verdict.FAIL]
    if not failed:
        return ""
    if opposite := [probe for probe in failed if _WRONG_DIRECTION in probe.message]:
        return f"wrong direction. The effect is the opposite of what is required ({_names(opposite)})"
    real = [probe for probe in effects if _is_real(probe)]
    if not real:
        return _missing_effect(failed)
    learning = [probe for probe in effects if probe.category == LEARNING]
    if learning and not any(map(_is_real, learning)):
        return (
            f"not learned. The model changed{_z_text(max(real, key=_z))}, "
            f"but it did not clearly learn the training content ({_names(learning)})"
        )
    if small := [probe for probe in failed if _is_real(probe)]:
        return _weak_effect(max(small, key=_z), suite)
    return f"partial. {len(real)} of {len(effects)} effects are real. {_names(failed)} failed"


def _missing_effect(failed: Sequence[ProbeResult]) -> str:
    """Where no effect is real: too small, or no more than random adapters do."""
    compared = [probe for probe in failed if probe.null is not None or probe.z_score is not None]
    if not compared:
        return f"weak. The effect is smaller than required ({_names(failed)})"
    family = next((probe.null.family for probe in compared if probe.null is not None), "")
    z = _z_text(max(compared, key=_z))
    return f"noise. The effect is like that of {null_group(family)}{z}"


def _weak_effect(probe: ProbeResult, suite: SuiteResult) -> str:
    which = "The effect" if len(_measured_effects(suite)) == 1 else f"The effect of {probe.name}"
    if found := _SMALL.search(probe.message):
        return f"weak. {which} is {found[0]}"
    short = "smaller than required" if probe.verdict is Verdict.FAIL else "may not be large enough"
    return f"weak. {which} is real{_z_text(probe)} but {short}"


def _unproven_answer(suite: SuiteResult) -> str:
    """No probe failed, and yet the gate did."""
    if broken := _probes_with(suite, Verdict.ERROR):
        return f"could not be measured. {_names(broken)} ended in an error"
    if _has_lost_probes(suite):
        return "could not be measured. Some probes gave no result"
    effects, warned = _measured_effects(suite), _probes_with(suite, Verdict.WARN)
    if not _is_below_threshold(suite):
        return f"not certain. {_names(warned)} warned" if warned else "not certain. The gate's reasons follow"
    if not effects:
        return f"no effect was measured. Composite {_composite_text(suite)}"
    real = [probe for probe in effects if _is_real(probe)]
    if not real:
        return f"not certain. No effect is clear enough. Composite {_composite_text(suite)}"
    if doubtful := [probe for probe in real if probe.verdict is Verdict.WARN]:
        return _weak_effect(max(doubtful, key=_z), suite)
    return f"partial. The adapter meets only a part of the requirements. Composite {_composite_text(suite)}"


def _is_real(probe: ProbeResult) -> bool:
    """Whether it is beyond its null adapters by the spec's criterion, or by z alone."""
    return bool(probe.distinguishable) or _z(probe) >= REAL_Z


def _z(probe: ProbeResult) -> float:
    return probe.z_score if probe.z_score is not None else 0.0


def _z_text(probe: ProbeResult) -> str:
    return f" (z {formatting.z(probe.z_score)})" if probe.z_score is not None else ""


def _names(probes: Sequence[ProbeResult]) -> str:
    more = f" and {len(probes) - _NAMES} more" if len(probes) > _NAMES else ""
    return ", ".join(probe.name for probe in probes[:_NAMES]) + more


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _is_below_threshold(suite: SuiteResult) -> bool:
    threshold = suite.gate.threshold
    return threshold is not None and suite.score.overall < threshold


def _has_lost_probes(suite: SuiteResult) -> bool:
    return any(NOT_REPORTED in reason for reason in suite.gate.reasons)


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
    return f"{passed} of {len(measured)} effects pass"


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
        return "the result has no data on random adapters"
    number = " or ".join(sorted(counts))
    return f"compared with {number} random adapters; how many of them would pass is not known"


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
        alike.setdefault(_without_figures(probe.message), []).append(probe)
    for group in sorted(alike.values(), key=len, reverse=True):
        yield f"{_names(group)}: {group[0].message}{_advice(group[0])}"


def _without_figures(message: str) -> str:
    """What a message says before its colon, without what stands in brackets there."""
    return re.sub(r" \([^)]*\)", "", message.split(":")[0])


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
