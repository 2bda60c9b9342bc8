"""Part fp: how often a member of a pool of null adapters is called an effect by the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markdown_cells import nominal, percent, table
from null_pools import STATISTICS, Draw, say
from setting import NULL_FAMILIES, POOLS, Setting
from shares import (
    LEVELS,
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

JUDGED_AT = (8, 20)

SCALED_HEAD = (
    "The scales side by side (shares at .05 / .01 / .00135), and the established way (population sd)"
)

Figures = dict[str, Any]


def measure(setting: Setting) -> Figures:
    """Shares by size and statistic; for the other families by delta_kl alone."""
    tried = {n: trials(setting.pool, n, setting.per_null) for n in setting.judging}
    declared = {name: setting.lab.scale(probe) for name, (probe, _) in STATISTICS.items()}
    raw: Figures = {"pool": setting.pool, "declared": declared, "sizes": {}, "families": {}}
    for word, kind in POOLS.items():
        draws = setting.pool_of(word)
        names = [name for name, (probe, _) in STATISTICS.items() if probe in kind.names]
        columns = {name: _column(draws, name) for name in names}
        raw["sizes"][word] = {name: _figures(values, tried) for name, values in columns.items()}
        if word == "own":
            matrix = correlations([*columns.values()])[0].tolist()
            raw["correlations"] = dict(zip(names, matrix, strict=True))
        say(f"fp: {word} judged")
    values = _column(setting.pool_of("own"), "delta_kl")
    raw["disagreement"] = max(disagreement(values, tried[n], scale) for n in tried for scale in SCALES)
    for family in NULL_FAMILIES[1:]:
        draws = setting.family_pool(family)
        raw["families"][family] = _figures(_column(draws, "delta_kl"), tried)
    return raw


def tables(raw: Figures) -> str:
    """The declared scales against their bars, all scales side by side, the other families."""
    declared = raw["declared"]
    rows = [
        (name, word, n, *(percent(*s) for s in found[n][declared[name]]), nominal(found[n][declared[name]]))
        for word, statistics in raw["sizes"].items()
        for name, found in statistics.items()
        for n in found
        if n != "old"
    ]
    alike = ", ".join(f"{name} {value:.2f}" for name, value in raw["correlations"].items())
    scales = ", ".join(sorted(set(declared.values())))
    return "\n".join(
        [
            f"### False positives: {raw['pool']} nulls a pool, judged by n of the others (scale: {scales})\n",
            table(("statistic", "pool", "n", *(f"p ≤ {level:g}" for level in LEVELS), "within bars"), rows),
            f"Vectorised p against predict(): largest relative difference {raw['disagreement']:.0e}.\n",
            f"Rank correlation of the first with each over null adapters: {alike}.\n",
            f"### {SCALED_HEAD}\n",
            _scales(raw),
            "### Other families (delta_kl, healthy's size)\n",
            _family_table(raw),
        ]
    )


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
    rows = [
        (name, word, n, *_side_by_side(found[str(n)]), _all_three(found["old"]))
        for word, statistics in raw["sizes"].items()
        for name, found in statistics.items()
        for n in JUDGED_AT
        if str(n) in found
    ]
    return table(("statistic", "pool", "n", *SCALES, "nearest", "established, n = 3"), rows)


def _family_table(raw: Figures) -> str:
    rows = [
        (family, n, *_side_by_side(found[str(n)]))
        for family, found in raw["families"].items()
        for n in JUDGED_AT
        if str(n) in found
    ]
    return table(("family", "n", *SCALES, "nearest"), rows)


def _side_by_side(found: Figures) -> tuple[str, ...]:
    """Each scale's shares with its verdict, and the scale whose share at 3σ is nearest the nominal."""
    shares = [found[scale] for scale in SCALES]
    away = [abs(share[2][0] - LEVELS[2]) for share in shares]
    cells = (f"{_all_three(share)}: {nominal(share).split(' ')[0]}" for share in shares)
    return (*cells, SCALES[away.index(min(away))])


def _all_three(shares: Sequence[Sequence[float]]) -> str:
    return " / ".join(percent(found[0]) for found in shares)
