"""What the null adapters say of a probe and of a suite, in sentences; for every surface."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pytest_sway.result import (
    Claim,
    EffectsSummary,
    NullComparison,
    NullComposites,
    NullStatistics,
    NullSummary,
    ProbeResult,
    null_adapters,
    null_group,
)
from pytest_sway.text import formatting


def probe_sentence(probe: ProbeResult) -> str:
    """Where an effect stands among its nulls; empty where there is nothing to tell."""
    null = probe.null
    if null is None or probe.claim is Claim.SHAPE:
        return ""
    parts = [f"{_rank(null)} {null.n} {null_adapters(null.family)}{_range(null)}"]
    if null.failed:
        parts.append(f"{len(null.failed)} more failed ({null.failed[0]})")
    if null.p is not None:
        parts.append(f"p {formatting.p_value(null.p)}")
    if null.ratio is not None and null.scale != "raw":
        parts.append(f"{formatting.ratio(null.ratio)} their mean")
    if null.alignment_ratio is not None and null.alignment_ratio.ratio is not None:
        parts.append(
            f"about {formatting.rough_ratio(null.alignment_ratio.ratio)} the effect of this adapter's update "
            "with random signs"
        )
    return ", ".join(parts)


def null_count(probe: ProbeResult, null_stats: Mapping[str, NullStatistics]) -> float | None:
    """How many nulls the probe's z rests on; None where it has none.

    Args:
        probe: the result.
        null_stats: the suite's, by kind: all that a result of dlm-sway says of its nulls.
    """
    if probe.z_score is None:
        return None
    if probe.null is not None:
        return probe.null.n
    of_kind = null_stats.get(probe.kind)
    return None if of_kind is None else of_kind.n


def rank_profile(probe: ProbeResult) -> str:
    """Schema 1's line: z at every rank, the adapter's own first."""
    profile = probe.evidence.get("z_by_rank")  # dlm-sway writes null
    if not isinstance(profile, dict) or probe.z_score is None:
        return ""
    known = [(_factor(name), z) for name, z in profile.items() if isinstance(z, int | float)]
    entries = [f"{formatting.z(z)} @ {factor:g}x" for factor, z in known if factor is not None]
    if len(entries) < 2:
        return ""
    return "rank profile: " + " / ".join(entries)


def _factor(name: str) -> float | None:
    try:
        return float(name.removeprefix("rank_"))
    except ValueError:
        return None


def effects_sentence(effects: EffectsSummary, nulls: NullComposites | None) -> str:
    """How many effects stand beyond their nulls when all are looked at together.

    Of random adapters it says how little that is: three steps of any training are beyond noise of their size.
    """
    is_yours = nulls is not None and nulls.family == "yours"
    sure = effects.holm
    rest = [name for name in effects.p if name not in sure]
    left = f", but not {_first_names(rest)}" if sure and rest else ""
    level = f"error at most {formatting.percent(effects.level)}, Holm"
    any_training = ", which is normal after any training" if sure and not is_yours else ""
    group = null_group("" if nulls is None else nulls.family)
    return f"{len(sure)} of {len(effects.p)} effects are clearly beyond {group}{left} ({level}){any_training}"


def _first_names(names: Sequence[str], most: int = 3) -> str:
    """The first few, and how many more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def passing_sentence(nulls: NullComposites | None) -> str:
    """How many random adapters would have passed, with the bound on their share; empty without any."""
    if nulls is None:
        return ""
    most = f"the true share is at most {formatting.percent(nulls.at_most)} with 95 % confidence"
    return f"{nulls.passed} of {_counted(nulls)} would pass the effect probes ({most})"


def _counted(nulls: NullComposites) -> str:
    return f"your {nulls.n} null adapters" if nulls.family == "yours" else f"{nulls.n} random adapters"


def composite_comparison(summary: NullSummary | None) -> str:
    """The composite of the effects beside the best that a null reached; empty without nulls."""
    nulls = None if summary is None else summary.nulls
    if nulls is None or not nulls.nulls_composites:
        return ""
    own, best = nulls.composite_of_effects, max(nulls.nulls_composites)
    return f"effects {formatting.score(own)}, {_counted(nulls)} ≤ {formatting.score(best)}"


def not_calibrated_reasons(summary: NullSummary | None) -> dict[str, list[str]]:
    """The probes that no null was asked about, by reason."""
    reasons: dict[str, list[str]] = {}
    if summary is not None:
        for name, reason in summary.not_calibrated.items():
            reasons.setdefault(reason, []).append(name)
    return reasons


def not_calibrated_sentence(summary: NullSummary | None) -> str:
    """Those probes in one sentence; empty without any."""
    reasons = not_calibrated_reasons(summary)
    text = "; ".join(f"{', '.join(names)} ({why})" for why, names in reasons.items())
    return f"not compared with random (null) adapters: {text}" if text else ""


def suite_sentences(summary: NullSummary | None) -> Iterator[str]:
    """Sentences on the suite as a whole."""
    if summary is None:
        return
    if summary.effects is not None:
        group = null_group("" if summary.nulls is None else summary.nulls.family)
        yield f"effects clearly beyond {group}: {_accepted_effects(summary.effects)}"
    if summary.nulls is not None:
        yield _nulls_sentence(summary.nulls)


def _accepted_effects(effects: EffectsSummary) -> str:
    """Holm's list, what Benjamini and Hochberg add to it, and the rest."""
    sure, also = effects.holm, effects.benjamini_hochberg
    level = formatting.percent(effects.level)
    parts = [f"{', '.join(sure) or 'none'} (error at most {level}, Holm)"]
    if more := [name for name in also if name not in sure]:
        parts.append(f"also {', '.join(more)} at a false discovery rate of {level} (Benjamini-Hochberg)")
    if rest := [name for name in effects.p if name not in {*sure, *also}]:
        parts.append(f"not clear for {', '.join(rest)}")
    return "; ".join(parts)


def _range(null: NullComparison) -> str:
    values = [value for value in null.draws if value is not None]
    return (
        f", which range from {formatting.raw(min(values))} to {formatting.raw(max(values))}" if values else ""
    )


def _rank(null: NullComparison) -> str:
    return f"not beyond {null.rank} of" if null.rank else "beyond all"


def _nulls_sentence(nulls: NullComposites) -> str:
    """How many nulls would have passed, and how many do as well."""
    as_well = nulls.better + nulls.level
    if not nulls.composite_of_effects:
        stands = "this adapter has no effect that is clearly beyond them"
    else:
        count = as_well or "none"
        stands = f"{count} of them score{'s' * (as_well < 2)} as high as this adapter"
    return f"{passing_sentence(nulls)}; {stands}"
