"""delta_kl: how far the adapter moves the model's next-token distributions."""

from __future__ import annotations

from statistics import fmean
from typing import ClassVar, Literal

from pytest_sway.probes.base import Judgement, NullSample, Probe
from pytest_sway.probes.judging.effect import EffectCriteria, judge_effect
from pytest_sway.probes.judging.thresholds import Floor, LeastZ
from pytest_sway.probes.shared.item_options import Positions, PromptOptions
from pytest_sway.probes.shared.questions import distinct, divergences, openings_policy
from pytest_sway.requests import Views
from pytest_sway.result import Claim, Measurement
from pytest_sway.statistics.intervals import positive_interval


class DeltaKLOptions(PromptOptions):
    """Options of ``delta_kl``; ``positions: 1`` is dlm-sway's number."""

    profiles: ClassVar = {"quick": {"positions": 4}}

    divergence: Literal["js", "kl"] = "js"
    top_k: int | None = None
    positions: Positions = 8
    continuation: Literal["base", "adapter"] = "base"
    """Who writes the text whose positions are compared."""
    assert_mean_gte: Floor = 0.02
    assert_z_gte: LeastZ = 3.0


class DeltaKL(Probe[DeltaKLOptions]):
    """Mean divergence between the base's and the adapter's next-token distributions.

    raw = mean over prompts of the mean over ``positions`` of D(base, tuned), in nats, over the full
    vocabulary; the positions follow the base's own greedy continuation, since one token is a lottery
    ticket. ``js`` is Jensen-Shannon (Lin 1991), ``kl`` is KL(tuned ‖ base). An effect: its control is
    the null adapters' mean on the same prompts; the interval is over prompts. With ``continuation: adapter``
    the positions follow the adapter's own words, which its nulls read too: what it says unasked is what it
    was trained on, so that neutral beginnings can show it.
    """

    kind, category, claim = "delta_kl", "adherence", Claim.EFFECT
    requires = frozenset({"divergence", "generate"})
    scale = "inverse_root"

    async def measure(self, views: Views) -> Measurement:
        """One divergence per prompt."""
        prompts = distinct(self.options.prompts)
        options = self.options
        writer = views.base if options.continuation == "base" else views.author
        samples = await divergences(
            prompts, options.divergence, options.positions, views, self.context, writer
        )
        return Measurement(
            raw=fmean(samples),
            samples=tuple(samples),
            items=tuple(prompts),
            evidence={
                "divergence_kind": self.options.divergence,
                "per_prompt": samples,
                "max": max(samples),
                "num_prompts": len(samples),
                "positions": self.options.positions,
                "continuation": self.options.continuation,
                "prompt_policy": openings_policy(prompts, self.context),
            },
        )

    def judge(self, measured: Measurement, nulls: NullSample | None) -> Judgement:
        """The effect rule, net of the null's mean."""
        return judge_effect(
            measured,
            positive_interval(measured.samples),
            nulls,
            EffectCriteria(self.options.assert_mean_gte, self.options.assert_z_gte),
            subtract_null=True,
        )
