"""What came out: measurements, verdicts, results of probes and of suites. Plain data, stdlib only.

A :class:`Record` crosses process borders and stands in result files as JSON:
:mod:`pytest_sway.suites.json_conversion` converts it to builtins and back. A field is written under its
own name, or under the ``key`` of its metadata; None as the ``absent`` of its metadata, where it has one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pytest_sway.user_error import escape_steering

JSON = dict[str, Any]

CATEGORY_WEIGHTS: Mapping[str, float] = {
    "adherence": 0.30,
    "attribution": 0.35,
    "calibration": 0.20,
    "ablation": 0.15,
    "baseline": 0.0,
}
"""What a category of probes weighs in the composite, where a spec does not say otherwise."""


class Verdict(StrEnum):
    """Outcome of one probe."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"
    ERROR = "error"


class Claim(StrEnum):
    """What a probe claims, and so which rule judges it."""

    EFFECT = "effect"
    NO_HARM = "no_harm"
    SHAPE = "shape"
    PRE_RUN = "pre_run"
    BASELINE = "baseline"
    DESCRIPTION = "description"
    """Nothing is claimed: something is shown."""


MEASURED_VERDICTS = frozenset({Verdict.PASS, Verdict.WARN, Verdict.FAIL})
"""Verdicts that rest on a number."""


@dataclass(frozen=True)
class Measurement:
    """What a probe's measure computed, before any judgement.

    Attributes:
        raw: the headline number; None when the inputs gave none.
        samples: per-item values behind ``raw`` (items: prompts, cases, dialogues), in input order.
        items: the text or id of each sample's item; empty where samples have none of their own.
        statistics: named numbers that are compared with the null population's; empty means
            ``{"raw": raw}``.
        base_value, ft_value: the number under each view, where the probe has one.
        evidence: what a reader needs to check the number; JSON values.
        series: per-item values under several conditions, which a rule judges; not reported.
        resolution: smallest change of a token's log-probability that the model's arithmetic can show, in
            nats; filled in by whoever ran the measure.
    """

    raw: float | None
    samples: tuple[float, ...] = ()
    items: tuple[str, ...] = ()
    statistics: Mapping[str, float] = field(default_factory=dict)
    base_value: float | None = None
    ft_value: float | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    series: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)
    resolution: float = 0.0

    def statistic(self, name: str = "raw") -> float | None:
        """The named number, ``raw`` by default."""
        if name in self.statistics:
            return self.statistics[name]
        return self.raw if name == "raw" else None

    @property
    def is_finite(self) -> bool:
        """Whether every number that a judgement would rest on is finite."""
        headline = () if self.raw is None else (self.raw,)
        return all(map(math.isfinite, (*headline, *self.samples, *self.statistics.values())))


class Record:
    """A part of a result: frozen, and converted to and from JSON by its fields."""


@dataclass(frozen=True)
class Sample(Record):
    """One item's value; two results are paired by their items' texts or ids."""

    item: str
    value: float | None


@dataclass(frozen=True)
class RankComparison(Record):
    """The null adapters of another rank: mean and spread of their statistic, and the adapter's z."""

    mean: float | None
    std: float | None
    n: int
    z: float | None


@dataclass(frozen=True, kw_only=True)
class AlignmentRatio(Record):
    """How far the parts of an update pull together: its effect ÷ that of the same parts with random signs."""

    n: int = 0
    ratio: float | None


@dataclass(frozen=True)
class NullVerdict(Record):
    """What the effect rule says of one null adapter, judged against the others."""

    draw: int
    verdict: Verdict
    score: float | None
    distinguishable: bool


@dataclass(frozen=True, kw_only=True)
class NullComparison(Record):
    """A probe's statistic against those of the null adapters.

    Attributes:
        family: of the null adapters.
        n: how many answered with a usable number.
        mean, std: of their statistic.
        scale: where the comparison is made.
        z, p: of the adapter's statistic; None where ``reason`` says why.
        rank: how many null adapters lie at or beyond it.
        rank_p: the smallest p that the null adapters alone support.
        ratio: the statistic ÷ their mean.
        draws: their statistics.
        failed: those that could not answer, with the reason of each.
        resolution: smallest difference that the model's arithmetic can show, in nats.
        by_rank: null adapters of other ranks, by ``rank_<factor>``.
        verdicts: of the null adapters, where an effect is claimed.
    """

    family: str
    n: int
    mean: float | None
    std: float | None
    scale: str
    z: float | None
    p: float | None
    rank: int
    rank_p: float = 1.0
    ratio: float | None
    reason: str
    draws: tuple[float | None, ...]
    failed: tuple[str, ...]
    resolution: float = 0.0
    alignment_ratio: AlignmentRatio | None = field(metadata={"key": "organised"})
    by_rank: Mapping[str, RankComparison] = field(default_factory=dict)
    verdicts: tuple[NullVerdict, ...] = ()


