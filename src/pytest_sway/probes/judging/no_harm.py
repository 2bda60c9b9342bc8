"""The rule of non-inferiority: is what the base could do still there? A pure function of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from pytest_sway.probes.base import Judgement
from pytest_sway.probes.judging.effect import cap_score, worst_verdict
from pytest_sway.result import Verdict
from pytest_sway.statistics.intervals import Interval, t_interval

LEVEL = 0.90
"""A two-sided interval at this level ends at the one-sided 95 % bounds."""
LEAST_FOR_A_RATE = 20
"""Fewer items than this give no rate that could decide."""
UNDECIDED_SCORE = 0.5
_MOST_ITEMS = 100_000


@dataclass(frozen=True)
class ItemSet:
    """What a harm was measured on, and how much of it there is.

    Attributes:
        name: of the items, in the plural.
        size: how many there are to be had; None where a spec may list as many as it likes.
        option: the option, with its value, that measures all of them; empty where all were.
    """

    name: str = "items"
    size: int | None = None
    option: str = ""


@dataclass(frozen=True)
class Harm:
    """One number that must stay within its margin.

    Attributes:
        what: the number in words, with its unit.
        value: how much worse than the base; negative where it is better.
        interval: of ``value``, at the level :data:`LEVEL`; None where too few items give one.
        margin: how much worse is still no harm; below 0 it must be better, inf is not judged.
        sd: standard deviation of the items behind it.
        items: what those items are, where it is said how many would decide.
    """

    what: str
    value: float
    interval: Interval | None
    margin: float
    sd: float
    items: ItemSet = ItemSet()


def option_for_all(name: str, value: int, total: int, limit: int | None) -> str:
    """The option that measures all items; empty where all are measured, or where a limit leaves some out."""
    return f"{name}: {total}" if value < total and limit is None else ""


def mean_harm(what: str, values: Sequence[float], margin: float, items: ItemSet | None = None) -> Harm:
    """A harm that is the mean of independent signed values: items, or the means of their clusters.

    Its interval is Student's t. The other arguments are those of :class:`Harm`.
    """
    sd = stdev(values) if len(values) > 1 else 0.0
    return Harm(what, fmean(values), t_interval(values, LEVEL), margin, sd, items or ItemSet())


def judge_no_harm(
    harms: Sequence[Harm], *, untouched: bool = False, interval: Interval | None = None
) -> Judgement:
    """Within every margin, surely?

    Pass: the upper end of each harm's interval is within its margin, or nothing changed at all. Fail: the
    lower end of one lies beyond it. Warn: undecided, with the number of items that would decide it,
    n ≈ 2 + (1.8·sd / |margin - harm|)², and how many there are. (Non-inferiority by the inclusion of a
    confidence interval; Schuirmann 1987.) Score: margin / (margin + harm) of the worst, 0.5 at the margin
    and where it is undecided; where a gain g is asked for (a margin of -g), gain / (gain + g). Where every
    margin is infinite, nothing is judged: pass, without a score.

    Args:
        harms: at least one; the first leads the message.
        untouched: whether no item changed beyond what the arithmetic can show.
        interval: the headline's 95 % interval, for the report.
    """
    harms = [harm for harm in harms if harm.margin < math.inf]
    if not harms:
        return Judgement(
            Verdict.PASS, "not judged: all margins of this probe are switched off", None, interval
        )
    if untouched and all(harm.margin >= 0 for harm in harms):
        return Judgement(
            Verdict.PASS, "no harm: nothing changed by more than the rounding error", 1.0, interval
        )
    verdicts = [_verdict(harm) for harm in harms]
    verdict = worst_verdict(verdicts)
    leading = harms[verdicts.index(verdict)]
    score = no_harm_score(min(_score(harm) for harm in harms), verdict)
    return Judgement(verdict, _message(leading, verdict), score, interval)


def no_harm_score(score: float, verdict: Verdict) -> float:
    """The score under its verdict: 0.5 where the interval holds the margin, since harm is not shown then."""
    return UNDECIDED_SCORE if verdict is Verdict.WARN else cap_score(score, verdict)


def _verdict(harm: Harm) -> Verdict:
    if harm.interval is None:
        return Verdict.WARN
    if harm.interval.high <= harm.margin:
        return Verdict.PASS
    return Verdict.FAIL if harm.interval.low > harm.margin else Verdict.WARN


def _score(harm: Harm) -> float:
    worse = max(0.0, harm.value)
    if harm.margin < 0:
        gain = max(0.0, -harm.value)
        return gain / (gain - harm.margin)
    return harm.margin / (harm.margin + worse) if harm.margin + worse > 0 else 1.0


def _message(harm: Harm, verdict: Verdict) -> str:
    size, allowed = (
        f"{harm.what} = {harm.value:+.3g}",
        f"at most {harm.margin:g} {'allowed' if harm.margin >= 0 else 'required'}",
    )
    if harm.interval is None:
        return f"undecided: {size} ({allowed}); one item is not enough to decide, add items"
    if verdict is Verdict.PASS:
        passed = "no harm" if harm.margin >= 0 else "enough gained"
        return f"{passed}: {size} ({allowed}; with 95 % confidence it is at most {harm.interval.high:+.3g})"
    if verdict is Verdict.FAIL:
        failed = "harm" if harm.margin >= 0 else "too little gained"
        return f"{failed}: {size} ({allowed}; with 95 % confidence it is at least {harm.interval.low:+.3g})"
    bounds = f"90 % interval [{harm.interval.low:.3g}, {harm.interval.high:.3g}]"
    return f"undecided: {size} ({allowed}, {bounds}); {_items_needed(harm)}"


def _items_needed(harm: Harm) -> str:
    gap = abs(harm.margin - harm.value)
    items = 2 + (1.8 * harm.sd / gap) ** 2 if gap > 0 else math.inf
    if items > _MOST_ITEMS:
        return "the value is at the limit, so more items would not help"
    needed, there, name = math.ceil(items), harm.items.size, harm.items.name
    if there is None:
        return f"about {needed} {name} would be enough to decide"
    rest = f"; to measure all of them, set {harm.items.option}" if harm.items.option else ""
    if items > there:
        return f"about {needed} {name} would be enough to decide, but there are only {there}{rest}"
    return f"about {needed} of the {there} {name} would be enough to decide{rest}"
