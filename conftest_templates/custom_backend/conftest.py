"""A model that you ask yourself: the fixture sway_backend comes before the hook and the spec's own kind."""

import pytest

from pytest_sway import (
    AnsweringBackend,
    BackendError,
    Completion,
    CompletionScore,
    Generate,
    Generation,
    RequestError,
    Subject,
    View,
)


def score(prompt, completion, tuned):
    """Log-probability of the completion after the prompt, in nats, and its number of tokens."""
    tokens = len(completion.split())
    liking = 1.0 if tuned and "please" in completion else 0.0
    return liking - 2.0 * tokens, tokens  # CHANGE: ask your model; tuned says which side


def write(prompt, most, tuned):
    """The greedy continuation of the prompt and the ids of its tokens, at most so many."""
    return "Thank you.", (1, 2, 3)[:most]  # CHANGE: ask your model; tuned says which side


class MyBackend(AnsweringBackend):
    """Answers whole requests; where it answers with an error, the probe that asked is one."""

    capabilities = frozenset({"completion", "generate"})
    """A probe that needs more is skipped, and says what is missing."""

    def attach(self, adapter):
        if adapter.path is None:
            raise BackendError("name the tuned side as models.ft.adapter")
        # answers are known by view: where weights may change under a name, use their digest in its place
        return Subject(base=View("base"), tuned=View("base", adapter.path))

    def answer(self, requests):
        return {request: self._answer(request) for request in requests}

    def _answer(self, request):
        if isinstance(request, Completion):
            return CompletionScore(*score(request.prompt, request.completion, not request.view.is_base))
        if isinstance(request, Generate):
            return Generation(*write(request.prompt, request.max_new_tokens, not request.view.is_base))
        return RequestError(f"this backend answers no {type(request).__name__}")


@pytest.fixture(scope="session")
def sway_backend():
    return MyBackend()
