"""A backend of fake answers: for testing probes, plugins and conftests without a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_sway.backends.base import AdapterKey, AnsweringBackend, Subject
from pytest_sway.requests import Request, RequestError, View

ALL_CAPABILITIES = frozenset(
    {"divergence", "completion", "generate", "scale", "nulls", "tokens", "chat_template", "tools"}
)


class FakeBackend(AnsweringBackend):
    """Answers every request with ``answer(request)``; a raised :class:`RequestError` is an answer too."""

    def __init__(
        self,
        answer: Callable[[Request[Any]], Any],
        *,
        capabilities: frozenset[str] = ALL_CAPABILITIES,
        inert: bool = False,
    ) -> None:
        self._answer = answer
        self._capabilities = capabilities
        self._inert = inert

    @property
    def capabilities(self) -> frozenset[str]:
        """Capabilities passed to the constructor."""
        return self._capabilities

    def attach(self, adapter: AdapterKey) -> Subject:
        """A subject whose digest is its path: fake weights have no content."""
        return Subject(View("fake"), View("fake", adapter.path or adapter.model or "adapter"), self._inert)

    def add_null(self, adapter: AdapterKey) -> str:
        """A digest as :meth:`attach` gives it."""
        return self.attach(adapter).tuned.adapter

    def answer(self, requests: Sequence[Request[Any]]) -> Mapping[Request[Any], Any]:
        """One fake answer per request."""
        answers: dict[Request[Any], Any] = {}
        for request in requests:
            try:
                answers[request] = self._answer(request)
            except RequestError as error:
                answers[request] = error
        return answers
