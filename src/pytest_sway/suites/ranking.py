"""Checkpoints of one run, from the first to the last: which to ship, and when training began to do harm.

Better means: surely better in what was learned. Two checkpoints are compared on the items that both answered
(paired Student's t intervals, one for each probe of learning), at a level that makes all comparisons with one
checkpoint hold together (Bonferroni). Plain Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from pytest_sway.result import Claim, ProbeResult, SuiteResult, Verdict
from pytest_sway.statistics.paired_differences import paired_interval
from pytest_sway.suites.changes import paired_deltas

LEVEL = 0.95
_LEARNING_KINDS = ("adapter_revert",)
"""Effects beside those of attribution whose number grows with what was learned; a divergence grows with
anything."""


@dataclass(frozen=True)
class Difference:
    """A probe of learning, between two checkpoints: the later minus the earlier, or another minus the best.

    Attributes:
        probe: its name.
        mean: of the items' differences, in their unit.
        interval: of the mean, at the level of all comparisons together.
        n: items that both answered.
    """

    probe: str
    mean: float
    interval: tuple[float, float]
    n: int


@dataclass(frozen=True)
class Ranking:
    """Results of one suite on checkpoints, from the first to the last.

    Attributes:
        labels: what each checkpoint is called.
        results: at least one.
    """

    labels: tuple[str, ...]
    results: tuple[SuiteResult, ...]

    @cached_property
    def learning(self) -> tuple[str, ...]:
        """Names of the probes whose number says how much was learned."""
        found = (probe for result in self.results for probe in result.probes if _is_learning(probe))
        return tuple(dict.fromkeys(probe.name for probe in found))

    @cached_property
    def passed(self) -> tuple[bool, ...]:
        """Whether each passed its gate."""
        return tuple(result.gate.status == "passed" for result in self.results)

    @cached_property
    def harm(self) -> tuple[tuple[str, ...], ...]:
        """The probes of harm that failed, of each."""
        return tuple(_harm(result, Verdict.FAIL) for result in self.results)

    @cached_property
    def doubts(self) -> tuple[tuple[str, ...], ...]:
        """The probes of harm that could not decide, of each."""
        return tuple(_harm(result, Verdict.WARN) for result in self.results)

    @property
    def best(self) -> int | None:
        """The highest composite among those that pass the gate; of equal ones the first."""
        passing = [at for at, passed in enumerate(self.passed) if passed]
        return max(passing, key=lambda at: self.results[at].score.overall, default=None)

    @property
    def highest(self) -> int:
        """The highest composite, whatever the gate says."""
        return max(range(len(self.results)), key=lambda at: self.results[at].score.overall)

    @cached_property
    def tied(self) -> tuple[int, ...]:
        """Those that pass the gate and are not surely worse than the best, which is not among them."""
        best = self.best
        others = [at for at, passed in enumerate(self.passed) if passed and at != best]
        return () if best is None else tuple(at for at in others if not self._is_better(best, at))

    @cached_property
    def stopped_helping(self) -> int | None:
        """The first after which none that passes is surely better; None where that is the last, or not known.

        Where none passes, all count.
        """
        if not self.learning:
            return None
        counted = [at for at, passed in enumerate(self.passed) if passed] or list(range(len(self.results)))
        first = next(
            at for at in counted if not any(self._is_better(later, at) for later in counted if later > at)
        )
        return first if first < counted[-1] else None

    @property
    def harm_begins(self) -> int | None:
        """The first from which on every one fails for harm; None where the last one does not."""
        first = None
        for at in reversed(range(len(self.results))):
            if not self.harm[at]:
                break
            first = at
        return first

    def differences(self, at: int, from_: int) -> list[Difference]:
        """What ``at`` learned beyond ``from_``, by probe."""
        level = 1 - (1 - LEVEL) / max(1, len(self.learning) * (len(self.results) - 1))
        found = []
        for name in self.learning:
            then, now = (_probe(self.results[one], name) for one in (from_, at))
            deltas = paired_deltas(then, now) if then is not None and now is not None else []
            interval = paired_interval(deltas, level)
            if interval is not None:
                found.append(Difference(name, sum(deltas) / len(deltas), interval, len(deltas)))
        return found

    def _is_better(self, at: int, than: int) -> bool:
        """Whether ``at`` surely learned more in one respect, and surely less in none."""
        found = self.differences(at, than)
        return any(one.interval[0] > 0 for one in found) and not any(one.interval[1] < 0 for one in found)


def rank(results: Sequence[SuiteResult], labels: Sequence[str]) -> Ranking:
    """Rank results.

    Args:
        results: of one suite, a checkpoint each, from the first to the last.
        labels: one each.

    Raises:
        ValueError: for no result, or labels that are not one each.
    """
    if not results or len(results) != len(labels):
        raise ValueError(
            f"found {len(labels)} labels for {len(results)} results; pass at least one result, and one label "
            "for each result"
        )
    return Ranking(tuple(labels), tuple(results))


def _is_learning(probe: ProbeResult) -> bool:
    is_kind = probe.category == "attribution" or probe.kind in _LEARNING_KINDS
    return probe.claim is Claim.EFFECT and is_kind


def _harm(result: SuiteResult, verdict: Verdict) -> tuple[str, ...]:
    return tuple(
        probe.name for probe in result.probes if probe.claim is Claim.NO_HARM and probe.verdict is verdict
    )


def _probe(result: SuiteResult, name: str) -> ProbeResult | None:
    return next((probe for probe in result.probes if probe.name == name), None)