@dataclass(frozen=True)
class ProbeResult(Record):
    """One probe's outcome; its fields are the probe entry of the JSON report, schema 1.

    ``null``, ``not_calibrated``, ``category``, ``weight``, ``claim`` and ``samples`` are additions to that
    schema.
    """

    name: str
    kind: str
    verdict: Verdict
    message: str = ""
    score: float | None = None
    raw: float | None = None
    z_score: float | None = None
    base_value: float | None = None
    ft_value: float | None = None
    evidence: JSON = field(default_factory=dict)
    duration_s: float = 0.0
    ci_95: tuple[float, float] | None = None
    category: str = ""
    claim: Claim | None = field(default=None, metadata={"absent": ""})
    weight: float = 1.0
    null: NullComparison | None = None
    not_calibrated: str = ""
    """Why the probe was not compared with random adapters; empty where it was."""
    distinguishable: bool | None = None
    """Effect probes: does the effect stand out from its null (from its floor where there is none)?"""
    samples: list[Sample] = field(default_factory=list)
    """The items behind ``raw``."""


@dataclass(frozen=True)
class Score(Record):
    """The composite of a suite and what it is made of."""

    overall: float
    band: str = ""
    components: dict[str, float] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    effect_factor: float = 1.0
    harm_factor: float = 1.0


@dataclass(frozen=True)
class Gate(Record):
    """Outcome of a suite's gate.

    Attributes:
        status: ``passed``, ``failed``, ``partial`` where only some probes were selected, or ``unknown`` where
            a saved result has none.
        threshold: smallest composite that passes.
        reasons: one line each: what failed, by how much.
    """

    status: str = "unknown"
    threshold: float | None = None
    reasons: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether the run must not exit with 0."""
        return self.status == "failed"

    @property
    def is_partial(self) -> bool:
        """Whether only some probes were selected, so that there is nothing to gate."""
        return self.status == "partial"


@dataclass(frozen=True, kw_only=True)
class NullStatistics(Record):
    """Schema 1's statistics of a kind's null adapters; ``degenerate`` is 1 where they gave no z."""

    mean: float | None = None
    std: float | None = None
    n: float | None
    degenerate: float | None = None


@dataclass(frozen=True)
class EffectsSummary(Record):
    """Which effects are more than random weights when all are looked at together.

    Attributes:
        level: of both procedures.
        p: of every effect that was compared, by the probe's name.
        holm, benjamini_hochberg: names of the probes that each procedure accepts.
    """

    level: float
    p: Mapping[str, float | None]
    holm: list[str]
    benjamini_hochberg: list[str]


@dataclass(frozen=True)
class NullComposites(Record):
    """The adapter among its null adapters by the composite of the effect probes.

    Attributes:
        family, n: of the null adapters that every effect probe could judge.
        passed: how many of them would have passed the gate on the effects.
        at_most: upper bound of their share, 95 % sure.
        composite_of_effects: the adapter's.
        nulls_composites: theirs.
        better, level: how many have a larger one, how many the same.
    """

    family: str
    n: int
    passed: int
    at_most: float
    composite_of_effects: float
    nulls_composites: list[float]
    better: int
    level: int


@dataclass(frozen=True)
class NullSummary(Record):
    """What the null adapters say of a whole suite; ``not_calibrated``: why not, by the probe's name."""

    effects: EffectsSummary | None = None
    nulls: NullComposites | None = None
    not_calibrated: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RunDeterminism(Record):
    """How far two runs can be expected to agree."""

    level: str | None = field(default=None, metadata={"key": "class"})
    seed: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Digests(Record):
    """Digests of the base and adapter weights; empty where they are not known."""

    base: str = ""
    adapter: str = ""


@dataclass(frozen=True)
class ProbeFigures(Record):
    """What a probe came to in one of two results."""

    verdict: Verdict
    score: float | None
    raw: float | None


