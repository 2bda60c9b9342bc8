"""Does a suite pass? Fails closed: what is missing or broken never counts as good."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pytest_sway.result import MEASURED, ProbeResult, Verdict


@dataclass(frozen=True)
class Gate:
    """Outcome of a suite's gate.

    Attributes:
        status: ``passed``, ``failed``, or ``partial`` where only some probes were selected.
        threshold: smallest composite that passes.
        reasons: one line each: what failed, by how much.
    """

    status: str
    threshold: float
    reasons: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether the run must not exit with 0."""
        return self.status == "failed"

    def to_wire(self) -> dict[str, Any]:
        """Builtins only."""
        return {**asdict(self), "reasons": list(self.reasons)}


def judge_gate(
    results: Sequence[ProbeResult],
    planned: Sequence[str],
    selected: Sequence[str],
    overall: float,
    threshold: float,
    crashed: Collection[str] = (),
) -> Gate:
    """Judge a suite: any FAIL or ERROR, a planned probe without a report, a low composite.

    A partial selection (``-k``, ``::id``, ``--lf``, a probe that a mark skipped) does not gate: a composite
    of some probes is not the suite's. Its failures are still failed items. ``crashed`` are probes in which
    a worker died.
    """
    if left_out := [name for name in planned if name not in selected]:
        note = f"{len(selected)} of {len(planned)} probes ran; not: {', '.join(left_out)}"
        return Gate("partial", threshold, (note,))
    reported = {result.name for result in results}
    missing = [
        f"{name} (its worker crashed)" if name in crashed else name
        for name in selected
        if name not in reported
    ]
    reasons = []
    for verdict, word in ((Verdict.FAIL, "failed"), (Verdict.ERROR, "ended in an error")):
        names = [result.name for result in results if result.verdict is verdict]
        if names:
            reasons.append(f"{_probes(len(names))} {word}: {', '.join(names)}")
    if missing:
        reasons.append(f"{_probes(len(missing))} planned but not reported: {', '.join(missing)}")
    if not any(result.verdict in MEASURED for result in results):
        reasons.append("nothing was measured")
    if overall < threshold:
        short = threshold - overall
        reasons.append(f"composite {overall:.2f} is {short:.2f} below the threshold {threshold:.2f}")
    return Gate("failed" if reasons else "passed", threshold, tuple(reasons))


def _probes(count: int) -> str:
    return f"{count} probe{'s' * (count > 1)}"
