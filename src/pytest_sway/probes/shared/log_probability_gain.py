"""How much likelier the adapter made a text: the same completions under the base and the adapter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_sway.probes.shared.questions import ask_both
from pytest_sway.probes.shared.segments import in_context
from pytest_sway.requests import Completion, CompletionScore, RequestError, Views
from pytest_sway.statistics.log_odds import log_odds

WIDEST, NARROWEST = 2000, 250
"""Prose is read in stretches of at most so many characters; fewer where they exceed a small context."""


@dataclass(frozen=True)
class ScoredAnswer:
    """One completion's log-probability, in nats, under both views.

    ``log_odds_gain``: what the adapter added to the sum of its tokens' log-odds.
    """

    base: float
    tuned: float
    tokens: int
    log_odds_gain: float

    @property
    def log_probability_gain(self) -> float:
        """What the adapter added to the log-probability, in nats."""
        return self.tuned - self.base

    @property
    def gain_per_token(self) -> float:
        """The gain in nats per token."""
        return self.log_probability_gain / self.tokens

    @property
    def log_odds_gain_per_token(self) -> float:
        """The gain of log-odds per token."""
        return self.log_odds_gain / self.tokens


async def score_answers(groups: Sequence[Sequence[Completion]], views: Views) -> list[list[ScoredAnswer]]:
    """Groups of completions under ``views.base`` and ``views.tuned``, whichever view they name.

    Raises:
        RequestError: one of them cannot be scored.
    """
    asked = [one for group in groups for one in group]
    answers = zip(*await ask_both(asked, views), strict=True)
    flat = (
        ScoredAnswer(base.logprob, tuned.logprob, base.tokens, _odds(tuned) - _odds(base))
        for base, tuned in answers
    )
    return [[next(flat) for _ in group] for group in groups]


def _odds(score: CompletionScore) -> float:
    """Its tokens' log-odds; of a backend that does not say, as if all tokens were as likely as their mean."""
    if score.log_odds is not None:
        return score.log_odds
    return score.tokens * log_odds([score.logprob / score.tokens])


async def score_groups_apart(
    groups: Sequence[Sequence[Completion]], views: Views
) -> list[list[ScoredAnswer] | RequestError]:
    """As :func:`score_answers`; a group that cannot be scored has its error in its place.

    A round ends at its first error, so a failing one is halved until the culprit stands alone; what its
    halves ask again is answered from the cache.
    """
    try:
        return [*await score_answers(groups, views)]
    except RequestError as error:
        if len(groups) == 1:
            return [error]
    middle = len(groups) // 2
    return [
        *await score_groups_apart(groups[:middle], views),
        *await score_groups_apart(groups[middle:], views),
    ]


async def score_texts(texts: Sequence[Sequence[str]], views: Views) -> list[list[ScoredAnswer]]:
    """The pieces of each text, each scored after what stands before it in its stretch.

    A text's gains thus add up to that of its rolling log-probability.

    Raises:
        RequestError: a piece cannot be scored even in the narrowest stretch.
    """
    width = WIDEST
    while True:
        stretches = [in_context(pieces, width) for pieces in texts]
        try:
            return await score_answers(
                [[Completion(*part, views.base) for part in s] for s in stretches], views
            )
        except RequestError:
            width //= 2
            if width < NARROWEST:
                raise


def shortfall(effect: float, floor: float) -> float:
    """How surely an effect is too small, in [0, 1]: floor / (floor + effect), 0.5 at the floor."""
    return max(0.0, floor) / (max(0.0, floor) + effect) if effect > 0 else 1.0
