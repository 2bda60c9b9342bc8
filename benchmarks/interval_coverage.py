"""How often our intervals hold the true value, beside the bootstraps that are usually taken for them.

``python benchmarks/interval_coverage.py [--samples 20000] [--out FILE.json]`` prints one Markdown
table and writes it, with every figure, to FILE.json. Seeds are fixed: the same numbers every time.

Each row draws samples of n from a population whose mean (rate, ratio of means) is known, and counts the
95 % intervals that hold it; ± is two standard errors of that count. Rates are computed instead, from the
binomial probabilities. An interval that our code declines to give (Fieller's, where no ratio can be excluded)
is left out of the count and its share stands in the row.

scipy's percentile and BCa bootstrap of the same estimate, with 1,000 resamples, see fewer samples
(``--bootstrap-samples``, 2,000), so theirs is ± 1 to 2 points. Clusters are resampled whole; an interval that
scipy cannot give (all items alike) does not hold the true value.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from pytest_sway.statistics.intervals import (
    Interval,
    clustered_interval,
    positive_interval,
    rate_interval,
    t_interval,
)
from pytest_sway.statistics.ratio_intervals import fieller_interval

Array = np.ndarray
SIZES = (4, 8, 12, 20, 50)
ITEMS, SHARED = 5, 0.4
"""Items per cluster, and the correlation of two items of one cluster."""
RESAMPLES, CHUNK = 1000, 100
FEWEST = 100
"""Samples: with fewer, a row may have no interval to count."""
MEAN = (0.93, 0.97)
RATE = (0.95, 1.0)
SKEWED = (0.89, 1.0)
NONE = (0.0, 1.0)


@dataclass(frozen=True)
class Case:
    """One row: a population, the sample's size, our interval and what it has to reach.

    Attributes:
        draw: samples, ``[many, n, …]``.
        ours: the interval of one sample.
        estimate: what is bootstrapped: columns of items and an axis to the estimate.
        bar: lowest and highest coverage that is good enough.
        exact: our coverage where it can be computed.
    """

    kind: str
    distribution: str
    n: int
    true_value: float
    draw: Callable[[np.random.Generator, int], Array]
    ours: Callable[[Array], Interval | None]
    estimate: Callable[..., Array] = np.mean
    bar: tuple[float, float] = NONE
    exact: float | None = None


@dataclass(frozen=True)
class Found:
    """A row's figures, as shares; ``error`` is two standard errors, 0 where computed."""

    kind: str
    distribution: str
    n: int
    coverage: float
    error: float
    declined: float
    bar: tuple[float, float]
    percentile: float | None
    bca: float | None


