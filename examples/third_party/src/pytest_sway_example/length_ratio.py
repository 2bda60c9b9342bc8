"""length_ratio: does the adapter still answer about as long as the base does?"""

from __future__ import annotations

import math
from statistics import fmean

from pydantic import Field

from pytest_sway import (
    Claim,
    Generate,
    Judgement,
    Measurement,
    NullSample,
    Probe,
    ProbeSkip,
    PromptOptions,
    Views,
    as_prompt,
    ask,
    judge_no_harm,
    mean_harm,
)


class LengthRatioOptions(PromptOptions):
    """Options of ``length_ratio``."""

    max_new_tokens: int = Field(default=128, ge=1, le=1024)
    assert_ratio_lte: float = Field(default=2.0, gt=1, allow_inf_nan=False)


class LengthRatio(Probe[LengthRatioOptions]):
    """The geometric mean over prompts of (1 + the adapter's tokens) / (1 + the base's).

    No harm: neither longer nor shorter than by the factor ``assert_ratio_lte``; both are judged, on the
    logarithm to base 2, so that twice and half are equally far from 1. Prompts where both answers were cut
    at ``max_new_tokens`` say nothing and are left out.
    """

    kind, category, claim = "length_ratio", "calibration", Claim.NO_HARM
    requires = frozenset({"generate"})

    async def measure(self, views: Views) -> Measurement:
        """Two continuations per prompt."""
        most = self.options.max_new_tokens
        prompts = list(dict.fromkeys(self.options.prompts))
        asked = [as_prompt(prompt, self.context) for prompt in prompts]
        sides = (views.base, views.tuned)
        answers = await ask([Generate(prompt, view, most) for view in sides for prompt in asked])
        base, tuned = answers[: len(asked)], answers[len(asked) :]
        lengths = [(len(b.ids), len(t.ids)) for b, t in zip(base, tuned, strict=True)]
        compared = {p: pair for p, pair in zip(prompts, lengths, strict=True) if min(pair) < most}
        if not compared:
            raise ProbeSkip(f"every answer was cut at max_new_tokens: {most}; raise it")
        doublings = [math.log2((1 + t) / (1 + b)) for b, t in compared.values()]
        return Measurement(
            raw=2 ** fmean(doublings),
            samples=tuple(doublings),
            items=tuple(compared),
            base_value=fmean(b for b, _ in compared.values()),
            ft_value=fmean(t for _, t in compared.values()),
            evidence={"lengths": lengths, "both_cut": len(lengths) - len(compared)},
        )

    def judge(self, measured: Measurement, nulls: NullSample | None) -> Judgement:
        """Two harms: answers that are longer, and answers that are shorter."""
        margin, doublings = math.log2(self.options.assert_ratio_lte), measured.samples
        longer = mean_harm("doublings of the length", doublings, margin)
        shorter = mean_harm("halvings of the length", [-d for d in doublings], margin)
        return judge_no_harm([longer, shorter], untouched=not any(doublings))
