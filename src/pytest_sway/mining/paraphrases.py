"""Wordings that lose the most of what an adapter learned, of every case of ``paraphrase_invariance``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_sway.items.suite import Suite
from pytest_sway.items.suite_entries import SuiteEntry
from pytest_sway.mining.candidates import candidates
from pytest_sway.mining.errors import MiningError
from pytest_sway.mining.meaning import MeaningFilter
from pytest_sway.probes.base import Judgement, NullSample
from pytest_sway.probes.paraphrase_invariance import ParaphraseInvariance, ParaphraseInvarianceOptions
from pytest_sway.probes.shared.log_probability_gain import score_answers
from pytest_sway.probes.shared.questions import answer_completion
from pytest_sway.requests import Views
from pytest_sway.result import Claim, Measurement, ProbeResult, Verdict
from pytest_sway.text.message_parts import describe

_TIE = 0.01
"""Nats per token: gaps that differ by less are equal, and the more different wording is taken."""


class CandidateLifts(ParaphraseInvariance):
    """The lift of each case's gold after its question and after each candidate, for ``sway mine`` to rank."""

    claim = Claim.DESCRIPTION

    async def measure(self, views: Views) -> Measurement:
        """Each gold after its prompt and each of its candidates, in one round."""
        cases = self.options.cases
        groups = [
            [
                answer_completion(asked, case.gold, views.base, self.context, case.turns_before)
                for asked in (case.prompt, *case.paraphrases)
            ]
            for case in cases
        ]
        lifts = [[one.gain_per_token for one in scores] for scores in await score_answers(groups, views)]
        every = tuple(lift for row in lifts for lift in row)
        return Measurement(raw=None, samples=every, evidence={"lifts": lifts})

    def judge(self, measured: Measurement, nulls: NullSample | None) -> Judgement:
        """There is nothing to judge."""
        return Judgement(Verdict.PASS, "")


@dataclass(frozen=True)
class MinedCase:
    """A case with its hardest wordings.

    Attributes:
        fields: prompt, gold and context, as they stand in the spec.
        paraphrases: mined, the hardest first.
        gaps: what each of them loses of the lift, in nats per token.
        verbatim_lift: after the trained wording, in nats per token.
        candidates: how many were measured.
    """

    fields: dict[str, Any]
    paraphrases: tuple[str, ...]
    gaps: tuple[float, ...]
    verbatim_lift: float
    candidates: int


def with_candidates(suite: Suite, most: int, seed: int, keep: MeaningFilter) -> Suite:
    """The suite with nothing but a :class:`CandidateLifts` for each of its ``paraphrase_invariance``.

    Raises:
        MiningError: it has none, or no wording of its questions is left.
    """
    entries = [_entry(entry, most, seed, keep) for entry in paraphrase_entries(suite)]
    found = [entry for entry in entries if entry is not None]
    if not found:
        reasons = ", ".join(f"{count} {reason}" for reason, count in keep.rejected.items())
        raise MiningError(f"no wordings are left to test; rejected wordings: {reasons or 'none'}")
    return replace(suite, entries=tuple(found))


def paraphrase_entries(suite: Suite) -> list[SuiteEntry]:
    """The enabled entries of ``paraphrase_invariance``.

    Raises:
        MiningError: there is none.
    """
    found = [e for e in suite.entries if isinstance(e.probe, ParaphraseInvariance) and e.enabled]
    if not found:
        raise MiningError("the suite has no paraphrase_invariance probe to take cases from; add one")
    return found


def mined_cases(probe: ProbeResult, options: ParaphraseInvarianceOptions, top: int) -> Iterator[MinedCase]:
    """The ``top`` wordings of each case, from the measured lifts.

    The gap selects: what a wording loses of the lift after the trained one. Among equal gaps (within 0.01
    nats per token) the wording that shares the fewest words with those already taken comes first.
    A case whose answer gained nothing, and a wording that loses nothing, are left out.
    """
    for case, (verbatim, *lifts) in zip(options.cases, probe.evidence["lifts"], strict=True):
        gaps = {text: verbatim - lift for text, lift in zip(case.paraphrases, lifts, strict=True)}
        chosen = hardest({text: gap for text, gap in gaps.items() if gap > 0}, top) if verbatim > 0 else []
        if not chosen:
            continue
        fields = case.model_dump(mode="json", include={"context", "prompt", "gold"}, exclude_defaults=True)
        yield MinedCase(fields, tuple(chosen), tuple(gaps[t] for t in chosen), verbatim, len(gaps))


def hardest(gaps: dict[str, float], top: int) -> list[str]:
    """The ``top`` texts with the largest gaps; ties go to the text with the most other words."""
    left, chosen = dict(gaps), list[str]()
    while left and len(chosen) < top:
        largest = max(left.values())
        tied = [text for text, gap in left.items() if gap > largest - _TIE]
        best = max(tied, key=lambda text: (_distance(text, chosen), text))
        chosen.append(best)
        del left[best]
    return sorted(chosen, key=lambda text: -gaps[text])


def _entry(entry: SuiteEntry, most: int, seed: int, keep: MeaningFilter) -> SuiteEntry | None:
    """The entry with its cases' candidates as paraphrases; None where no case has any."""
    options: ParaphraseInvarianceOptions = entry.probe.options
    cases = []
    for case in options.cases:
        found = candidates(case.prompt, case.paraphrases, most, seed, keep)
        if found:
            cases.append(case.model_copy(update={"paraphrases": tuple(found)}))
    if not cases:
        return None
    return replace(entry, probe=CandidateLifts(options.model_copy(update={"cases": cases})))


def _distance(text: str, chosen: Sequence[str]) -> float:
    """1 less the largest share of words (Jaccard) that it has in common with one of the chosen."""
    own = _word_set(text)
    shared = [len(own & _word_set(one)) / len(own | _word_set(one)) for one in chosen]
    return 1 - max(shared, default=0.0)


def _word_set(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold())) or {describe(text)}
