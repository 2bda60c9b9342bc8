"""Part power: how often adapters that learned something pass, by the number of null draws, and its cost.

A subject is judged by the probes' own rule against random n-subsets of its own null draws, so that the share
of passes is over the luck of the null, for this subject. The mixtures keep the size and lower the share of
what was learned: their curve shows what more draws buy.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markdown_cells import least, percent, table
from null_pools import HEALTHY, SUITE, Lab, Recipe, say
from setting import SHARES, Setting
from shares import SCALES

from pytest_sway.probes.base import Judgement
from pytest_sway.result import Measurement, Verdict
from pytest_sway.statistics.prediction import predict

JUDGED_BY = (3, 5, 8, 12, 16, 20, 32)
DRAWS = 200
"""Null draws of each subject, from which the subsets are taken."""
COMPARED = (5, 8, 20)
"""How many draws judge where the scales are compared."""
SMALL = (8, 20)
ENOUGH = 8
"""Draws from which the healthy adapter must pass."""
PASSES = 0.95
SIGMA = 3.0

Figures = dict[str, Any]


def measure(setting: Setting) -> Figures:
    """Passes of the trained and the mixed; what draws cost."""
    raw: Figures = {"draws": _draw_count(setting), "subsets": _subsets(setting)}
    trained = {**setting.trained(), "healthy (600 steps)": HEALTHY}
    raw["trained"] = {name: _subject(setting, folder, SUITE) for name, folder in trained.items()}
    raw["mixtures"] = {}
    for share in SHARES:
        folders = setting.mixtures(share, setting.scaled(5, 1))
        raw["mixtures"][f"{share:g}"] = [_subject(setting, folder, ("moved",)) for folder in folders]
    raw["costs"] = _costs(setting)
    return raw


def tables(raw: Figures) -> str:
    """Trained subjects, mixtures, scales, costs."""
    healthy = raw["trained"]["healthy (600 steps)"]
    bar = min(share for n, share in healthy["all_pass"].items() if int(n) >= ENOUGH)
    verdict = least(bar, PASSES)
    return "\n".join(
        [
            f"### Power: {raw['subsets']} random n-subsets of {raw['draws']} null draws of each subject\n",
            "delta_kl of adapters stopped early: share with z ≥ 3 / share of PASS\n",
            _trained(raw),
            f"Healthy passes all three probes in {percent(bar)} of draws (n ≥ 8), bar 95 %: {verdict}.\n",
            "The shape probes of the same: share of PASS / share of SKIP (no signal above its null)\n",
            _shape_table(raw),
            "Mixtures, ΔW = s·healthy + √(1 - s²)·noise, all of healthy's size, delta_kl: z ≥ 3 / PASS\n",
            _mixtures(raw),
            "The same by scale: share with z ≥ 3\n",
            _by_scale(raw),
            "What draws cost: the quickstart's three probes on healthy\n",
            _costs_table(raw),
        ]
    )


def _judged_by(setting: Setting) -> tuple[int, ...]:
    return SMALL if setting.small else JUDGED_BY


def _draw_count(setting: Setting) -> int:
    return setting.scaled(DRAWS, 24)


def _subsets(setting: Setting) -> int:
    return setting.scaled(200, 30)


def _subject(setting: Setting, folder: Path, names: Sequence[str]) -> Figures:
    """One subject: its numbers, and how it fares against its own nulls."""
    lab = setting.lab
    with lab.subject(folder) as attached:
        own = lab.measured(lab.engine(), attached, names)
    file = setting.work / f"power-{folder.name}.json"
    draws = lab.pool(file, folder, Recipe(count=_draw_count(setting)), names)
    told: dict[str, dict[str, list[Judgement]]] = {
        name: _judged(setting, name, own[name], [draw[name] for draw in draws]) for name in names
    }
    moved = [value for draw in draws if (value := draw["moved"].raw) is not None]
    say(f"power: {folder.name} judged")
    return {
        "raw": own["moved"].raw,
        "null_mean": float(np.mean(moved)),
        "probes": {name: {n: _shares(some) for n, some in by_n.items()} for name, by_n in told.items()},
        "all_pass": {n: _all_pass([told[name][n] for name in names]) for n in told[names[0]]},
        "scales": _scales(setting, own["moved"], moved),
    }


def _judged(
    setting: Setting, name: str, own: Measurement, nulls: Sequence[Measurement]
) -> dict[str, list[Judgement]]:
    """The rule's judgements by number of draws; every probe is judged by the same subsets."""
    return {
        str(n): [
            setting.lab.judge(name, own, [nulls[i] for i in chosen])
            for chosen in _chosen(setting, len(nulls), n)
        ]
        for n in _judged_by(setting)
    }


