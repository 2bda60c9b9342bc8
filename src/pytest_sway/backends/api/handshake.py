"""What a server can do, found by asking: many answer with status 200 and ignore what they do not know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pytest_sway.backends.api.answers import ServedModel
from pytest_sway.backends.api.client import CompletionsClient, Dialect
from pytest_sway.backends.api.server_kinds import UNSUPPORTED, server_version, unsupported_server
from pytest_sway.backends.api.truth_checks import SAME_NATS, TrialText, score
from pytest_sway.backends.base import BackendError
from pytest_sway.requests import RequestError
from pytest_sway.text.message_parts import shorten_list
from pytest_sway.token_sequences import TokenSequence

_DIALECTS: tuple[Dialect, ...] = ("prompt_logprobs", "echo")
_MOST_VOCABULARY = 1 << 13
"""Tokens of a distribution that is asked for whole in any case. vLLM takes 5 µs to write each of them as
JSON, and a probe of ten prompts reads four thousand distributions."""
MOST_CHOSEN = 128
"""Tokens of a distribution that are compared where it is not given whole: vLLM names no more chosen ones. On
the adapters of known condition 64 decide as the whole vocabulary does (benchmarks/top_k_rules.py)."""
_TOTAL_ERROR = 1e-3
_TRIES = 3
"""Another run's adapters in the same batch may make one answer wrong."""
_FEWER = (20, 5)
"""What servers allow by default."""


@dataclass(frozen=True)
class ServerFacts:
    """What a handshake found.

    Attributes:
        engine: the server and its version.
        root: what it says that its base was loaded from.
        dialect: how it scores prompts.
        context: tokens of the longest text that it scores; None where it does not say.
        top: tokens that are asked for of a distribution; 0 where it names none by id.
        vocabulary: tokens that a whole distribution has; 0 where it is not given.
        names_chosen: whether it gives the log-probabilities of tokens that it is asked for.
        writes_ids: whether it says which tokens it wrote.
    """

    engine: str
    root: str
    dialect: Dialect
    context: int | None
    top: int
    vocabulary: int
    names_chosen: bool
    writes_ids: bool

    @property
    def is_whole(self) -> bool:
        """Whether it gives whole distributions."""
        return self.top == self.vocabulary > 0


def check_supported(client: CompletionsClient) -> None:
    """Raise BackendError for a server of a kind that cannot score prompts."""
    if unsupported := unsupported_server(client.session):
        raise BackendError(UNSUPPORTED[unsupported])


def shake_hands(client: CompletionsClient, model: str, trial: TrialText, most: int | None) -> ServerFacts:
    """Ask a server what it can do for a model.

    Args:
        client: asks it; its dialect is set.
        model: the name that requests use.
        trial: a text, as the tokenizer that prompts are encoded with reads it.
        most: tokens of a distribution where it is not given whole; None for as many as are worth it.

    Raises:
        BackendError: it cannot score prompts truthfully; the message says what it answers instead.
    """
    models = client.models()
    served = find_model(models, model, client.session.url)
    _check_tokenizer(client, model, trial)
    client.dialect = _find_dialect(client, model, trial)
    vocabulary = _find_vocabulary(client, model, trial)
    is_whole = 0 < vocabulary <= _MOST_VOCABULARY
    top = vocabulary if is_whole else _find_top(client, model, trial, min(most or MOST_CHOSEN, MOST_CHOSEN))
    length = served.max_model_len
    return ServerFacts(
        engine=server_version(client.session, models),
        root=served.root or served.id,
        dialect=client.dialect,
        context=length - (1 if is_whole else 2) if length else None,  # it reads or writes as many tokens more
        top=top,
        vocabulary=vocabulary,
        names_chosen=bool(top)
        and not is_whole
        and any(_names_chosen(client, model, trial, top) for _ in range(_TRIES)),
        writes_ids=_succeeds(lambda: client.greedy(model, trial.ids, 2)),
    )


