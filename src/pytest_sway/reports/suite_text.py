"""A suite's name, scores, determinism and costs as text; for every surface."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_sway.result import (
    CATEGORY_WEIGHTS,
    MEASURED_VERDICTS,
    Claim,
    RunDeterminism,
    Score,
    SuiteResult,
)
from pytest_sway.text import formatting
from pytest_sway.text.width import clean

REAL_Z = 3.0
"""From here on an effect is clearly beyond random adapters."""


def label(suite: SuiteResult) -> str:
    """What a suite is called: its id, or the name of its file."""
    return clean(suite.suite or Path(suite.spec_path).name)


def components(score: Score) -> list[tuple[str, float]]:
    """Categories and their scores in schema 1's order, which a file does not keep; others behind them."""
    known = list(CATEGORY_WEIGHTS)
    found = score.components.items()
    return sorted(found, key=lambda one: known.index(one[0]) if one[0] in known else len(known))


def weighted_components(score: Score) -> list[tuple[str, float]]:
    """Those of them that count; one whose weight a file does not tell does."""
    return [(name, value) for name, value in components(score) if score.weights.get(name) != 0]


def factors(score: Score) -> str:
    """What the composite was multiplied by; empty where it was not."""
    if not score.components or (score.effect_factor >= 1 and score.harm_factor >= 1):
        return ""
    effect, harm = formatting.score(score.effect_factor), formatting.score(score.harm_factor)
    return f"composite = weighted mean of the categories × effect factor {effect} × no-harm factor {harm}"


def band_text(suite: SuiteResult) -> str:
    """The band of the composite in words; a low composite is not noise where an effect is real."""
    if suite.score.band == "noise" and has_real_effect(suite):
        return "low"
    return suite.score.band or "no band"


def has_real_effect(suite: SuiteResult) -> bool:
    """Whether a probe of an effect stands clearly beyond the null adapters (z ≥ 3)."""
    return any(
        probe.z_score is not None
        and probe.z_score >= REAL_Z
        and probe.claim in (Claim.EFFECT, None)  # results of dlm-sway name no claim
        and probe.verdict in MEASURED_VERDICTS
        for probe in suite.probes
    )


def legend(suite: SuiteResult) -> str:
    """What the columns of the probes' table mean; empty where nothing was measured."""
    measured = [probe for probe in suite.probes if probe.verdict in MEASURED_VERDICTS]
    if not measured:
        return ""
    has_interval = any(probe.ci_95 is not None for probe in measured)
    parts = ["score: 0.5 is the minimum to pass", "raw: the measured value"]
    parts += ["95 %: the 95 % interval of the raw value"] if has_interval else []
    if any(probe.z_score is not None for probe in measured):
        parts.append(f"z: distance from n random adapters in σ (clear if ≥ {REAL_Z:g})")
    if any(" nats" in probe.message for probe in measured):
        parts.append("nats: unit of log-probability (0.7 = twice as likely)")
    return "; ".join(parts)


def footer(suite: SuiteResult) -> str:
    """Cost, determinism and cache in one line."""
    ran = f"determinism {determinism(suite.determinism)}" if suite.determinism is not None else ""
    parts = [f"wall {formatting.duration(suite.wall_seconds)}", ran, backend(suite.backend_stats)]
    return " | ".join(filter(None, parts))


def determinism(known: RunDeterminism) -> str:
    """Its class and seed."""
    return clean(f"{known.level} (seed {known.seed})")


def backend(stats: Mapping[str, Any]) -> str:
    """How much was known already, and what the model's forwards cost; empty where nothing was asked."""
    return " | ".join([*_cache(stats), *_forwards(stats)])


def _cache(stats: Mapping[str, Any]) -> Iterator[str]:
    hits = _count(stats, "cache_hits")
    if asked := hits + _count(stats, "cache_misses"):
        stored = _count(stats, "stored_hits")
        yield f"cache {hits:.0f}/{asked:.0f}" + (f" ({stored:.0f} from disk)" if stored else "")


def _forwards(stats: Mapping[str, Any]) -> Iterator[str]:
    if requests := _count(stats, "requests"):
        yield f"{requests:,.0f} requests"
        read, written = _count(stats, "prompt_tokens"), _count(stats, "completion_tokens")
        yield f"{read:,.0f} tokens read, {written:,.0f} written"
        return
    tokens, wall = _count(stats, "tokens"), _count(stats, "scoring_wall_s")
    if not tokens:
        return
    padding, halved = _count(stats, "padding_tokens"), _count(stats, "halved_batches")
    yield f"{_count(stats, 'forward_passes'):.0f} batches"
    yield f"{tokens:,.0f} tokens (padding {formatting.percent(padding / (tokens + padding))})"
    if halved:
        yield f"{halved:.0f} batches halved because memory was full"
    if wall:
        yield f"{tokens / wall:,.0f} tokens/s"


def _count(stats: Mapping[str, Any], name: str) -> float:
    """A count of a backend's, which may not tell it."""
    count = stats.get(name)
    return max(0.0, float(count)) if isinstance(count, int | float) else 0.0