@dataclass(frozen=True)
class ItemChange(Record):
    """An item's value then and now."""

    item: str
    then: float
    now: float


@dataclass(frozen=True)
class PairedItems(Record):
    """The items that two results of a probe share.

    Attributes:
        n: how many items both have.
        unpaired: how many only one of them has.
        mean_delta: mean of now - then, in the items' unit.
        ci_95: its 95 % interval over the items (Student's t); None for a single one.
        of_raw: whether the items' mean is the probe's ``raw``, then and now.
        most: the item that changed most.
    """

    n: int
    unpaired: int
    mean_delta: float
    ci_95: tuple[float, float] | None
    of_raw: bool
    most: ItemChange | None = None

    @property
    def beyond_scatter(self) -> bool | None:
        """Whether the interval leaves 0 out; None where there is none."""
        return None if self.ci_95 is None else self.ci_95[0] > 0 or self.ci_95[1] < 0


@dataclass(frozen=True)
class ProbeComparison(Record):
    """A probe in two results; None where a result does not have it."""

    name: str
    kind: str
    then: ProbeFigures | None
    now: ProbeFigures | None
    score_delta: float | None
    items: PairedItems | None


@dataclass(frozen=True)
class CompositeChange(Record):
    """The composite then and now; ``delta`` is None where they cannot be compared."""

    then: float | None
    now: float | None
    delta: float | None


@dataclass(frozen=True, kw_only=True)
class RegressionText(Record):
    """What became worse, as a report says it; ``probe`` is None for the composite."""

    probe: str | None = None
    what: str = ""
    delta: float | None = None
    text: str


@dataclass(frozen=True, kw_only=True)
class BaselineComparison(Record):
    """A suite against an earlier result of it.

    Attributes:
        path: of the earlier result, as the user wrote it.
        suite, adapter_id, finished_at: of the earlier result.
        regression_threshold: smallest drop that counts; None where none does.
        gated: whether a regression fails the gate.
        notes: why the two may differ for another reason than the adapter.
    """

    path: str
    suite: str = ""
    adapter_id: str
    finished_at: str
    composite: CompositeChange
    probes: list[ProbeComparison]
    regression_threshold: float | None = None
    regressions: list[RegressionText]
    gated: bool
    notes: list[str]


@dataclass(frozen=True, kw_only=True)
class SuiteResult(Record):
    """One suite on one subject: the JSON report, schema 1, and what we add to it.

    ``gate``, ``null_summary``, ``notes``, ``warnings``, ``digests``, ``not_evaluated`` and ``baseline`` are
    additions. ``backend_stats`` holds counts and times by name, whichever the backend has.
    """

    suite: str = ""
    spec_path: str = ""
    base_model_id: str = ""
    adapter_id: str = ""
    probes: tuple[ProbeResult, ...] = ()
    score: Score
    started_at: str = ""
    finished_at: str = ""
    wall_seconds: float = 0.0
    determinism: RunDeterminism | None = None
    backend_stats: JSON = field(default_factory=dict)
    null_stats: Mapping[str, NullStatistics] = field(default_factory=dict)
    null_stats_by_rank: Mapping[str, Mapping[str, NullStatistics]] = field(default_factory=dict)
    gate: Gate = Gate()
    null_summary: NullSummary | None = field(default=None, metadata={"key": "calibration", "absent": {}})
    """None where nothing is known of null adapters."""
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    """What a reader must know before any number; it leads every report."""
    digests: Digests | None = field(default=None, metadata={"absent": {}})
    sway_version: str = ""
    """Of the package that measured it; empty where a saved result does not tell."""
    not_evaluated: str = ""
    """Why the adapter, which was named, was not evaluated; empty where it was."""
    baseline: BaselineComparison | None = None
    """What changed against an earlier result, where the run was given one."""


def null_adapters(family: str) -> str:
    """What the nulls of a family are called in a report, behind their number."""
    return "null adapters of your own" if family == "yours" else f"random adapters ({family})"


def null_group(family: str) -> str:
    """What an adapter was compared with, in words."""
    return "your null adapters" if family == "yours" else "random adapters"


class SwayWarning(UserWarning):
    """A WARN verdict, or something in a spec that is done otherwise than it may expect."""

    def __str__(self) -> str:
        return escape_steering(super().__str__())
