"""The composite score of a suite: weighted categories × effect × harmlessness, and its band.

What it estimates: how much of what the suite asks the adapter is shown to do, 0.5 where it just clears its
bars, less what it is shown to break. composite = (weighted mean of the category scores) × E × H, where
E = min(1, 2 × the best score among effect probes that stand out from their null; those of the category
attribution where the suite has any) and H = min(1, 2 × the worst no-harm score). An adapter that does nothing
earns nothing for its harmlessness, nor does one that moves the model and learned nothing of what was asked;
harm that is shown takes away in proportion. Harm that is not shown (a no-harm probe that warns scores 0.5)
takes away nothing. Without an effect probe E = 1, and that is the first finding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pytest_sway.result import CATEGORY_WEIGHTS, Claim, ProbeResult, Score, Verdict

BANDS: Mapping[str, float] = {"noise": 0.0, "partial": 0.30, "healthy": 0.60}
"""From which composite on a band begins."""
SUSPICIOUS_ABOVE = 0.85
"""A composite that is too good where one of the suspicious kinds failed."""
MAX_FINDINGS = 5
LEARNING = "attribution"
"""The category of what was to be learned; adherence says that the model moved, whatever it learned."""
_SUSPICIOUS_KINDS = frozenset({"leakage", "adapter_ablation", "gradient_ghost", "training_drift"})


def composite(results: Sequence[ProbeResult], weights: Mapping[str, float] | None = None) -> Score:
    """Score of a suite.

    Args:
        results: one per probe; SKIP, ERROR and scoreless ones do not enter the mean.
        weights: category weights that replace the defaults, name by name.
    """
    table = {**CATEGORY_WEIGHTS, **(weights or {})}
    components = {category: _mean(results, category) for category in table}
    filled = {name: value for name, value in components.items() if value is not None}
    total = sum(table[name] for name in filled)
    mean = sum(table[name] * value for name, value in filled.items()) / total if total else 0.0
    effect, harm = _effect_factor(results), _harm_factor(results)
    overall = mean * effect * harm
    return Score(
        overall=overall,
        band=_band(overall, results),
        components=filled,
        weights=table,
        findings=_findings(results, filled),
        effect_factor=effect,
        harm_factor=harm,
    )


def _scored_results(results: Sequence[ProbeResult]) -> list[ProbeResult]:
    return [r for r in results if r.score is not None and r.verdict not in (Verdict.SKIP, Verdict.ERROR)]


def _mean(results: Sequence[ProbeResult], category: str) -> float | None:
    members = [(max(0.0, r.weight), r.score) for r in _scored_results(results) if r.category == category]
    total = math.fsum(weight for weight, _ in members)
    if not total:
        return None
    return math.fsum(weight * score for weight, score in members if score is not None) / total


def _effect_factor(results: Sequence[ProbeResult]) -> float:
    effects = [r for r in results if r.claim is Claim.EFFECT and r.verdict is not Verdict.SKIP]
    if not effects:
        return 1.0
    learned = [r for r in effects if r.category == LEARNING and r.verdict is not Verdict.ERROR]
    effects = learned or effects
    real = [r.score for r in effects if r.distinguishable and r.score is not None]
    return min(1.0, 2 * max(real, default=0.0))


def _harm_factor(results: Sequence[ProbeResult]) -> float:
    scores = [r.score for r in _scored_results(results) if r.claim is Claim.NO_HARM and r.score is not None]
    return min(1.0, 2 * min(scores, default=1.0))


def _band(overall: float, results: Sequence[ProbeResult]) -> str:
    caught = any(r.kind in _SUSPICIOUS_KINDS and r.verdict is Verdict.FAIL for r in results)
    if overall > SUSPICIOUS_ABOVE and caught:
        return "suspicious"
    return [name for name, low in BANDS.items() if overall >= low][-1]


def _findings(results: Sequence[ProbeResult], components: Mapping[str, float]) -> list[str]:
    found = []
    if not any(r.claim is Claim.EFFECT and r.verdict is not Verdict.SKIP for r in results):
        found.append("no effect was measured; add a probe that measures an effect, e.g. delta_kl")
    errors = sum(r.verdict is Verdict.ERROR for r in results)
    if errors:
        found.append(f"{errors} probe{'s' * (errors > 1)} ended in an error")
    found += [f"{r.name}: {r.message}" for r in results if r.verdict is Verdict.FAIL]
    found += [f"low category score: {name} {v:.2f}" for name, v in components.items() if 0 < v < 0.3]
    return found[:MAX_FINDINGS]
