"""The benchmark's arithmetic, and the rows and bars of its table. Standard library only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

from inputs import Tokens

GB = 1e9


@dataclass(frozen=True)
class Criterion:
    """What a measured value must reach.

    Attributes:
        text: as the table shows it.
        holds: whether a value reaches it.
    """

    text: str
    holds: Callable[[float], bool]

    def verdict(self, value: float | None) -> str:
        """``met`` or ``missed``; a dash where there is no value."""
        if value is None:
            return "—"
        return "met" if self.holds(value) else "**missed**"


def at_least(bound: float, text: str) -> Criterion:
    """A bar from below."""
    return Criterion(text, lambda value: value >= bound)


def at_most(bound: float, text: str) -> Criterion:
    """A bar from above."""
    return Criterion(text, lambda value: value <= bound)


def below(bound: float, text: str) -> Criterion:
    """A bar from above that must not be touched."""
    return Criterion(text, lambda value: value < bound)


@dataclass(frozen=True)
class TableRow:
    """One line of the table; an empty cell is shown as a dash.

    Attributes:
        scenario: as the table shows it; empty where it is the line above's.
        what: the figure, and its unit.
        ours: of pytest-sway.
        dlm_sway: of dlm-sway.
        floor: of the machine at its best.
        compared: a ratio, or what else compares them.
        bar: what ``value`` must reach; None for a figure that must reach nothing.
        value: what the bar judges; None where it was not measured.
    """

    scenario: str
    what: str
    ours: str = ""
    dlm_sway: str = ""
    floor: str = ""
    compared: str = ""
    bar: Criterion | None = None
    value: float | None = None

    @property
    def verdict(self) -> str:
        """``met`` or ``missed``; a dash where nothing is judged, and no text without a bar."""
        return "" if self.bar is None else self.bar.verdict(self.value)


HEAD = ("scenario", "figure", "ours", "dlm-sway 0.1.0", "floor", "comparison", "bar", "verdict")


def markdown(rows: Iterable[TableRow]) -> str:
    """The rows as one Markdown table."""
    lines = [_line(HEAD), "| --- | --- | --- | --- | --- | --- | --- | --- |", *map(_line, map(_cells, rows))]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Roofline:
    """Seconds of the parts of a forward at the machine's best; see ``roofline.py``.

    Attributes:
        token_s: of the layers' matrix products, per token.
        position_s: of the product with the vocabulary, per position.
        pair_s: of attention, per pair of a token and one that it sees.
        adapter_share: parameters of an adapter ÷ those of the layers.
    """

    token_s: float
    position_s: float
    pair_s: float
    adapter_share: float

    def seconds(self, work: Tokens, base_views: int, adapted_views: int) -> float:
        """The floor of ``work`` under so many views without and with an adapter."""
        tokens = work.shared * (base_views + adapted_views * (1 + self.adapter_share))
        views = base_views + adapted_views
        return tokens * self.token_s + views * (work.scored * self.position_s + work.pairs * self.pair_s)


def roofline_of(measured: Sequence[dict[str, Any]], model: dict[str, Any]) -> Roofline:
    """The best of what was measured before and after."""
    best = {key: min(float(one[key]) for one in measured) for key in ("token_s", "position_s", "pair_s")}
    adapter = model["adapter_bytes"] / 4  # fp32
    layers = model["parameters"] - model["head_parameters"]  # of tied embeddings
    return Roofline(**best, adapter_share=adapter / layers)


def was_quiet(flops: Sequence[float]) -> bool:
    """Whether the machine's speed before and after differs by no more than a tenth."""
    return min(flops) >= 0.9 * max(flops)


def fastest(results: Sequence[dict[str, Any]], key: str = "seconds") -> float | None:
    """The best of the repetitions; None where there is none."""
    return min((float(result[key]) for result in results), default=None)


def largest(results: Sequence[dict[str, Any]], key: str) -> float | None:
    """The worst of the repetitions; None where there is none."""
    return max((float(result[key]) for result in results), default=None)


def ratio(over: float | None, under: float | None) -> float | None:
    """A quotient; None where a side is missing."""
    return None if over is None or not under else over / under


def largest_difference(left: Sequence[float], right: Sequence[float]) -> float | None:
    """Largest absolute difference of two equally long series; None where one is missing."""
    if not left or not right:
        return None
    return max(abs(a - b) for a, b in zip(left, right, strict=True))


def paired(left: Sequence[float], right: Sequence[float]) -> tuple[float, float, float]:
    """Median, lower and upper quartile of the pairs' differences."""
    differences = [a - b for a, b in zip(left, right, strict=True)]
    if len(differences) == 1:
        return (differences[0],) * 3
    low, _, high = quantiles(differences, n=4, method="inclusive")
    return median(differences), low, high


def formatted(value: float | None, form: str = "{:.2f}") -> str:
    """A number in a cell; nothing where there is none."""
    return "" if value is None else form.format(value)


def _cells(row: TableRow) -> tuple[str, ...]:
    bar = row.bar.text if row.bar else ""
    return row.scenario, row.what, row.ours, row.dlm_sway, row.floor, row.compared, bar, row.verdict


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join((cell or "—").replace("|", "\\|") for cell in cells) + " |"
