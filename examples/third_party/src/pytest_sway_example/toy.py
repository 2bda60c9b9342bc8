"""A backend: a bigram model, counted in a text; an adapter is more text, and λ is the weight of its counts.

It shows what a backend that answers whole requests has to do: name its weights by content, answer each
request for the view that it names, and say of what it cannot answer why.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from pytest_sway import (
    AdapterKey,
    AnsweringBackend,
    BackendError,
    Completion,
    CompletionScore,
    Divergence,
    Generate,
    Generation,
    ModelKey,
    RequestError,
    Subject,
    View,
)

END, UNKNOWN = 0, 1
"""The id that ends a line, and stands before its first word; and that of every word of another text."""
_SMOOTHING = 0.02
"""What is added to every count, so that no word is impossible."""
_READINGS = 5.0
"""How often every text is read: the more, the less a null's counts hang on chance."""
_Matrix = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


class ToyBackend(AnsweringBackend):
    """Serves the model whose text is ``base/text.txt``."""

    capabilities = frozenset({"divergence", "completion", "generate", "scale", "nulls"})

    def __init__(self, model: ModelKey) -> None:
        text = _read(Path(model.base))
        self._words = ["", "?", *sorted(set(text.split()))]
        self._ids = {word: number for number, word in enumerate(self._words)}
        self._base, self._base_counts = _digest(text), self._counted(text)
        self._adapters: dict[str, _Matrix] = {}
        self._logprobs = lru_cache(maxsize=64)(self._computed)

    def attach(self, adapter: AdapterKey) -> Subject:
        """Its counts, found again by the digest of its text."""
        if adapter.path is None:
            raise BackendError("a toy needs an adapter: a folder with a text.txt")
        text = _read(Path(adapter.path))
        view = View(self._base, _digest(text))
        counts = self._adapters[view.adapter] = self._counted(text)
        return Subject(View(self._base), view, inert=not counts.any(), form="tensors")

    def detach(self, subject: Subject) -> None:
        """Forget it: the base's counts were never touched."""
        self._adapters.pop(subject.tuned.adapter, None)

    def add_null(self, adapter: AdapterKey) -> str:
        """Refused: that would need another view of another text."""
        raise BackendError("a toy takes no null adapters of yours; choose family: norm_matched")

    def answer(self, requests: Sequence[Any]) -> Mapping[Any, Any]:
        """One answer per request; where there is none, the error that says why."""
        answers: dict[Any, Any] = {}
        for request in requests:
            try:
                answers[request] = self._answer_one(request)
            except RequestError as error:
                answers[request] = error
        return answers

    def _answer_one(self, request: Any) -> Any:
        if isinstance(request, Divergence):
            rows = [self._read_in(request.prompt)[-1], *request.continuation]
            return self.mean_divergence(
                request, self._logprobs(request.p)[rows], self._logprobs(request.q)[rows]
            )
        if isinstance(request, Completion):
            before, after = self._read_in(request.prompt)[-1], self._read_in(request.completion)[1:]
            scores = self._logprobs(request.view)[[before, *after[:-1]], after]
            return CompletionScore(float(scores.sum()), len(after))
        if isinstance(request, Generate):
            return self._continue(self._read_in(request.prompt)[-1], request)
        raise RequestError(f"a toy answers no {type(request).__name__}")

    def _continue(self, last: int, request: Generate) -> Generation:
        """The most likely word each time, of equal ones the first in the alphabet."""
        likeliest = self._logprobs(request.view).argmax(axis=1)
        ids: list[int] = []
        while len(ids) < request.max_new_tokens and (last := int(likeliest[last])) != END:
            ids.append(last)
        return Generation(" ".join(self._words[i] for i in ids), tuple(ids))

    def _read_in(self, prompt: object) -> list[int]:
        """The ids of a text, behind the id that begins a line."""
        if not isinstance(prompt, str):
            raise RequestError("a toy has no chat template; write prompt_policy: raw")
        return [END, *(self._ids.get(word, UNKNOWN) for word in prompt.split())]

    def _computed(self, view: View) -> _Matrix:
        """Log-probabilities of every word after every word, ``[words, words]``."""
        counts = self._base_counts + _SMOOTHING
        if not view.is_base:
            counts = counts + view.scale * self._update(view)
        logprobs: _Matrix = np.log(counts / counts.sum(axis=1, keepdims=True))
        return logprobs

    def _update(self, view: View) -> _Matrix:
        """The adapter's counts; a null counts as many words, put together by chance."""
        counts = self._adapters[view.adapter]
        if view.null is None:
            return counts
        if view.null.family != "norm_matched":
            raise RequestError(f"a toy makes no {view.null.family} nulls; choose family: norm_matched")
        seed = f"{view.adapter} {view.null.seed_base + view.null.draw}"
        cells = random.Random(seed).choices(range(counts.size), k=round(counts.sum()))
        return np.bincount(cells, minlength=counts.size).reshape(counts.shape).astype(np.float64)

    def _counted(self, text: str) -> _Matrix:
        """How often each word was read after each, ``[words, words]``."""
        counts = np.zeros((len(self._words), len(self._words)))
        for line in text.splitlines():
            ids = [*self._read_in(line), END]
            np.add.at(counts, (ids[:-1], ids[1:]), _READINGS)
        return counts


def _read(folder: Path) -> str:
    try:
        return (folder / "text.txt").read_text(encoding="utf-8")
    except OSError as error:
        raise BackendError(f"{folder}: {error.strerror}: a toy is a folder with a text.txt") from None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
