"""samples: what the base and the adapter answer, side by side. Nothing is judged."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from pytest_sway.probes.base import Judgement, NullSample, Probe, ProbeContext, ProbeOptions, ProbeSkip
from pytest_sway.probes.shared.questions import as_prompt, ask_both, opening
from pytest_sway.probes.shared.section_answers import spread_evenly
from pytest_sway.probes.shared.word_overlap import word_overlap
from pytest_sway.requests import Generate, Prompt, Views
from pytest_sway.result import Claim, Measurement, Verdict
from pytest_sway.spec.context_turns import ContextTurn, to_turns

NEAR = 0.6
"""Overlap with the gold from which on an answer says the same, as a rule."""
_MORE = 2
"""So many times as many questions are asked as are shown: the best and the worst of them are."""


class SampleCase(BaseModel):
    """What is asked, and the answer that was taught, where there is one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: str = Field(min_length=1)
    gold: str = ""
    context: tuple[ContextTurn, ...] = ()


class SamplesOptions(ProbeOptions):
    """Options of ``samples``; without ``cases`` the document's questions are asked."""

    cases: list[SampleCase] = Field(default=[])
    count: int = Field(default=10, ge=1, le=1000)
    """How many are shown."""
    max_new_tokens: int = Field(default=64, ge=1)

    def limited(self, limit: int) -> Self:
        """The first cases, and no more than that."""
        count = min(self.count, limit)
        return self.model_copy(update={"cases": self.cases[:limit], "count": count})


class Samples(Probe[SamplesOptions]):
    """What base and adapter answer greedily, the best of the adapter's answers first, the worst last.

    Of twice as many questions, spread evenly, the ``count`` with the largest and the smallest gain are
    shown: the gain of an answer is its overlap with the gold less that of the base's answer
    (:func:`~pytest_sway.probes.shared.word_overlap.word_overlap`, in [0, 1]; an answer counts up to one and a
    half times the gold's words). Without a gold the answers that differ most come first. raw = the mean gain.
    It decides nothing and weighs nothing.
    """

    kind, category, claim = "samples", "baseline", Claim.DESCRIPTION
    requires = frozenset({"generate"})

    async def measure(self, views: Views) -> Measurement:
        """Two answers per question."""
        cases = spread_evenly(_cases(self.options, self.context), _MORE * self.options.count)
        most = self.options.max_new_tokens
        asked = [Generate(_prompt(case, self.context), views.base, most) for case in cases]
        base, tuned = await ask_both(asked, views)
        rows = [
            _row(case, before.text, after.text)
            for case, before, after in zip(cases, base, tuned, strict=True)
        ]
        gains = [row["gain"] for row in rows if row["gold"]]
        return Measurement(
            raw=fmean(gains) if gains else None,
            samples=tuple(row["gain"] for row in rows),
            items=tuple(case.prompt for case in cases),
            evidence={
                "samples": _best_and_worst(rows, self.options.count),
                "num_asked": len(rows),
                "num_with_gold": len(gains),
                "num_nearer": sum(gain > 0 for gain in gains),
                "num_near": sum(row["overlap"] >= NEAR for row in rows if row["gold"]),
                "num_same": sum(row["base"] == row["adapter"] for row in rows),
            },
        )

    def judge(self, measured: Measurement, nulls: NullSample | None) -> Judgement:
        """How many answers changed, and how many of them for the better."""
        found = measured.evidence
        text = f"{found['num_same']} of {found['num_asked']} answers are the same as the base model's"
        if found["num_with_gold"]:
            text += (
                f"; {found['num_nearer']} of {found['num_with_gold']} answers are closer to the right answer "
                f"than the base model's, and {found['num_near']} have a word overlap of at least {NEAR:g} "
                "with the right answer"
            )
        return Judgement(Verdict.PASS, text)


def _cases(options: SamplesOptions, context: ProbeContext) -> list[SampleCase]:
    """The option's cases, else the document's questions and preferred answers."""
    if options.cases:
        return list(dict.fromkeys(options.cases))
    found = [
        SampleCase(prompt=qa.prompt, gold=qa.gold, context=_written(qa.context))
        for section in context.document.sections
        for qa in section.probes
    ]
    found += [
        SampleCase(prompt=triple.prompt, gold=triple.chosen, context=_written(triple.context))
        for triple in context.document.preferences
    ]
    if not found:
        raise ProbeSkip(
            "there is nothing to ask; list questions under cases, or add sections with questions to the spec"
        )
    return list(dict.fromkeys(found))


def _written(turns: Sequence[Any]) -> tuple[ContextTurn, ...]:
    return tuple(ContextTurn(role=turn.role, content=turn.content) for turn in turns)


def _prompt(case: SampleCase, context: ProbeContext) -> Prompt:
    """A question with a gold or a context is asked; the beginning of a text is continued."""
    if case.gold or case.context:
        return as_prompt(case.prompt, context, to_turns(case.context))
    return opening(case.prompt, context)


def _row(case: SampleCase, base: str, adapter: str) -> dict[str, Any]:
    base, adapter = base.strip(), adapter.strip()
    overlap = word_overlap(case.gold, adapter) if case.gold else None
    gain = 1 - word_overlap(base, adapter) if overlap is None else overlap - word_overlap(case.gold, base)
    found = {"prompt": case.prompt, "gold": case.gold, "base": base, "adapter": adapter}
    return {**found, "gain": gain, "overlap": overlap}


def _best_and_worst(rows: Sequence[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """The rows with the largest and with the smallest gain, from the largest on."""
    ordered = sorted(rows, key=lambda row: -row["gain"])
    if len(ordered) <= count:
        return ordered
    best = (count + 1) // 2
    worst = ordered[len(ordered) - (count - best) :] if count > best else []
    return [*ordered[:best], *worst]
