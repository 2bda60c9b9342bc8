"""What the random adapters said, in words; for every surface."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_sway.result import ProbeResult, null_adapters
from pytest_sway.text import formatting


def of_probe(probe: ProbeResult) -> str:
    """Where an effect stands among its nulls; empty where there is nothing to tell."""
    null = probe.null
    if null is None or probe.claim == "shape":
        return ""
    parts = [f"against {null['n']} {null_adapters(null['family'])}{_reach(null)}: {_rank(null)}"]
    if null["failed"]:
        parts.append(f"{len(null['failed'])} more could not answer ({null['failed'][0]})")
    if null["p"] is not None:
        parts.append(f"p {formatting.p_value(null['p'])}")
    if null["ratio"] is not None and null["scale"] != "raw":
        parts.append(f"{formatting.ratio(null['ratio'])} their mean")
    if null["organised"] is not None and null["organised"]["ratio"] is not None:
        parts.append(f"organised about {formatting.rough(null['organised']['ratio'])}")
    return ", ".join(parts)


def draws(probe: ProbeResult, null_stats: Mapping[str, Any]) -> float | None:
    """How many nulls the probe's z rests on; None where it has none.

    Args:
        probe: the result.
        null_stats: the suite's, by kind: all that a result of dlm-sway says of its nulls.
    """
    if probe.z_score is None:
        return None
    found = null_stats.get(probe.kind, {}) if probe.null is None else probe.null
    return found.get("n")


def rank_profile(probe: ProbeResult) -> str:
    """The contract's line: z at every rank, the adapter's own first."""
    profile = probe.evidence.get("z_by_rank")  # dlm-sway writes null
    if not isinstance(profile, dict) or probe.z_score is None:
        return ""
    known = [(_factor(name), z) for name, z in profile.items() if isinstance(z, int | float)]
    shown = [f"{formatting.z(z)} @ {factor:g}x" for factor, z in known if factor is not None]
    if len(shown) < 2:
        return ""
    return "rank profile: " + " / ".join(shown)


def _factor(name: str) -> float | None:
    try:
        return float(name.removeprefix("rank_"))
    except ValueError:
        return None


def beyond(effects: Mapping[str, Any], nulls: Mapping[str, Any] | None) -> str:
    """How many effects stand beyond their nulls when all are looked at together."""
    who = "your null adapters" if nulls and nulls["family"] == "yours" else "random adapters"
    sure, looked = effects["holm"], effects["p"]
    rest = [name for name in looked if name not in sure]
    left = f", not {_named(rest)}" if sure and rest else ""
    level = f"Holm, {formatting.percent(effects['level'])} for all together"
    return f"{len(sure)} of {len(looked)} effects beyond {who}{left} ({level})"


def _named(names: Sequence[str], most: int = 3) -> str:
    """The first few, and how many more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def passing(nulls: Mapping[str, Any] | None) -> str:
    """How many random adapters would have passed, with the bound on their share; empty without any."""
    if not nulls:
        return ""
    who = "of your null adapters" if nulls["family"] == "yours" else "random adapters"
    most = f"at most {formatting.percent(nulls['at_most'])}, 95 % sure"
    return f"{nulls['passed']} of {nulls['n']} {who} would have passed on the effects ({most})"


def standing(calibration: Mapping[str, Any]) -> str:
    """The composite of the effects beside the best that a null reached; empty without nulls."""
    nulls = calibration.get("nulls")
    if not nulls or not nulls["nulls_composites"]:
        return ""
    who = f"your {nulls['n']}" if nulls["family"] == "yours" else f"{nulls['n']} random"
    own, best = nulls["composite_of_effects"], max(nulls["nulls_composites"])
    return f"effects {formatting.score(own)}; best of {who} {formatting.score(best)}"


def uncalibrated(calibration: Mapping[str, Any]) -> dict[str, list[str]]:
    """The probes that no null was asked about, by reason."""
    reasons: dict[str, list[str]] = {}
    for name, reason in calibration.get("not_calibrated", {}).items():
        reasons.setdefault(reason, []).append(name)
    return reasons


def not_calibrated(calibration: Mapping[str, Any]) -> str:
    """Those probes in one sentence; empty without any."""
    reasons = uncalibrated(calibration)
    told = "; ".join(f"{', '.join(names)} ({why})" for why, names in reasons.items())
    return f"not calibrated: {told}" if told else ""


def of_suite(calibration: Mapping[str, Any]) -> Iterator[str]:
    """Sentences on the suite as a whole."""
    effects, nulls = calibration.get("effects"), calibration.get("nulls")
    if effects:
        yield f"effects beyond their nulls: {_real(effects)}"
    if nulls:
        yield _standing(nulls)


def _real(effects: Mapping[str, Any]) -> str:
    """Holm's list, what Benjamini and Hochberg add to it, and the rest."""
    sure, also = effects["holm"], effects["benjamini_hochberg"]
    level = formatting.percent(effects["level"])
    parts = [f"{', '.join(sure) or 'none'} (Holm, {level} for all together)"]
    if more := [name for name in also if name not in sure]:
        parts.append(f"also {', '.join(more)}, if {level} of those named may be false (Benjamini-Hochberg)")
    if rest := [name for name in effects["p"] if name not in {*sure, *also}]:
        parts.append(f"not shown for {', '.join(rest)}")
    return "; ".join(parts)


def _reach(null: Mapping[str, Any]) -> str:
    found = [value for value in null["draws"] if value is not None]
    return f", which reach {formatting.raw(min(found))} to {formatting.raw(max(found))}" if found else ""


def _rank(null: Mapping[str, Any]) -> str:
    reached = null["rank"]
    if not reached:
        return "beyond all"
    return f"{reached} of them as far"


def _standing(nulls: Mapping[str, Any]) -> str:
    """How many nulls would have passed, and how many do as well."""
    as_well = nulls["better"] + nulls["level"]
    if not nulls["composite_of_effects"]:
        stands = "no effect of this one stands out"
    else:
        stands = f"{as_well} do as well as this one" if as_well else "none does as well as this one"
    return f"{passing(nulls)}; {stands}"
