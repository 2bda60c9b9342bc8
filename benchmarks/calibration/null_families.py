"""Part families: delta_kl against each null family; the table for choosing the default.

Each subject is judged by its own nulls of each family, 24 draws. Beside the trained and the mixed, noise
adapters: what a family says of them must be nothing (a ratio of about 1, p uniform).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markdown_cells import exact, table
from null_pools import EFFECT, HEALTHY, Recipe, say
from scipy.stats import kstest
from setting import NULL_FAMILIES, SHARES, Setting

from pytest_sway.statistics.prediction import Prediction, predict

DRAWS = 24
NOISES = 100

Figures = dict[str, Any]


def measure(setting: Setting) -> Figures:
    """Ratio, z and p by subject and family."""
    draws = setting.scaled(DRAWS, 8)
    subjects = {**setting.trained(), "healthy (600 steps)": HEALTHY}
    subjects |= {f"mixture, s = {s:g}": setting.mixtures(s, 1)[0] for s in SHARES if s}
    raw: Figures = {"draws": draws, "subjects": {}, "noise": {}}
    for name, folder in subjects.items():
        raw["subjects"][name] = judged(setting, folder, draws, NULL_FAMILIES)
    noises = setting.noises(setting.scaled(NOISES, 3))
    for i, folder in enumerate(noises):
        families = [family for family in NULL_FAMILIES if family != "gaussian"]
        for family, found in judged(setting, folder, draws, families).items():
            raw["noise"].setdefault(family, []).append(found)
        if i % 10 == 9:
            say(f"families: {i + 1} of {len(noises)} noise adapters")
    return raw


def tables(raw: Figures) -> str:
    """Subjects by family; what the families say of noise."""
    rows = [
        (
            name,
            f"{next(iter(found.values()))['value']:.3g}",
            *(_effect_cell(found.get(family)) for family in NULL_FAMILIES),
        )
        for name, found in raw["subjects"].items()
    ]
    noise = [(family, len(found), *_of_noise(found)) for family, found in raw["noise"].items()]
    head = ("family", "adapters", "median ratio", "p ≤ .05", "p ≤ .01", "z ≥ 3", "p uniform (KS p)")
    return "\n".join(
        [
            f"### Families: delta_kl ÷ mean of {raw['draws']} nulls (z; sd of log JS over draws)\n",
            table(("subject", "mean JS", *NULL_FAMILIES), rows),
            f"Noise adapters of healthy's size, each against {raw['draws']} nulls of its own\n",
            table(head, noise),
        ]
    )


def judged(setting: Setting, folder: Path, draws: int, families: Sequence[str]) -> Figures:
    """Ratio, z and p of one subject by family; what every family shares is measured once."""
    lab = setting.lab
    found: Figures = {}
    with lab.subject(folder) as attached:
        engine = lab.engine()
        value = lab.measured(engine, attached, EFFECT)["moved"].raw or 0.0
        for family in families:
            nulls = lab.null_views(attached, Recipe(family, count=draws))
            values = [draw["moved"].raw or 0.0 for draw in lab.null_draws(engine, attached, EFFECT, nulls)]
            found[family] = _plain(value, values, predict(value, values, lab.scale("moved")))
    return found


def _plain(value: float, values: Sequence[float], told: Prediction) -> Figures:
    return {
        "value": value,
        "draws": list(values),
        "ratio": told.ratio,
        "z": told.z,
        "p": told.p,
        "log_sd": float(np.log(values).std(ddof=1)),
    }


def _effect_cell(found: Figures | None) -> str:
    return "" if found is None else f"{found['ratio']:.2f} (z {found['z']:+.1f}; {found['log_sd']:.2f})"


def _of_noise(found: Sequence[Figures]) -> tuple[str, ...]:
    p = [one["p"] for one in found]
    ratio = float(np.median([one["ratio"] for one in found]))
    shares = (exact(sum(v <= level for v in p), len(p)) for level in (0.05, 0.01, 0.00135))
    return (f"{ratio:.2f}", *shares, f"{float(kstest(p, 'uniform').pvalue):.2f}")