def _shares(judged: Sequence[Judgement]) -> Figures:
    """The share with z ≥ 3, and the share of each verdict."""
    predicted = [j.prediction.z for j in judged if j.prediction and j.prediction.z is not None]
    told = [j.verdict.value for j in judged]
    return {
        "sure": sum(z >= SIGMA for z in predicted) / len(judged),
        "z": float(np.median(predicted)) if predicted else None,
        **{verdict: told.count(verdict) / len(told) for verdict in ("pass", "warn", "fail", "skip")},
    }


def _all_pass(probes: Sequence[Sequence[Judgement]]) -> float:
    """The share of subsets with which every probe passes."""
    passed = [all(j.verdict is Verdict.PASS for j in row) for row in zip(*probes, strict=True)]
    return sum(passed) / len(passed)


def _scales(setting: Setting, own: Measurement, nulls: Sequence[float]) -> Figures:
    """Share with z ≥ 3 on each scale."""
    found: Figures = {}
    for n in COMPARED:
        chosen = _chosen(setting, len(nulls), n)
        for scale in SCALES:
            z = [predict(own.raw or 0.0, [nulls[i] for i in some], scale).z for some in chosen]
            found.setdefault(str(n), {})[scale] = sum(v is not None and v >= SIGMA for v in z) / len(z)
    return found


def _chosen(setting: Setting, pool: int, n: int) -> list[list[int]]:
    generator = np.random.default_rng(n)
    return [generator.permutation(pool)[:n].tolist() for _ in range(_subsets(setting))]


def _costs(setting: Setting) -> Figures:
    """Tokens and seconds of the quickstart's probes, on a freshly loaded model each time."""
    found: Figures = {}
    for n in (0, *_judged_by(setting)):
        lab = Lab()
        with lab.subject(HEALTHY) as subject:
            engine = lab.engine()
            lab.measured(engine, subject, ("moved",))  # warm
            engine = lab.engine()
            began = time.perf_counter()
            for name in SUITE:
                lab.measured(engine, subject, (name,))
                if n:
                    lab.null_draws(engine, subject, (name,), lab.null_views(subject, Recipe(count=n)))
            found[str(n)] = {"seconds": time.perf_counter() - began, "tokens": engine.stats()["tokens"]}
    return found


def _trained(raw: Figures) -> str:
    rows = []
    for name, found in raw["trained"].items():
        moved = found["probes"]["moved"]
        told = (f"{percent(v['sure'])} / {percent(v['pass'])}" for v in moved.values())
        size = f"{found['raw']:.2g}, {found['raw'] / found['null_mean']:.1f}× its null"
        rows.append((name, size, *told))
    return table(("adapter", "mean JS", *_heads(raw)), rows)


def _shape_table(raw: Figures) -> str:
    rows = []
    for name, found in raw["trained"].items():
        for probe in SUITE[1:]:
            told = (f"{percent(v['pass'])} / {percent(v['skip'])}" for v in found["probes"][probe].values())
            rows.append((name, probe, *told))
    return table(("adapter", "probe", *_heads(raw)), rows)


def _mixtures(raw: Figures) -> str:
    rows = []
    for share, found in raw["mixtures"].items():
        told = []
        for n in found[0]["probes"]["moved"]:
            parts = [one["probes"]["moved"][n] for one in found]
            told.append(f"{percent(_mean(parts, 'sure'))} / {percent(_mean(parts, 'pass'))}")
        ratio = float(np.mean([one["raw"] / one["null_mean"] for one in found]))
        rows.append((share, f"{ratio:.2f}", *told))
    return table(("s", "JS ÷ null mean", *_heads(raw)), rows)


def _by_scale(raw: Figures) -> str:
    subjects = {name: [found] for name, found in raw["trained"].items()}
    subjects |= {f"s = {share}": found for share, found in raw["mixtures"].items()}
    rows = []
    for name, found in subjects.items():
        told = [
            percent(float(np.mean([one["scales"][str(n)][scale] for one in found])))
            for n in COMPARED
            for scale in SCALES
        ]
        rows.append((name, *told))
    return table(("subject", *(f"{scale}, n = {n}" for n in COMPARED for scale in SCALES)), rows)


def _costs_table(raw: Figures) -> str:
    none = raw["costs"]["0"]
    rows = [
        (n, f"{cost['tokens']:.0f}", f"{cost['tokens'] / none['tokens']:.1f}×", f"{cost['seconds']:.1f}")
        for n, cost in raw["costs"].items()
    ]
    return table(("n", "tokens through the model", "÷ without nulls", "seconds"), rows)


def _heads(raw: Figures) -> list[str]:
    return [f"n = {n}" for n in raw["costs"] if n != "0"]


def _mean(parts: Sequence[Figures], key: str) -> float:
    return float(np.mean([part[key] for part in parts]))
