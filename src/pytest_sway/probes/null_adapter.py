"""null_adapter: configures the null population and checks that it can be made."""

from __future__ import annotations

import math
from typing import ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from pytest_sway.probes.base import Judgement, NullSample, Probe, ProbeOptions
from pytest_sway.probes.registry import Kinds
from pytest_sway.requests import Divergence, Views, ask
from pytest_sway.result import Claim, Measurement, Verdict, null_adapters
from pytest_sway.spec.environment_variables import Expanded
from pytest_sway.text.message_parts import did_you_mean

DEFAULT_RUNS = 20
FEWEST_RUNS = 8
"""Fewer draws than this are raised to the default, unless ``exact_runs`` keeps them."""
_CHECK_PROMPT = "The"
Family = Literal["norm_matched", "signs", "spectrum_matched", "permuted", "gaussian", "yours"]


class NullAdapterOptions(ProbeOptions):
    """Options of ``null_adapter``."""

    profiles: ClassVar = {"quick": {"runs": 8}, "thorough": {"runs": 32}}

    runs: int = Field(default=DEFAULT_RUNS, ge=1, le=1000)
    exact_runs: bool = False
    family: Family = "norm_matched"
    adapters: list[Expanded] = Field(default=[])
    """Folders of plain LoRA adapters, for the family ``yours``: the same recipe on shuffled data, say."""
    init_scale: float = Field(default=0.02, gt=0, allow_inf_nan=False)
    seed_base: int = 1000
    calibrate_kinds: list[str] = Field(default=[])
    """These kinds are calibrated, whatever they claim; empty means every kind that declares a null."""
    cache: bool = True
    """Whether what the nulls answer may be kept on disk, and read from there."""
    rank_multipliers: list[float] = Field(default=[1.0], max_length=10)
    """Factors on the rank at which z is shown besides, each once; verdicts rest on 1, listed or not."""

    @field_validator("rank_multipliers")
    @classmethod
    def _check_rank_multipliers(cls, values: list[float]) -> list[float]:
        if any(not math.isfinite(value) or value <= 0 for value in values):
            raise ValueError("every rank multiplier must be a finite number > 0")
        if len({f"{value:.2f}" for value in values} - {"0.00"}) < len(set(values)):
            raise ValueError(
                "rank multipliers must differ in their first two decimals and must not round to 0"
            )
        return list(dict.fromkeys(values))

    @model_validator(mode="after")
    def _check_adapters(self) -> Self:
        if (self.family == "yours") != bool(self.adapters):
            raise ValueError(
                "family: yours and the option adapters can only be used together; "
                "list the folders of your own null adapters under adapters"
            )
        return self

    @field_validator("calibrate_kinds")
    @classmethod
    def _check_calibrate_kinds(cls, kinds: list[str], info: ValidationInfo) -> list[str]:
        known = info.context or Kinds()  # a spec's options are validated with the kinds that it may name
        for kind in kinds:
            if kind not in known:
                raise ValueError(f"there is no kind {kind!r}{did_you_mean(kind, known)}")
        return kinds

    @property
    def effective_runs(self) -> int:
        """How many null adapters are made: ``runs``, raised where a 3σ would not be one."""
        if self.runs < FEWEST_RUNS and not self.exact_runs:
            return DEFAULT_RUNS
        return self.runs


class NullAdapter(Probe[NullAdapterOptions]):
    """Makes every null adapter once and checks that it answers with finite numbers.

    raw = Jensen-Shannon divergence between base and adapter (not its nulls), in nats, at the one position
    after the prompt "The"; each null is asked the same, and its answer must be finite. As configuration it is
    read from the spec, whatever was selected. Its category weighs nothing.
    """

    kind, category, claim = "null_adapter", "baseline", Claim.BASELINE
    requires = frozenset({"divergence", "nulls"})

    async def measure(self, views: Views) -> Measurement:
        """How far the view moves one fixed prompt: no null may be broken."""
        (moved,) = await ask([Divergence(_CHECK_PROMPT, views.base, views.tuned)])
        return Measurement(raw=moved)

    def judge(self, measured: Measurement, nulls: NullSample | None) -> Judgement:
        """PASS where the draws answered; what did not is named."""
        if nulls is None or not nulls.samples:
            failed = f": {nulls.failed[0]}" if nulls is not None and nulls.failed else ""
            return Judgement(Verdict.ERROR, f"no null adapter could be created{failed}")
        evidence = {
            "runs": len(nulls.samples),
            "family": nulls.family,
            "init_scale": self.options.init_scale,
            "seed_base": self.options.seed_base,
            "rank_multipliers": self.options.rank_multipliers,
            "skipped_draws": list(nulls.failed),
        }
        text = f"{len(nulls.samples)} {null_adapters(nulls.family)}"
        if not self.options.exact_runs and self.options.effective_runs > FEWEST_RUNS:
            text += f", up to {self.options.effective_runs} for results near a limit"
        if nulls.failed:
            message = f"{text}; {len(nulls.failed)} could not be created: {nulls.failed[0]}"
            return Judgement(Verdict.WARN, message, 0.5, evidence=evidence)
        return Judgement(Verdict.PASS, text, 1.0, evidence=evidence)
