"""Part fp: how often a member of a pool of null adapters is called an effect by the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cells import nominal, percent, table
from pools import GENTLE, STATISTICS, Draw, say
from setting import NULL_FAMILIES, Setting
from shares import (
    OLD_RUNS,
    SCALES,
    Share,
    Trials,
    correlations,
    disagreement,
    false_positives,
    old_false_positives,
    trials,
)

SIZES = {"own": 1.0, "gentle": GENTLE}
DECLARED = "log"
JUDGED_AT = (8, 20)
FAMILY_POOL = 200

Figures = dict[str, Any]


def measure(setting: Setting) -> Figures:
    """Shares by size and statistic; for the other families by delta_kl alone."""
    tried = _trials(setting, setting.pool)
    raw: Figures = {"pool": setting.pool, "per_null": setting.per_null, "sizes": {}, "families": {}}
    for word, size in SIZES.items():
        draws = setting.healthy_pool(size)
        columns = {name: _column(draws, name) for name in STATISTICS}
        raw["sizes"][word] = {name: _figures(values, tried) for name, values in columns.items()}
        matrix = correlations([columns[name] for name in columns])
        raw.setdefault("correlations", {})[word] = matrix.tolist()
        say(f"fp: {word} judged")
    values = _column(setting.healthy_pool(), "delta_kl")
    raw["disagreement"] = max(disagreement(values, tried[n], scale) for n in tried for scale in SCALES)
    count = setting.scaled(FAMILY_POOL, 40)
    fewer = _trials(setting, count)
    for family in NULL_FAMILIES[1:]:
        try:
            draws = setting.healthy_pool(family=family, count=count)
        except KeyError:
            say(f"fp: this version has no family {family}")
            continue
        raw["families"][family] = _figures(_column(draws, "delta_kl"), fewer)
    return raw


def tables(raw: Figures) -> str:
    """The declared scale against its bars, all scales side by side, the other families."""
    first = [
        (name, word, n, *(percent(*s) for s in found[n][DECLARED]), nominal(found[n][DECLARED]))
        for word, statistics in raw["sizes"].items()
        for name, found in statistics.items()
        for n in found
        if n != "old"
    ]
    return "\n".join(
        [
            f"### False positives: {raw['pool']} nulls a size, judged by n of the others ({DECLARED})\n",
            table(("statistic", "size", "n", "p ≤ .05", "p ≤ .01", "p ≤ .00135", "within bars"), first),
            f"Vectorised p against predict(): largest relative difference {raw['disagreement']:.0e}.\n",
            "### The scales side by side, and the established way (3 runs, population sd)\n",
            _scales(raw),
            "### Other families (delta_kl, healthy's size)\n",
            _families(raw),
        ]
    )


def _trials(setting: Setting, pool: int) -> dict[int, Trials]:
    return {n: trials(pool, n, setting.per_null) for n in setting.judging if n < pool // 2}


def _column(draws: Sequence[Draw], name: str) -> list[float]:
    probe, statistic = STATISTICS[name]
    found = [draw[probe].statistic(statistic) for draw in draws]
    return [value for value in found if value is not None]


def _figures(values: Sequence[float], tried: dict[int, Trials]) -> Figures:
    made: Figures = {
        str(n): {scale: _plain(false_positives(values, t, scale)) for scale in SCALES}
        for n, t in tried.items()
    }
    return {**made, "old": _plain(old_false_positives(values, tried[OLD_RUNS]))}


def _plain(shares: Sequence[Share]) -> list[list[float]]:
    return [[s.value, s.low, s.high] for s in shares]


def _scales(raw: Figures) -> str:
    rows = []
    for word, statistics in raw["sizes"].items():
        for name, found in statistics.items():
            for n in JUDGED_AT:
                if str(n) not in found:
                    continue
                shares = [found[str(n)][scale] for scale in SCALES]
                rows.append(
                    (name, word, n, *(_pair(s) for s in shares), _nearest(shares), _pair(found["old"]))
                )
    head = ("statistic", "size", "n", *(f"{s}: .05 / .00135" for s in SCALES), "nearest", "old way, n = 3")
    return table(head, rows)


def _families(raw: Figures) -> str:
    rows = [
        (family, n, *(_pair(found[n][scale]) for scale in SCALES), nominal(found[n][DECLARED]))
        for family, found in raw["families"].items()
        for n in found
        if n != "old"
    ]
    head = ("family", "n", *(f"{s}: .05 / .00135" for s in SCALES), f"within bars ({DECLARED})")
    return table(head, rows)


def _pair(shares: Sequence[Sequence[float]]) -> str:
    return f"{percent(shares[0][0])} / {percent(shares[2][0])}"


def _nearest(shares: Sequence[Sequence[Sequence[float]]]) -> str:
    """The scale whose share at the smallest level is nearest its nominal 0.135 %."""
    away = [abs(found[2][0] - 0.00135) for found in shares]
    return SCALES[away.index(min(away))]
