"""Numbers that are not finite, in a probe's result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_sway.result import ProbeResult, Verdict
from pytest_sway.suites.json_conversion import json_value


def without_non_finite(result: ProbeResult) -> ProbeResult:
    """Turn a result with a non-finite headline into an ERROR, and null non-finite extras by name.

    A NaN must never become a score: a comparison with NaN is false, and a verdict would follow from it.
    """
    if result.raw is not None and not math.isfinite(result.raw):
        return replace(
            result,
            verdict=Verdict.ERROR,
            message=f"raw is {result.raw}: the model returned NaN or infinity",
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
