"""null_adapter: configures the null population and checks that it can be made."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from pytest_sway.probes import registry
from pytest_sway.probes.base import Claim, Judgement, Nulls, Probe, ProbeOptions
from pytest_sway.requests import Divergence, Views, ask
from pytest_sway.result import Measurement, Verdict
from pytest_sway.spec.messages import did_you_mean

DEFAULT_RUNS = 20
FEWEST_RUNS = 8
"""Fewer draws than this are raised to the default, unless ``exact_runs`` keeps them."""
_CHECK_PROMPT = "The"


class NullAdapterOptions(ProbeOptions):
    """Options of ``null_adapter``."""

    runs: int = Field(default=DEFAULT_RUNS, ge=1, le=1000)
    exact_runs: bool = False
    family: Literal["norm_matched", "gaussian"] = "norm_matched"
    init_scale: float = Field(default=0.02, gt=0, allow_inf_nan=False)
    seed_base: int = Field(default=1000, ge=0)
    calibrate_kinds: list[str] = Field(default=[])
    """Only these kinds are calibrated; empty means every kind that has a null."""
    cache: bool = True
    """Whether what the nulls answer may be kept on disk, and read from there."""
    rank_multipliers: list[float] = Field(default=[1.0])

    @field_validator("rank_multipliers")
    @classmethod
    def _one(cls, values: list[float]) -> list[float]:
        if values != [1.0]:
            raise ValueError("this version measures no rank profile; write [1.0] or leave it out")
        return values

    @field_validator("calibrate_kinds")
    @classmethod
    def _known(cls, kinds: list[str]) -> list[str]:
        for kind in kinds:
            if kind not in registry.kinds() and kind not in registry.CONTRACT_ONLY:
                raise ValueError(f"there is no kind {kind!r}{did_you_mean(kind, registry.kinds())}")
        return kinds

    @property
    def draws(self) -> int:
        """How many null adapters are drawn: ``runs``, raised where a 3σ would not be one."""
        if self.runs < FEWEST_RUNS and not self.exact_runs:
            return DEFAULT_RUNS
        return self.runs


class NullAdapter(Probe[NullAdapterOptions]):
    """Makes every null adapter once and checks that it answers with finite numbers.

    As configuration it is read from the spec, whatever was selected. Its category weighs nothing.
    """

    kind, category, claim = "null_adapter", "baseline", Claim.BASELINE
    requires = frozenset({"divergence", "nulls"})
    scale = "log"

    async def measure(self, options: NullAdapterOptions, views: Views) -> Measurement:
        """How far the view moves one fixed prompt: no null may be broken."""
        (moved,) = await ask([Divergence(_CHECK_PROMPT, views.base, views.tuned)])
        return Measurement(raw=moved)

    def judge(self, options: NullAdapterOptions, measured: Measurement, nulls: Nulls | None) -> Judgement:
        """PASS where the draws answered; what did not is named."""
        if nulls is None or not nulls.draws:
            failed = f": {nulls.failed[0]}" if nulls is not None and nulls.failed else ""
            return Judgement(Verdict.ERROR, f"no null adapter could be made{failed}")
        evidence = {
            "runs": len(nulls.draws),
            "family": nulls.family,
            "init_scale": options.init_scale,
            "seed_base": options.seed_base,
            "rank_multipliers": options.rank_multipliers,
            "skipped_draws": list(nulls.failed),
            "from_cache": False,
        }
        made = f"{len(nulls.draws)} {nulls.family} adapters"
        if nulls.failed:
            message = f"{made}; {len(nulls.failed)} could not be made: {nulls.failed[0]}"
            return Judgement(Verdict.WARN, message, 0.5, evidence=evidence)
        return Judgement(Verdict.PASS, made, 1.0, evidence=evidence)
