"""calibration_drift: are the facts that the base could state still there?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, zip_longest
from statistics import fmean
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import AfterValidator, Field

from pytest_sway.data.packaged_texts import facts
from pytest_sway.probes.base import Judgement, NullSample, Probe, ProbeContext, ProbeOptions
from pytest_sway.probes.judging.no_harm import (
    LEAST_FOR_A_RATE,
    LEVEL,
    Harm,
    ItemSet,
    judge_no_harm,
    mean_harm,
    option_for_all,
)
from pytest_sway.probes.judging.thresholds import Finite, Margin, Rate, is_off, largest_loss
from pytest_sway.probes.shared.bad_cases import BadCase, bad_cases
from pytest_sway.probes.shared.questions import answer_completion, ask_both, is_question, policy_name
from pytest_sway.requests import Completion, View, Views
from pytest_sway.result import Claim, Measurement, Verdict
from pytest_sway.statistics.intervals import cluster_means, rate_interval

_WORST = 5
_KNOWN = 3.0
"""Nats per token: a gold that costs the base more is nothing that it knew, and cannot be forgotten."""


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("the text is blank; write a text or remove the item")
    return text


Given = Annotated[str, AfterValidator(_not_blank)]
"""A text that is not blank."""


class CalibrationDriftOptions(ProbeOptions):
    """Options of ``calibration_drift``; ``items`` are pairs of a prompt and its gold, instead of the pack."""

    quick_items: ClassVar = None
    profiles: ClassVar = {"quick": {"items_limit": 40}}

    pack: Literal["builtin"] = "builtin"
    items_limit: int | None = Field(default=None, ge=1)
    items: list[tuple[Given, Given]] = Field(default=[])
    assert_fraction_regressed_lt: Rate = 0.15
    assert_mean_delta_gte: Margin = -0.5
    regression_nats: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    assert_z_gte: Finite = 3.0

    def limited(self, limit: int) -> Self:
        """The first items, of the spec's own as of the packaged facts."""
        most = min(self.items_limit or limit, limit)
        return self.model_copy(update={"items": self.items[:limit], "items_limit": most})


class _Item(NamedTuple):
    """A prompt, its gold, and what it is about."""

    kind: str
    prompt: str
    gold: str


class CalibrationDrift(Probe[CalibrationDriftOptions]):
    """Change of the gold's log-probability on packaged facts, in nats per token.

    Per item Δ = (log p_tuned(gold) - log p_base(gold)) / tokens of the gold. No harm: the mean of -Δ (each
    kind of fact weighs the same, and the interval is over kinds) against -``assert_mean_delta_gte``, and from
    20 items on the share of items with Δ < -``regression_nats`` (exact interval) against
    ``assert_fraction_regressed_lt``. raw = that share, ft_value = the mean of Δ. ``items`` of your own are
    a kind each; one that ends with "?" is asked as the facts are, any other is continued as it stands.
    ``items_limit`` takes one fact of every kind, then a second one of every kind, and so on, kinds and facts
    in the order of the pack. No null: no harm has a margin, and an untouched model, which scores 1, could
    never beat random ones.
    """

    kind, category, claim, better = "calibration_drift", "calibration", Claim.NO_HARM, "lower"
    requires = frozenset({"completion"})

    async def measure(self, views: Views) -> Measurement:
        """Two completions per item."""
        items = _items(self.options)
        scores = await ask_both([_completion(item, views.base, self.context) for item in items], views)
        pairs = list(zip(*scores, strict=True))
        deltas = [(tuned.logprob - base.logprob) / base.tokens for base, tuned in pairs]
        kinds = cluster_means(deltas, [item.kind for item in items])
        regressed = sum(delta < -self.options.regression_nats for delta in deltas)
        known = sum(base.logprob >= -_KNOWN * base.tokens for base, _ in pairs)
        gained = math.fsum(tuned.logprob - base.logprob for base, tuned in pairs)
        return Measurement(
            raw=regressed / len(items),
            ft_value=fmean(kinds.values()),
            samples=tuple(deltas),
            items=tuple(item.prompt for item in items),
            series={"kinds": (tuple(kinds.values()),)},
            evidence={
                "fraction_regressed": regressed / len(items),
                "mean_delta_nats": fmean(kinds.values()),
                "delta_bits_per_char": gained / math.log(2) / sum(len(item.gold) for item in items),
                "regressed_count": regressed,
                "total_items": len(items),
                "known_to_base": known,
                "regression_nats_threshold": self.options.regression_nats,
                "worst_offenders": _worst_items(items, deltas),
                "per_kind": {} if self.options.items else kinds,
                "prompt_policy": policy_name(self.context),
            },
        )

    def judge(self, measured: Measurement, nulls: NullSample | None) -> Judgement:
        """The rule of no harm, on the mean and on the rate."""
        (kinds,) = measured.series["kinds"]
        harms = [
            mean_harm(
                "increase of the loss on facts in nats per token",
                [-value for value in kinds],
                largest_loss(self.options, "assert_mean_delta_gte"),
                self._set_of("items of your own" if self.options.items else "kinds of facts"),
            )
        ]
        count, hits = len(measured.samples), measured.evidence["regressed_count"]
        if count >= LEAST_FOR_A_RATE and not is_off(self.options, "assert_fraction_regressed_lt"):
            harms.append(_rate_harm(hits, count, self.options, self._set_of("items")))
        judged = judge_no_harm(
            harms,
            untouched=all(abs(delta) <= measured.resolution for delta in measured.samples),
            interval=rate_interval(hits, count),
        )
        interval = harms[0].interval
        bounds = {"mean_delta_ci_90": [-interval.high, -interval.low] if interval is not None else None}
        failed = judged.verdict is Verdict.FAIL
        return replace(
            judged,
            message=judged.message + _known_facts_note(measured.evidence["known_to_base"], count),
            evidence=bounds | (_regressed_cases(self.options, measured.samples) if failed else {}),
        )

    def _set_of(self, name: str) -> ItemSet:
        """The packaged facts, or their kinds; a spec may list as many items of its own as it likes."""
        if self.options.items:
            return ItemSet(name)
        size = len({fact.kind for fact in facts()}) if name == "kinds of facts" else len(facts())
        total = len(facts())
        read = self.options.items_limit or total
        return ItemSet(name, size, option_for_all("items_limit", read, total, self.context.limit))