def check_comparable(base: ServerFacts, tuned: ServerFacts) -> None:
    """Raise BackendError where the numbers of two servers cannot be compared."""
    if _distributions(base) != _distributions(tuned):
        raise BackendError(
            f"the base model's server returns the log-probabilities of {_tokens(base)} per position, but the "
            f"fine-tuned model's server returns those of {_tokens(tuned)}. Start both servers with the same "
            "--max-logprobs"
        )


def _distributions(facts: ServerFacts) -> tuple[int, int, bool]:
    return facts.top, facts.vocabulary, facts.names_chosen


def _tokens(facts: ServerFacts) -> str:
    return f"all {facts.vocabulary} tokens" if facts.is_whole else f"{facts.top} tokens"


def find_model(models: Sequence[ServedModel], name: str, url: str) -> ServedModel:
    """The entry of a name in a server's list.

    Raises:
        BackendError: it is not there.
    """
    found = next((model for model in models if model.id == name), None)
    if found is None:
        names = shorten_list([model.id for model in models]) if models else "no model"
        raise BackendError(
            f"the server at {url} does not serve {name!r}. It serves {names}; set base to one of its models"
        )
    return found


def _check_tokenizer(client: CompletionsClient, model: str, trial: TrialText) -> None:
    """Raise BackendError where the server's tokenizer gives other ids than ours."""
    theirs = client.tokenize(model, trial.text)
    if theirs is not None and tuple(theirs) != trial.ids:
        raise BackendError(
            f"the server's tokenizer for {model!r} gives different token ids than the local tokenizer. Set "
            "models.ft.tokenizer to this model's tokenizer (a folder or a Hub name)"
        )


def _find_dialect(client: CompletionsClient, model: str, trial: TrialText) -> Dialect:
    """The first of the ways to score a prompt to which the server has a sound answer."""
    reasons = []
    for dialect in _DIALECTS:
        client.dialect = dialect
        try:
            nats = score(client, model, trial)
        except RequestError as error:
            reasons.append(f"{dialect}: {error}")
            continue
        if np.unique(nats).size > 1:
            return dialect
        reasons.append(f"{dialect}: every token has the log-probability {nats[0]:g}")
    raise BackendError(
        f"the server does not return log-probabilities of prompt tokens for {model!r}, but every probe needs "
        f"them ({'; '.join(reasons)})"
    )


def _find_vocabulary(client: CompletionsClient, model: str, trial: TrialText) -> int:
    """How many tokens a distribution has that the server gives whole; 0 where it does not."""
    for count in (-1, trial.vocabulary):  # a router may know no negative number
        try:
            whole = client.top_logprobs(model, [trial.ids], count)[0]
        except RequestError:
            continue
        size, total = len(whole.ids), float(np.exp(whole.nats).sum())
        if abs(total - 1.0) < _TOTAL_ERROR and set(whole.ids.tolist()) == set(range(size)):
            return size
    return 0


def _find_top(client: CompletionsClient, model: str, trial: TrialText, most: int) -> int:
    """How many of the likeliest tokens the server names, ``most`` at most; 0 where it names none by id."""
    text = TokenSequence(trial.ids, len(trial.ids) - 1)
    for count in dict.fromkeys([most, *(min(one, most) for one in _FEWER)]):
        try:
            return min(count, len(client.likeliest_in(model, text, count)[0].ids))
        except RequestError:
            continue
    return 0


def _names_chosen(client: CompletionsClient, model: str, trial: TrialText, count: int) -> bool:
    """Whether chosen tokens have the log-probabilities that they have among the likeliest ones."""
    text = TokenSequence(trial.ids, len(trial.ids) - 1)
    likeliest = client.likeliest_in(model, text, count)[0]
    try:
        found = client.chosen_logprobs(model, trial.ids, likeliest.ids.tolist())
    except RequestError:
        return False
    return bool(np.abs(found - likeliest.nats).max() < SAME_NATS)


def _succeeds(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except RequestError:
        return False
    return True
