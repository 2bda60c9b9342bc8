"""The texts that a request needs scored, and the answer that is made of their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pytest_sway.backends.base import TokenizingBackend
from pytest_sway.requests import (
    Completion,
    CompletionScore,
    Divergence,
    Request,
    RequestError,
    View,
)
from pytest_sway.statistics.divergences import divergence_sum
from pytest_sway.statistics.log_odds import log_odds
from pytest_sway.token_sequences import TokenSequence


class ScoreSum(NamedTuple):
    """Sums over scored positions: of log-probabilities or divergences in nats, and of tokens' log-odds."""

    nats: float = 0.0
    log_odds: float = 0.0

    def plus(self, more: ScoreSum) -> ScoreSum:
        """Of both."""
        return ScoreSum(self.nats + more.nats, self.log_odds + more.log_odds)


@dataclass(frozen=True, eq=False)
class Job:
    """A request and one text that it needs scored (a long rolling text has a job per window).

    ``targets`` are the tokens of a completion that follow the scored positions; a divergence has none.
    """

    request: Request[Any]
    text: TokenSequence
    targets: tuple[int, ...] = ()

    @property
    def held(self) -> int:
        """Positions whose distributions wait for another view's."""
        return self.text.positions if len(set(self.request.views)) > 1 else 0

    def sum(self, xp: Any, start: int, sides: Mapping[View, Any]) -> ScoreSum:
        """Sums over the positions from ``start`` on that ``sides`` holds, ``[n, vocabulary]``."""
        if isinstance(self.request, Divergence):
            p, q = sides[self.request.p], sides[self.request.q]
            return ScoreSum(divergence_sum(xp, self.request.kind, p, q))
        (scored,) = sides.values()
        targets = self.targets[start : start + len(scored)]
        log_probabilities = scored[list(range(len(targets))), list(targets)]
        return ScoreSum(float(log_probabilities.sum()), log_odds(log_probabilities.tolist()))


def jobs_of(request: Request[Any], backend: TokenizingBackend) -> list[Job]:
    """What a request needs scored.

    Raises:
        RequestError: it cannot be tokenised, or is longer than the model's context.
    """
    if isinstance(request, Divergence):
        prompt = backend.encode(request.prompt)
        text = TokenSequence((*prompt, *request.continuation), len(prompt) - 1)
        check_length(len(text.ids), backend.context)
        return [Job(request, text)]
    if isinstance(request, Completion):
        ids, first = backend.encode_pair(request.prompt, request.completion)
        context = backend.context
        if request.prompt == "" and context is not None and len(ids) - 1 > context:
            return _windows(request, ids, first, context, backend.leading)
        check_length(len(ids) - 1, context)
        return [Job(request, TokenSequence(tuple(ids[:-1]), first - 1), tuple(ids[first:]))]
    raise RequestError(f"this backend does not support requests of type {type(request).__name__}")


def answer_of(
    request: Request[Any], jobs: Sequence[Job], sums: Mapping[Job, ScoreSum | RequestError]
) -> float | CompletionScore | RequestError:
    """A request's answer from the sums of all its jobs."""
    total = ScoreSum()
    for job in jobs:
        part = sums[job]
        if isinstance(part, RequestError):
            return part
        total = total.plus(part)
    if isinstance(request, Divergence):
        return total.nats / sum(job.text.positions for job in jobs)
    return CompletionScore(total.nats, sum(len(job.targets) for job in jobs), total.log_odds)


def check_length(tokens: int, context: int | None) -> None:
    """Raise RequestError where a text is longer than the model can read."""
    if context is not None and tokens > context:
        raise RequestError(
            f"{tokens} tokens exceed the model's context of {context} tokens; "
            "shorten the prompt, or ask for fewer new tokens or fewer turns"
        )


def _windows(
    request: Completion, ids: Sequence[int], first: int, context: int, leading: tuple[int, ...]
) -> list[Job]:
    """A rolling text in overlapping windows; each token is scored once.

    Every window is as long as the context, and begins as a text does (some models are lost without their
    beginning-of-text token) and about half a context after the one before it; the last ends with the text.
    So a token is scored after at least about half a context of its own text.
    """
    read = len(ids) - 1
    width = context - len(leading)
    jobs: list[Job] = []
    scored, end = first - 1, context
    while scored < read:
        end = min(end, read)
        begin = max(0, end - width) if jobs else 0
        before = leading if jobs else ()
        text = TokenSequence((*before, *ids[begin:end]), len(before) + scored - begin)
        jobs.append(Job(request, text, tuple(ids[scored + 1 : end + 1])))
        scored, end = end, end + max(1, width // 2)
    return jobs