def main(arguments: list[str] | None = None) -> int:
    """Measure every row; 0 whatever the bars say."""
    parser = argparse.ArgumentParser(prog="interval_coverage.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=_count, default=20_000, metavar="N", help="for ours (20000)")
    parser.add_argument(
        "--bootstrap-samples", type=_count, default=2000, metavar="N", help="for the bootstraps (2000)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="table and figures")
    options = parser.parse_args(arguments)
    if options.out is not None and not options.out.absolute().parent.is_dir():
        parser.error(f"--out {options.out}: there is no folder {options.out.absolute().parent}")
    found = [measure(case, options.samples, options.bootstrap_samples) for case in cases()]
    table = markdown(found, options.bootstrap_samples)
    sys.stdout.write(table)
    if options.out is not None:
        report = {"samples": options.samples, "bootstrap_samples": options.bootstrap_samples, "table": table}
        rows = [asdict(row) for row in found]
        options.out.write_text(json.dumps({**report, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    return 0


def measure(case: Case, samples: int, bootstrap_samples: int) -> Found:
    """Count the intervals that hold the true value; the seed is the row's name."""
    rng = np.random.default_rng([*f"{case.kind} {case.distribution} {case.n}".encode()])
    coverage, error, declined = case.exact, 0.0, 0.0
    if coverage is None:
        given = [case.ours(sample) for sample in case.draw(rng, samples)]
        held = [i.low <= case.true_value <= i.high for i in given if i is not None]
        coverage, declined = float(np.mean(held)), 1 - len(held) / samples
        error = 2 * float(np.sqrt(coverage * (1 - coverage) / len(held)))
    percentile, bca = bootstrap_coverage(case, case.draw(rng, bootstrap_samples), rng)
    return Found(case.kind, case.distribution, case.n, coverage, error, declined, case.bar, percentile, bca)


def bootstrap_coverage(case: Case, samples: Array, rng: np.random.Generator) -> tuple[float, float]:
    """Coverage of the percentile and the BCa bootstrap."""
    held = np.zeros(2)
    for start in range(0, len(samples), CHUNK):
        part = samples[start : start + CHUNK]
        columns = tuple(np.moveaxis(part, -1, 0)) if part.ndim > 2 else (part,)
        done = None
        for place, method in enumerate(("percentile", "BCa")):
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore", stats.DegenerateDataWarning)
                done = stats.bootstrap(
                    columns,
                    case.estimate,
                    paired=True,
                    axis=-1,
                    n_resamples=0 if done else RESAMPLES,
                    method=method,
                    bootstrap_result=done,
                    rng=rng,
                )
            low, high = done.confidence_interval
            held[place] += np.sum((low <= case.true_value) & (case.true_value <= high))
    percentile, bca = held / len(samples)
    return float(percentile), float(bca)


def cases() -> Iterator[Case]:
    """The table's rows, in order."""
    yield from _signed()
    for groups in (4, 8, 20):
        yield _clustered(groups)
    for n in (5, 10, 20, 50):
        for rate in (0.05, 0.3, 0.9):
            yield _rate(n, rate)
    for n in (5, 8, 20):
        for errors in (10, 4, 2):
            yield _ratio(n, errors)
    yield from _skewed()


def _signed() -> Iterator[Case]:
    shapes = {
        "normal": lambda rng, size: rng.normal(0.3, 1, size),
        "Laplace": lambda rng, size: rng.laplace(0.3, 1, size),
        "Student's t, 5 df": lambda rng, size: 0.3 + rng.standard_t(5, size),
        "gamma, skewness 1": lambda rng, size: rng.gamma(4, 0.5, size) - 1.7,
        "exponential, skewness 2": lambda rng, size: rng.exponential(1, size) - 0.7,
    }
    for name, shape in shapes.items():
        for n in SIZES:
            yield Case("signed", name, n, 0.3, _items(shape, n), t_interval, bar=MEAN)


def _clustered(groups: int) -> Case:
    label = np.repeat(np.arange(groups), ITEMS).tolist()

    def draw(rng: np.random.Generator, many: int) -> Array:
        own = rng.normal(0, np.sqrt(1 - SHARED), (many, groups, ITEMS))
        return np.asarray(0.3 + own + rng.normal(0, np.sqrt(SHARED), (many, groups, 1)))

    def interval(sample: Array) -> Interval | None:
        return clustered_interval(sample.ravel().tolist(), label)

    def estimate(*columns: Array, axis: int = -1) -> Array:
        return np.asarray(np.mean(columns, axis=0).mean(axis=axis))

    name = f"normal, {ITEMS} items a cluster, correlation {SHARED}; n clusters"
    return Case("clustered", name, groups, 0.3, draw, interval, estimate, MEAN)


def _rate(n: int, rate: float) -> Case:
    intervals = [rate_interval(hits, n) for hits in range(n + 1)]
    held = [i is not None and i.low <= rate <= i.high for i in intervals]
    exact = float(stats.binom.pmf(np.arange(n + 1), n, rate) @ held)

    def draw(rng: np.random.Generator, many: int) -> Array:
        return (rng.random((many, n)) < rate).astype(float)

    name = f"p = {rate}; computed"
    return Case("rate", name, n, rate, draw, lambda x: intervals[int(x.sum())], bar=RATE, exact=exact)


def _ratio(n: int, errors: int) -> Case:
    """Normal pairs, the contrast w - ρ·v of correlation -0.5 with v; v's mean is so many standard errors."""
    centre = errors / np.sqrt(n)
    true_value = 0.8

    def draw(rng: np.random.Generator, many: int) -> Array:
        pairs = rng.multivariate_normal([true_value * centre, centre], [[1, 0.2], [0.2, 1]], (many, n))
        return np.asarray(pairs)

    def interval(sample: Array) -> Interval | None:
        return fieller_interval(sample[:, 0], sample[:, 1])

    def estimate(w: Array, v: Array, axis: int = -1) -> Array:
        return np.asarray(w.mean(axis=axis) / v.mean(axis=axis))

    name = f"normal pairs, denominator {errors} standard errors from 0"
    return Case("ratio", name, n, true_value, draw, interval, estimate, MEAN)


def _skewed() -> Iterator[Case]:
    for spread in (0.5, 1.0, 1.5):
        for n in SIZES:
            true_value = float(np.exp(spread**2 / 2))
            draw = _items(lambda rng, size, s=spread: rng.lognormal(0, s, size), n)
            bar = SKEWED if n >= 8 and spread <= 1 else NONE
            yield Case(
                "skewed", f"log-normal, log-sd {spread}", n, true_value, draw, positive_interval, bar=bar
            )
    for n in SIZES:
        draw = _items(lambda rng, size: rng.exponential(1, size), n)
        yield Case("skewed", "exponential", n, 1.0, draw, positive_interval, bar=SKEWED if n >= 8 else NONE)


def _items(
    shape: Callable[[np.random.Generator, tuple[int, int]], Array], n: int
) -> Callable[[np.random.Generator, int], Array]:
    return lambda rng, many: shape(rng, (many, n))


def markdown(rows: list[Found], bootstrap_samples: int) -> str:
    """The rows as one Markdown table."""
    heads = ["sample", "distribution", "n", "ours", "bar", "verdict"]
    heads += [f"percentile ({bootstrap_samples:,})", f"BCa ({bootstrap_samples:,})"]
    lines = [heads, ["---"] * len(heads), *map(_cells, rows)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _cells(row: Found) -> list[str]:
    low, high = row.bar
    bar = "—" if row.bar == NONE else f"≥ {low:.0%}" if high == 1 else f"{low:.0%} to {high:.0%}"
    verdict = "—" if row.bar == NONE else "met" if low <= row.coverage <= high else "**missed**"
    ours = f"{row.coverage:.1%}" + (f" ± {100 * row.error:.1f}" if row.error else "")
    declined = f"; none in {row.declined:.1%}" if row.kind == "ratio" else ""
    bootstraps = [f"{row.percentile:.1%}", f"{row.bca:.1%}"]
    return [row.kind, row.distribution + declined, str(row.n), ours, bar, verdict, *bootstraps]


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < FEWEST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {FEWEST} on")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
