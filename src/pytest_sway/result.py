"""What came out: measurements, verdicts, results of probes and of suites. Plain data, stdlib only.

Everything here crosses process borders (xdist), so :meth:`ProbeResult.to_wire` yields builtins only
and :meth:`ProbeResult.from_wire` reads them back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any

JSON = dict[str, Any]


class Verdict(StrEnum):
    """Outcome of one probe."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"
    ERROR = "error"


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


@dataclass(frozen=True)
class ProbeResult:
    """One probe's outcome; its fields are the probe entry of the JSON report, schema 1.

    ``null``, ``not_calibrated``, ``category``, ``weight``, ``claim`` and ``samples`` are additions to that
    schema.
    """

    name: str
    kind: str
    verdict: Verdict
    message: str
    score: float | None = None
    raw: float | None = None
    z_score: float | None = None
    base_value: float | None = None
    ft_value: float | None = None
    evidence: JSON = field(default_factory=dict)
    duration_s: float = 0.0
    ci_95: tuple[float, float] | None = None
    category: str = ""
    claim: str = ""
    weight: float = 1.0
    null: JSON | None = None
    not_calibrated: str = ""
    """Why the probe was not compared with random adapters; empty where it was."""
    distinguishable: bool | None = None
    """Effect probes: does the effect stand out from its null (from its floor where there is none)?"""
    samples: list[JSON] = field(default_factory=list)
    """``{"item": its text or id, "value": its number}`` behind ``raw``; two results are paired by them."""

    def to_wire(self) -> JSON:
        """Builtins only: what execnet and JSON both take. No NaN, no infinity."""
        wire = {f.name: getattr(self, f.name) for f in fields(self)}
        return {key: json_value(value) for key, value in wire.items()}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> ProbeResult:
        """Read back what :meth:`to_wire` wrote; unknown keys are ignored, missing ones default."""
        known = {f.name for f in fields(cls)}
        values = {key: value for key, value in wire.items() if key in known}
        values["verdict"] = Verdict(values["verdict"])
        values.setdefault("message", "")
        if values.get("ci_95") is not None:
            low, high = values["ci_95"]
            values["ci_95"] = (float(low), float(high))
        return cls(**values)


def json_value(value: Any) -> Any:
    """As builtins: tuples are lists, a number that is no finite double None, what is no number its text."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [json_value(item) for item in value]
    try:
        number = float(value)
    except OverflowError:  # an integer that no double holds
        return None
    except (TypeError, ValueError):
        return str(value)
    if isinstance(value, int):
        return int(value)
    return number if math.isfinite(number) else None


def finite(result: ProbeResult) -> ProbeResult:
    """Turn a result with a non-finite headline into an ERROR, and null non-finite extras by name.

    A NaN must never become a score: a comparison with NaN is false, and a verdict would follow from it.
    """
    if result.raw is not None and not math.isfinite(result.raw):
        return replace(
            result,
            verdict=Verdict.ERROR,
            message=f"raw is {result.raw}: the model's answers are not finite numbers",
            score=None,
            raw=None,
            z_score=None,
            ci_95=None,
            evidence={**result.evidence, "non_finite_inputs": ["raw"]},
        )
    bad = [
        name
        for name in ("score", "z_score", "base_value", "ft_value")
        if (value := getattr(result, name)) is not None and not math.isfinite(value)
    ]
    if result.ci_95 is not None and not all(map(math.isfinite, result.ci_95)):
        bad.append("ci_95")
    bad += [f"evidence.{key}" for key, value in result.evidence.items() if _has_non_finite(value)]
    if not bad:
        return result
    nulled: dict[str, Any] = {name: None for name in bad if not name.startswith("evidence.")}
    evidence = {**json_value(result.evidence), "defensively_nulled": bad}
    return replace(result, **nulled, evidence=evidence)


def _has_non_finite(value: Any) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, Mapping):
        return any(map(_has_non_finite, value.values()))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return any(map(_has_non_finite, value))
    return False


@dataclass(frozen=True)
class Score:
    """The composite of a suite and what it is made of."""

    overall: float
    band: str
    components: dict[str, float]
    weights: dict[str, float]
    findings: list[str]
    effect_factor: float = 1.0
    harm_factor: float = 1.0


@dataclass(frozen=True)
class SuiteResult:
    """One suite on one subject: the JSON report, schema 1, and what we add to it.

    ``gate``, ``calibration``, ``notes``, ``warnings``, ``digests``, ``not_evaluated`` and ``baseline`` are
    additions.
    """

    suite: str
    spec_path: str
    base_model_id: str
    adapter_id: str
    probes: tuple[ProbeResult, ...]
    score: Score
    started_at: str
    finished_at: str
    wall_seconds: float
    determinism: JSON | None
    backend_stats: JSON
    null_stats: JSON
    null_stats_by_rank: JSON
    gate: JSON
    calibration: JSON = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    """What a reader must know before any number; it leads every report."""
    digests: JSON = field(default_factory=dict)
    sway_version: str = ""
    """Of the package that measured it; empty where a saved result does not tell."""
    not_evaluated: str = ""
    """Why the adapter, which was named, was not evaluated; empty where it was."""
    baseline: JSON | None = None
    """What changed against an earlier result, where the run was given one."""


def null_adapters(family: str) -> str:
    """What the nulls of a family are called in a report."""
    return "adapters of yours" if family == "yours" else f"{family} adapters"


class SwayWarning(UserWarning):
    """A WARN verdict, or something in a spec that is done otherwise than it may expect."""
