"""Checks that a served model's numbers are its own: two ways to one number, and the same among others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from pytest_sway.backends.api.client import CompletionsClient
from pytest_sway.backends.api.http_session import ServerLostError
from pytest_sway.backends.base import BackendError
from pytest_sway.token_sequences import ForcedCompletion

SAME_NATS = 0.05
"""How far two ways to one log-probability may be apart: bf16 moves them by less, a wrong adapter by more."""
_CROWD = 8


@dataclass(frozen=True)
class TrialText:
    """A fixed text, its token ids without special tokens, and how it is scored: all but its first token."""

    text: str
    ids: tuple[int, ...]
    vocabulary: int
    """Of the tokenizer; a model may have more."""

    @property
    def forced(self) -> ForcedCompletion:
        """Every token behind the first one."""
        return ForcedCompletion(self.ids[:1], self.ids[1:])


def score(client: CompletionsClient, model: str, trial: TrialText) -> np.ndarray:
    """Log-probabilities of a fixed text, nats, ``[tokens − 1]``."""
    (nats,) = client.target_logprobs(model, [trial.forced])
    return np.array(nats)


def check_greedy(client: CompletionsClient, model: str, trial: TrialText, label: str) -> None:
    """Raise BackendError unless the likeliest next token has one log-probability, written and forced.

    A server that leaves an adapter's part out of one of the two, or gives log-probabilities after its
    sampling, differs.
    """
    likeliest = client.top_logprobs(model, [trial.ids], 1)[0]
    written = float(likeliest.nats[0])
    (forced,) = client.target_logprobs(model, [ForcedCompletion(trial.ids, (int(likeliest.ids[0]),))])
    if abs(written - forced[0]) > SAME_NATS:
        raise BackendError(
            f"the server's log-probabilities for {label} are inconsistent: the same token has {written:.3f} "
            f"when it is generated and {forced[0]:.3f} when it is part of the prompt. Either the server "
            "omits a part of the model in one of the two cases, or it returns log-probabilities after "
            "sampling (for vLLM, set --logprobs-mode raw_logprobs)"
        )


def _side_by_side(client: CompletionsClient, names: Sequence[str], trial: TrialText) -> list[np.ndarray]:
    """The scores of a text under each name, all asked at once; what stops that ends every request."""
    pool = ThreadPoolExecutor(len(names))
    try:
        return list(pool.map(lambda name: score(client, name, trial), names))
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        client.session.interrupt()
        raise
    finally:
        pool.shutdown()


def crowded_noise(client: CompletionsClient, expected: Mapping[str, np.ndarray], trial: TrialText) -> float:
    """How far a fixed text's log-probabilities move where models are asked side by side, in nats.

    Args:
        client: asks the server.
        expected: of each served model, what it answered when it was asked alone.
        trial: the text.

    Raises:
        BackendError: a model answers something else among others.
    """
    asked = [name for _ in range(_CROWD) for name in expected]
    try:
        rows = _side_by_side(client, asked, trial)
    except ServerLostError as error:
        raise BackendError(
            f"the server failed on concurrent requests: {error}. Either it was stopped, or it is vLLM on a "
            "CPU, which crashes without --lora-target-modules. In the second case, start vLLM with the "
            "adapter's modules in --lora-target-modules"
        ) from error
    moved = [(float(np.abs(row - expected[name]).max()), name) for row, name in zip(rows, asked, strict=True)]
    worst, name = max(moved)
    if worst > SAME_NATS:
        raise BackendError(
            f"the log-probabilities of {name!r} change by up to {worst:.3g} nats when several models are "
            "requested concurrently: the server mixes up the models"
        )
    return worst
