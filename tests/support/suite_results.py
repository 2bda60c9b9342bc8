"""Results made up by hand, and every result that there may be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from pytest_sway.result import (
    AlignmentRatio,
    Claim,
    EffectsSummary,
    Gate,
    NullComparison,
    NullComposites,
    NullSummary,
    ProbeResult,
    RunDeterminism,
    Sample,
    Score,
    SuiteResult,
    Verdict,
)

GATE = Gate("passed", 0.6)
EFFECTS = EffectsSummary(0.05, {"a": 1e-9, "b": 0.4}, ["a"], ["a"])
NULLS = NullComposites(
    family="norm_matched", n=20, passed=1, at_most=0.217, composite_of_effects=0.75,
    nulls_composites=[0.0, 0.25], better=0, level=2,
)  # fmt: skip


def probe(name: str, verdict: Verdict, message: str = "said", **more: Any) -> ProbeResult:
    return ProbeResult(name, "delta_kl", verdict, message, **{"score": 0.5, "claim": Claim.EFFECT, **more})


def suite(*probes: ProbeResult, overall: float = 0.8, band: str = "healthy", **more: Any) -> SuiteResult:
    made = SuiteResult(
        suite="s.yaml", spec_path="s.yaml", base_model_id="b", adapter_id="a", probes=probes,
        score=Score(overall, band, findings=more.pop("findings", [])), wall_seconds=1.0, gate=GATE,
        null_summary=NullSummary(EFFECTS, NULLS),
    )  # fmt: skip
    return replace(made, **more)


def gate(status: str, *reasons: str) -> Gate:
    return Gate(status, 0.6, reasons)


def null(**fields: Any) -> NullComparison:
    """Twenty null adapters that gave no z."""
    known = {"family": "norm_matched", "n": 20, "scale": "raw", "rank": 0, "reason": ""}
    unknown = dict.fromkeys(["mean", "std", "z", "p", "ratio", "alignment_ratio"])
    return NullComparison(**{**known, **unknown, "draws": (), "failed": (), **fields})


_numbers = st.floats() | st.sampled_from([0.0, 1.0, -3.5, 12345.678, 1e300])
_maybe = st.none() | _numbers
_texts = st.text(max_size=20) | st.sampled_from(
    ["名前" * 60, "x" * 200, "a|b`c\nd<e>", "\x1b[31m", "e\u0301", ""]
)
_json = st.none() | _numbers | _texts | st.lists(_texts | _numbers, max_size=2)
_reasons = st.lists(_texts, max_size=2)
_null = null(
    family="yours", rank=3, failed=("the third",), p=0.25, ratio=-1e300, scale="x", reason="all alike",
    alignment_ratio=AlignmentRatio(ratio=0.5), draws=(0.1, None, 1e300),
)  # fmt: skip
_named = ["prompt", "bad_cases", "missing_extra", "cluster_exemplars", "per_cluster_size"]
_cases = st.lists(st.fixed_dictionaries({"prompt": _json, "reference": _json}), max_size=2)
_evidence = st.dictionaries(st.sampled_from(_named), _json | _cases, max_size=2)
_samples = st.lists(st.builds(Sample, _texts, _maybe), max_size=2)
_probes = st.builds(
    ProbeResult, _texts, _texts, st.sampled_from(Verdict), _texts, score=_maybe, raw=_maybe, z_score=_maybe,
    ft_value=_maybe, evidence=_evidence, duration_s=_numbers, ci_95=st.none() | st.tuples(_numbers, _numbers),
    claim=st.sampled_from([Claim.EFFECT, Claim.SHAPE]),
    null=st.sampled_from([None, _null, replace(_null, z=1.0)]),
    distinguishable=st.none() | st.booleans(), samples=_samples,
)  # fmt: skip
_null_summaries = [
    None,
    NullSummary(not_calibrated={"a" * 200: "b|c" * 50}),
    NullSummary(EFFECTS, replace(NULLS, family="yours")),
]
_scores = st.builds(
    Score, _numbers, st.sampled_from(["noise", "partial", "healthy", "suspicious", ""]),
    st.dictionaries(st.sampled_from(["adherence", "ablation", "baseline"]) | _texts, _numbers, max_size=2),
    st.just({"adherence": 0.3, "baseline": 0.0}), _reasons, effect_factor=_numbers, harm_factor=_numbers,
)  # fmt: skip
_statuses = st.sampled_from(["passed", "failed", "partial", "unknown"])
_gates = st.builds(Gate, _statuses, _maybe, _reasons.map(tuple))
_counts = st.sampled_from(["cache_hits", "cache_misses", "tokens", "padding_tokens", "scoring_wall_s"])
suites = st.builds(
    SuiteResult, suite=_texts, spec_path=_texts, base_model_id=_texts, adapter_id=_texts,
    probes=st.lists(_probes, max_size=2).map(tuple), score=_scores, wall_seconds=_numbers,
    determinism=st.sampled_from([None, RunDeterminism(), RunDeterminism("x\ny")]),
    backend_stats=st.dictionaries(_counts, _json | st.integers(0, 10**9), max_size=3),
    gate=_gates, null_summary=st.sampled_from(_null_summaries),
    notes=_reasons.map(tuple), warnings=_reasons.map(tuple),
)  # fmt: skip
"""Whatever a file of this schema may hold, and more."""
