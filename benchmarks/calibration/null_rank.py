"""Part rank: is a null of s times the rank the same as one whose update is scaled by √s?

Factors of rank s·r whose entries are as large as the rank-r null's have E‖BA‖² = s times its, since the
r rank-one terms are independent. So far the algebra; the benchmark measures whether the *divergence* agrees
too, in which case a view's scale serves for a rank profile and no factors of another shape are needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from adapter_files import factors_of, noise, ranked_noise, total_norm, write
from markdown_cells import percent, table
from null_pools import EFFECT, HEALTHY, Recipe, say
from scipy.stats import norm as normal
from setting import Setting

TIMES = (0.5, 1.0, 2.0)
DRAWS = 60
ALIKE = 0.1
"""The mean JS of both may differ by this much."""

Figures = dict[str, Any]


def measure(setting: Setting) -> Figures:
    """Norms and divergences of both kinds, for half, the same and twice the rank."""
    lab, draws, real = setting.lab, setting.scaled(DRAWS, 4), factors_of(HEALTHY)
    raw: Figures = {"draws": draws, "times": {}}
    plain = total_norm(noise(real, 0))
    for times in TIMES:
        norms, true = [], []
        for i in range(draws):
            factors = ranked_noise(real, 3000 + i, times)
            norms.append(total_norm(factors))
            folder = write(setting.work / "ranked", factors, HEALTHY)
            with lab.subject(folder) as attached:
                true.append(lab.measured(lab.engine(), attached, EFFECT)["moved"].raw)
        with lab.subject(HEALTHY) as attached:
            views = lab.null_views(attached, Recipe(size=float(np.sqrt(times)), count=draws))
            scaled = [d["moved"].raw for d in lab.null_draws(lab.engine(), attached, EFFECT, views)]
        raw["times"][f"{times:g}"] = {"norms": norms, "norm": plain, "true": true, "scaled": scaled}
        say(f"rank: {times:g} times")
    return raw


def tables(raw: Figures) -> str:
    """By factor of the rank."""
    rows = []
    for times, found in raw["times"].items():
        size = float(np.mean(found["norms"])) / found["norm"]
        ratio, low, high = _ratio(found["true"], found["scaled"])
        rows.append(
            (
                times,
                f"{size:.3f}",
                f"{float(np.sqrt(float(times))):.3f}",
                f"{np.mean(found['true']):.4g}",
                f"{np.mean(found['scaled']):.4g}",
                f"{ratio:.3f} ({low:.3f}–{high:.3f})",
                f"{_log_sd(found['true']):.3f} / {_log_sd(found['scaled']):.3f}",
                _verdict(ratio, low, high),
            )
        )
    head = (
        "rank ×",
        "‖BA‖ ÷ rank r's",
        "√s",
        "JS, true rank",
        "JS, scaled by √s",
        "ratio (95 %)",
        "sd of log JS, true / scaled",
        f"within {percent(ALIKE)}",
    )
    return "\n".join([f"### Rank: {raw['draws']} draws each\n", table(head, rows)])


def _ratio(left: Sequence[float], right: Sequence[float]) -> tuple[float, float, float]:
    """Of the means, with its 95 % interval by the delta method."""
    a, b = np.asarray(left), np.asarray(right)
    error = np.sqrt(a.var(ddof=1) / len(a) / a.mean() ** 2 + b.var(ddof=1) / len(b) / b.mean() ** 2)
    ratio, half = float(a.mean() / b.mean()), float(normal.ppf(0.975) * error)
    return ratio, ratio * float(np.exp(-half)), ratio * float(np.exp(half))


def _log_sd(values: Sequence[float]) -> float:
    return float(np.log(values).std(ddof=1))


def _verdict(ratio: float, low: float, high: float) -> str:
    if not 1 - ALIKE <= ratio <= 1 + ALIKE:
        return "**missed**"
    return "met" if low >= 1 - ALIKE and high <= 1 + ALIKE else "met (not surely)"
