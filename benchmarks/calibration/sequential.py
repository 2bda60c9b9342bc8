"""Part sequential: draws as they are needed (8, then 20; a shape's signal 4, 5, then 8) against fixed draws.

Every member of a pool of noise is judged by random draws of the others: by all of them, by the first ones
alone, and by the product's rule, which stops where those so far settle the verdict. Then the same for
adapters that learned something: mixtures of the healthy update and noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markdown_cells import percent, table
from null_pools import HEALTHY, Recipe, say
from scipy.special import ndtr, ndtri
from setting import SHARES, PoolKind, Setting
from shares import Share, Trials, p_values, share, trials

from pytest_sway.items.null_comparison import SIGNAL_DRAWS, SIGNAL_LOOKS
from pytest_sway.probes.null_adapter import DEFAULT_RUNS, FEWEST_RUNS
from pytest_sway.statistics.prediction import predict
from pytest_sway.statistics.sequential import CONFIDENCE, NullCriterion, chance_of_reaching

STATISTICS = {
    "delta_kl": ("moved", "raw", 3.0),
    "preference_flip": ("lift", "raw", 3.0),
    "adapter_ablation, signal": ("strength", "signal", 2.0),
}
"""Each statistic's probe, its name there, and the z that it is asked for."""
_NAMES = tuple(dict.fromkeys(probe for probe, *_ in STATISTICS.values()))
POOLS = {
    "own": PoolKind(seed_base=4_000_000, names=_NAMES),
    "quarter": PoolKind(0.25, 5_000_000, names=_NAMES),
}
_PER_NULL = 400
_SUBSETS = 400
_EDGE = 1e-4

Figures = dict[str, Any]


@dataclass(frozen=True)
class Rule:
    """After how many draws it is looked whether the rest could change what they say."""

    looks: tuple[int, ...]
    total: int
    least_z: float

    @property
    def first(self) -> int:
        """How many are measured in any case."""
        return self.looks[0]

    def open_between(self, look: int) -> tuple[float, float]:
        """Below the one and above the other z sampling stops; by bisection."""
        ends = []
        for wanted in (1 - CONFIDENCE, CONFIDENCE):
            low, high = -5.0, 9.0
            while high - low > _EDGE:
                middle = (low + high) / 2
                chance = chance_of_reaching(middle, look, self.least_z, self.total)
                low, high = (middle, high) if chance < wanted else (low, middle)
            ends.append(high)
        return ends[0], ends[1]


RULES = {
    3.0: Rule((FEWEST_RUNS,), DEFAULT_RUNS, 3.0),
    2.0: Rule(SIGNAL_LOOKS, SIGNAL_DRAWS, 2.0),
}


def measure(setting: Setting) -> Figures:
    """Shares by pool and statistic, and the power of adapters that learned something."""
    raw: Figures = {"pool": setting.pool, "noise": {}, "power": {}}
    for word, kind in POOLS.items():
        recipe = Recipe("norm_matched", kind.size, setting.pool, kind.seed_base)
        draws = setting.lab.pool(setting.work / f"pool-sequential-{word}.json", HEALTHY, recipe, kind.names)
        raw["noise"][word] = {
            name: _of_noise(
                [draw[probe].statistic(key) or 0.0 for draw in draws],
                trials(setting.pool, RULES[least].total, _PER_NULL),
                setting.lab.scale(probe),
                RULES[least],
            )
            for name, (probe, key, least) in STATISTICS.items()
        }
        say(f"sequential: {word} judged")
    subjects = {f"s = {s:g}": setting.mixtures(s, 1)[0] for s in SHARES} | {"healthy": HEALTHY}
    for name, folder in subjects.items():
        with setting.lab.subject(folder) as attached:
            own = setting.lab.measured(setting.lab.engine(), attached, ("moved", "lift"))
        recipe = Recipe(count=setting.scaled(120, 24), seed_base=6_000_000)
        file = setting.work / f"sequential-{folder.name}.json"
        pool = setting.lab.pool(file, folder, recipe, ("moved", "lift"))
        raw["power"][name] = {
            kind: _of_subject(
                own[probe].statistic(key) or 0.0,
                [draw[probe].statistic(key) or 0.0 for draw in pool],
                setting.lab.scale(probe),
                RULES[least],
            )
            for kind, (probe, key, least) in STATISTICS.items()
            if probe in ("moved", "lift")
        }
        say(f"sequential: {name} judged")
    return raw


