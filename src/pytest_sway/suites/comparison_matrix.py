"""Saved results side by side, in the order given: scores, what changed, what became worse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from pytest_sway.result import ProbeResult, SuiteResult, Verdict
from pytest_sway.suites import changes
from pytest_sway.suites.changes import ProbeChange, Regression
from pytest_sway.suites.comparison_notes import notes


@dataclass(frozen=True)
class CompareMatrix:
    """N results of a suite, oldest first.

    Attributes:
        labels: what each is called.
        results: as they were read.
        probe_names: sorted union.
        newest: the changes of the last two; none where there is one result.
    """

    labels: tuple[str, ...]
    results: tuple[SuiteResult, ...]
    probe_names: tuple[str, ...]
    newest: tuple[ProbeChange, ...]

    @property
    def timestamps(self) -> list[str]:
        """When each was finished, as it says."""
        return [result.finished_at for result in self.results]

    @property
    def scores(self) -> dict[str, list[float | None]]:
        """Each probe's scores; None where a result has none."""
        return {
            name: [probe.score if probe else None for probe in self._probes(name)]
            for name in self.probe_names
        }

    @property
    def verdicts(self) -> dict[str, list[Verdict | None]]:
        """Each probe's verdicts; None where a result does not have the probe."""
        return {
            name: [probe.verdict if probe else None for probe in self._probes(name)]
            for name in self.probe_names
        }

    @property
    def deltas(self) -> dict[str, list[float | None]]:
        """Each probe's changes from result to result, one fewer.

        None where one of the two has no score, or is of another kind: it measures something else.
        """
        return {name: [_delta(*two) for two in pairwise(self._probes(name))] for name in self.probe_names}

    @property
    def composite_series(self) -> list[float]:
        """The composites."""
        return [result.score.overall for result in self.results]

    @property
    def composite_change(self) -> float | None:
        """Of the last two; None where there is one, or where one is of a partial run."""
        if len(self.results) < 2:
            return None
        return changes.composite_delta(*self.results[-2:])

    @property
    def notes(self) -> list[str]:
        """Why the last two may differ for another reason than the adapter."""
        if len(self.results) < 2:
            return []
        then, now = self.results[-2:]
        return notes(then, now, list(self.newest))

    def regressions(self, threshold: float | None) -> list[Regression]:
        """What became worse between the last two; nothing without a threshold, or with one of 0.

        What a partial newest result left out has not vanished; the rest is as in a run against its baseline.
        """
        partial = self.results[-1].gate.is_partial
        reported = [one for one in self.newest if not partial or one.now is not None]
        return changes.regressions(reported, self.composite_change, threshold)

    def _probes(self, name: str) -> list[ProbeResult | None]:
        """The probe in each result; None where a result does not have it."""
        return [
            next((probe for probe in result.probes if probe.name == name), None) for result in self.results
        ]


def build_matrix(results: Sequence[SuiteResult], labels: Sequence[str]) -> CompareMatrix:
    """The results side by side.

    Args:
        results: at least one, in the order to be shown, the newest last; ours and dlm-sway's.
        labels: one per result, e.g. :func:`pytest_sway.text.paths.stems` of their files.

    Raises:
        ValueError: for no result, or labels that are not one each.
    """
    if not results or len(results) != len(labels):
        raise ValueError(
            f"found {len(labels)} labels for {len(results)} results; pass at least one result, and one label "
            "for each result"
        )
    names = {probe.name for result in results for probe in result.probes}
    newest = changes.changes(*results[-2:]) if len(results) > 1 else []
    return CompareMatrix(tuple(labels), tuple(results), tuple(sorted(names)), tuple(newest))


def _delta(then: ProbeResult | None, now: ProbeResult | None) -> float | None:
    if then is None or now is None or then.kind != now.kind:
        return None
    return None if then.score is None or now.score is None else now.score - then.score
