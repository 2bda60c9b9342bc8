"""Does a suite pass? Fails closed: what is missing or broken never counts as good."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_sway.result import MEASURED_VERDICTS, Gate, ProbeResult, Score, Verdict

NOT_REPORTED = "planned but not reported"
"""What the gate says of a probe that was to run and did not report."""


@dataclass(frozen=True)
class GateCriteria:
    """What a suite is held to.

    Attributes:
        threshold: smallest composite that passes.
        strict: whether a WARN fails.
        limit: the most items of a probe that were looked at; a suite that was looked at so is not gated.
    """

    threshold: float
    strict: bool = False
    limit: int | None = None


def judge_gate(
    results: Sequence[ProbeResult],
    planned: Mapping[str, str],
    selected: Sequence[str],
    score: Score,
    criteria: GateCriteria,
    crashed: Collection[str] = (),
) -> Gate:
    """Judge a suite: any FAIL or ERROR, a planned probe without a report, a low composite.

    A partial selection (``-k``, ``::id``, ``--lf``, a probe that a mark skipped, a limit) does not gate: a
    composite of some probes is not the suite's. Its failures are still failed items.

    Args:
        results: one per probe that reported.
        planned: every probe of the spec, and where it stands there.
        selected: those that were to run.
        score: the suite's composite.
        criteria: what it is held to.
        crashed: probes in which a worker died.
    """
    if notes := list(_reasons_for_partial(planned, selected, criteria)):
        return Gate("partial", criteria.threshold, tuple(notes))
    reported = {result.name for result in results}
    missing = [
        f"{name} (its worker crashed)" if name in crashed else name
        for name in selected
        if name not in reported
    ]
    reasons = [
        *_by_verdict(results, planned, Verdict.FAIL, "failed"),
        *_by_verdict(results, planned, Verdict.ERROR, "ended in an error"),
    ]
    if criteria.strict:
        word = "ended in a warning, which fails the gate with --sway-strict"
        reasons += _by_verdict(results, planned, Verdict.WARN, word)
    if missing:
        reasons.append(f"{_probes(len(missing))} {NOT_REPORTED}: {', '.join(missing)}")
    if not any(result.verdict in MEASURED_VERDICTS for result in results):
        reasons.append("nothing was measured")
    if score.overall < criteria.threshold:
        reasons.append(_low_composite(score, criteria.threshold))
    return Gate("failed" if reasons else "passed", criteria.threshold, tuple(reasons))


def without_adapter(reason: str, threshold: float | None, *, whole: bool) -> Gate:
    """The gate of an adapter that was named and not evaluated; it fails if all of its fleet was selected."""
    if whole:
        return Gate("failed", threshold, (f"not evaluated: {reason}",))
    return Gate(
        "partial",
        threshold,
        ("only some adapters or probes were selected", f"not evaluated: {reason}"),
    )


def _reasons_for_partial(
    planned: Mapping[str, str], selected: Sequence[str], criteria: GateCriteria
) -> Iterator[str]:
    """Why only a part of the suite was measured."""
    if left_out := [name for name in planned if name not in selected]:
        yield f"{len(selected)} of {len(planned)} probes ran; not run: {', '.join(left_out)}"
    if criteria.limit is not None:
        yield f"--sway-limit={criteria.limit}: each probe measured at most {criteria.limit} of its items"


def _by_verdict(
    results: Sequence[ProbeResult], planned: Mapping[str, str], verdict: Verdict, word: str
) -> Iterator[str]:
    """A line per message: which probes have it, and where they stand in the spec."""
    by_message: dict[str, list[str]] = {}
    for result in results:
        if result.verdict is verdict:
            by_message.setdefault(result.message, []).append(result.name)
    for message, names in by_message.items():
        where = f" ({planned[names[0]]})" if len(names) == 1 and planned[names[0]] else ""
        yield f"{_probes(len(names))} {word}: {', '.join(names)}{where}: {message}"


def _low_composite(score: Score, threshold: float) -> str:
    """By how much the composite is too low, and which part of it to look at."""
    short = threshold - score.overall
    text = f"composite {score.overall:.2f} is {short:.2f} below the threshold {threshold:.2f}"
    low = {name: v for name, v in score.components.items() if score.weights.get(name) and v < threshold}
    parts = []
    if low:
        name, value = min(low.items(), key=lambda item: item[1])
        parts.append(f"lowest category {name} {value:.2f}")
    for factor, value in (("effect", score.effect_factor), ("no-harm", score.harm_factor)):
        if value < 1:
            parts.append(f"{factor} factor {value:.2f}")
    return f"{text}: {', '.join(parts)}" if parts else text


def _probes(count: int) -> str:
    return f"{count} probe{'s' * (count > 1)}"