def tables(raw: Figures) -> str:
    """Noise first, then power."""
    head = ("statistic", "pool", "bar", "fixed, all", "fixed, first alone", "as needed", "draws on average")
    rows = [
        (name, word, found["bar"], *(percent(*found[k]) for k in ("all", "first", "needed")), found["draws"])
        for word, statistics in raw["noise"].items()
        for name, found in statistics.items()
    ]
    power = [
        (subject, name, *(percent(found[k]) for k in ("all", "first", "needed")), found["draws"])
        for subject, statistics in raw["power"].items()
        for name, found in statistics.items()
    ]
    return "\n".join(
        [
            f"### Draws as they are needed: share of noise beyond the bar, {raw['pool']} nulls a pool\n",
            table(head, rows),
            "The same share of adapters of which s is what healthy learned (power)\n",
            table(("adapter", "statistic", *head[3:]), power),
        ]
    )


def _of_noise(values: Sequence[float], tried: Trials, scale: Any, rule: Rule) -> Figures:
    def z_after(count: int) -> Any:
        return -ndtri(p_values(values, Trials(tried.judged, tried.nulls[:, :count], tried.groups), scale))

    z = {n: z_after(n) for n in (*rule.looks, rule.total)}
    beyond = {n: some >= rule.least_z for n, some in z.items()}
    hits = beyond[rule.total].copy()
    draws, is_open = np.full(len(hits), rule.total), np.ones(len(hits), dtype=bool)
    for look in rule.looks:
        stops = is_open & ~_open(z[look], look, rule)
        hits[stops], draws[stops] = beyond[look][stops], look
        is_open &= ~stops
    shares = {
        "all": share(beyond[rule.total], tried),
        "first": share(beyond[rule.first], tried),
        "needed": share(hits, tried),
    }
    return {
        "bar": f"{rule.least_z:g}σ ({percent(float(ndtr(-rule.least_z)))})",
        "draws": f"{draws.mean():.1f}",
        **{name: _plain(found) for name, found in shares.items()},
    }


def _of_subject(value: float, nulls: Sequence[float], scale: Any, rule: Rule) -> Figures:
    """Shares over random sets of draws, by the product's own functions."""
    generator = np.random.default_rng(11)
    hits: dict[str, list[bool]] = {"all": [], "first": [], "needed": []}
    draws = []
    for _ in range(_SUBSETS):
        chosen = [nulls[i] for i in generator.permutation(len(nulls))[: rule.total]]
        found = {n: predict(value, chosen[:n], scale) for n in (*rule.looks, rule.total)}
        settled = (
            n
            for n, one in found.items()
            if NullCriterion(one, rule.least_z, two_sided=True).is_settled(rule.total)
        )
        draws.append(next(settled))
        for name, n in (("all", rule.total), ("first", rule.first), ("needed", draws[-1])):
            z = found[n].z
            hits[name].append(z is not None and z >= rule.least_z)
    return {**{name: sum(some) / len(some) for name, some in hits.items()}, "draws": f"{np.mean(draws):.1f}"}


def _open(z: Any, look: int, rule: Rule) -> Any:
    """Where further draws are measured; an effect's z far below 0 is as open as one above."""
    low, high = rule.open_between(look)
    between = (z > low) & (z < high)
    return between | ((-z > low) & (-z < high)) if rule.least_z == RULES[3.0].least_z else between


def _plain(found: Share) -> list[float]:
    return [found.value, found.low, found.high]
