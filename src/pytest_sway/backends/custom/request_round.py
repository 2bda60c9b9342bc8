"""The requests of one call, asked view by view: each is opened once, and none inside another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from pytest_sway.backends.custom.differential_model import DifferentialModel
from pytest_sway.backends.custom.next_tokens import NextTokens, next_tokens_divergence
from pytest_sway.backends.custom.open_view import OpenView
from pytest_sway.backends.custom.written_texts import WrittenTexts
from pytest_sway.requests import Completion, Divergence, Generate, Request, RequestError, View

Answers = dict[Request[Any], Any]


class RequestRound:
    """Answers the requests of one call.

    Args:
        model: opens the views.
        written: the continuations so far.
        top_k: how many tokens of a distribution are asked for.
        answers: those that are known; the others are added.
    """

    def __init__(self, model: DifferentialModel, written: WrittenTexts, top_k: int, answers: Answers) -> None:
        self._model = model
        self._written = written
        self._top_k = top_k
        self._answers = answers
        self._found: dict[tuple[View, str], NextTokens] = {}
        self.has_partial = False

    def find_prefixes(self, requests: Iterable[Divergence]) -> None:
        """Have the writers of continuations say where each token ends."""
        by_writer: dict[View, list[Divergence]] = defaultdict(list)
        for request in requests:
            if request not in self._answers:
                try:
                    if (writer := self._written.writer(_written_of(request))) is not None:
                        by_writer[writer].append(request)
                except RequestError as error:
                    self._answers[request] = error
        for view, group in by_writer.items():
            self._ask_view(view, group, self._find_prefix)

    def ask(self, requests: Iterable[Request[Any]]) -> None:
        """Open each view, the base first, and ask it everything."""
        by_view: dict[View, list[Request[Any]]] = defaultdict(list)
        for request in requests:
            for view in dict.fromkeys(request.views):
                by_view[view].append(request)
        for view in sorted(by_view, key=lambda view: not view.is_base):
            self._ask_view(view, by_view[view], self._ask_one)
            waiting = {
                v for group in by_view.values() for r in group if r not in self._answers for v in r.views
            }
            self._found = {key: tokens for key, tokens in self._found.items() if key[0] in waiting}

    def _ask_view(
        self, view: View, requests: Sequence[Any], ask: Callable[[OpenView, View, Any], None]
    ) -> None:
        """Ask a view what has no answer yet; what it raises is the answer of that request."""
        waiting = [request for request in requests if request not in self._answers]
        if not waiting:
            return
        try:
            with self._model.open_view(view) as opened:
                for request in waiting:
                    try:
                        ask(opened, view, request)
                    except RequestError as error:
                        self._answers[request] = error
        except RequestError as error:  # it cannot be opened
            self._answers.update(dict.fromkeys(waiting, error))

    def _find_prefix(self, opened: OpenView, _: View, request: Divergence) -> None:
        if self._written.writer(_written_of(request)) is not None:  # several requests have one continuation
            self._written.find_prefixes(opened, _written_of(request))

    def _ask_one(self, opened: OpenView, view: View, request: Completion | Generate | Divergence) -> None:
        if isinstance(request, Completion):
            self._answers[request] = opened.completion_score(request)
        elif isinstance(request, Generate):
            self._answers[request] = self._written.write(opened, request)
        else:
            self._ask_divergence(opened, view, request)

    def _ask_divergence(self, opened: OpenView, view: View, request: Divergence) -> None:
        """This view's side; the answer where both are known."""
        texts = self._written.texts(_written_of(request))
        for text in texts:
            if (view, text) not in self._found:
                self._found[view, text] = opened.next_tokens(text, self._top_k)
        p = [self._found.get((request.p, text)) for text in texts]
        q = [self._found.get((request.q, text)) for text in texts]
        pairs = [(a, b) for a, b in zip(p, q, strict=True) if a is not None and b is not None]
        if len(pairs) == len(texts):
            self.has_partial |= not all(one.is_whole for pair in pairs for one in pair)
            self._answers[request] = float(
                np.mean([next_tokens_divergence(request.kind, a, b) for a, b in pairs])
            )


def _written_of(request: Divergence) -> tuple[str, tuple[int, ...]]:
    return str(request.prompt), request.continuation