def _items(options: CalibrationDriftOptions) -> list[_Item]:
    """What is scored, each once; a limit takes as many of every kind as of any other, as far as they go."""
    if options.items:
        pairs = dict.fromkeys(options.items)
        items = [_Item(f"item {n}", *pair) for n, pair in enumerate(pairs, start=1)]
    else:
        items = [_Item(fact.kind, fact.prompt, fact.gold) for fact in facts()]
    if options.items_limit is None:
        return items
    kinds: dict[str, list[_Item]] = {}
    for item in items:
        kinds.setdefault(item.kind, []).append(item)
    rounds = chain.from_iterable(zip_longest(*kinds.values()))
    return [item for item in rounds if item is not None][: options.items_limit]


def _completion(item: _Item, view: View, context: ProbeContext) -> Completion:
    if is_question(item.prompt):
        return answer_completion(item.prompt, item.gold, view, context)
    return Completion(item.prompt, item.gold, view)


def _rate_harm(hits: int, count: int, options: CalibrationDriftOptions, items: ItemSet) -> Harm:
    rate, name = hits / count, "items" if options.items else "facts"
    return Harm(
        f"share of {name} whose loss rose by more than {options.regression_nats:g} nats per token",
        rate,
        rate_interval(hits, count, LEVEL),
        options.assert_fraction_regressed_lt,
        math.sqrt(rate * (1 - rate)),
        items,
    )


def _known_facts_note(known: int, count: int) -> str:
    """Facts that the base never knew stay in: they blur harm, but decide no verdict on known adapters."""
    return f"; the base model itself knows only {known} of {count} items" if 2 * known < count else ""


def _worst_items(items: Sequence[_Item], deltas: Sequence[float]) -> list[dict[str, str | float]]:
    """The items that lost most, worst first; none that lost nothing."""
    lost = sorted((delta, item) for item, delta in zip(items, deltas, strict=True) if delta < 0)
    return [{"prompt": i.prompt, "gold": i.gold, "delta": d} for d, i in lost[:_WORST]]


def _regressed_cases(options: CalibrationDriftOptions, deltas: Sequence[float]) -> dict[str, Any]:
    """Every item that lost more than the threshold; where none did, every one that lost anything."""
    found = list(zip(_items(options), deltas, strict=True))
    least = -options.regression_nats if min(deltas) < -options.regression_nats else 0.0
    return bad_cases([BadCase(i.prompt, i.gold, -math.expm1(d)) for i, d in found if d < least])
