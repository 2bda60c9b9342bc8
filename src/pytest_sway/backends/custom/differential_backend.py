"""Serves a class of dlm-sway's protocol: ``as_base()``, ``as_finetuned()``, and what more it has."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pytest_sway.backends.base import AdapterKey, AnsweringBackend, BackendError, ModelKey, Subject
from pytest_sway.backends.custom.continuations import Continuations
from pytest_sway.backends.custom.differential_model import DifferentialModel
from pytest_sway.backends.custom.next_tokens import NextTokens, next_tokens_divergence
from pytest_sway.backends.custom.open_view import OpenView
from pytest_sway.requests import Completion, Divergence, Generate, Request, RequestError, View

Answers = dict[Request[Any], Any]
Sides = dict[Divergence, dict[View, list[NextTokens]]]
"""Distributions of views, for the divergences of which not both sides are known."""
_FIRST_TOP_K = 256
"""Tokens of the one distribution that is asked for to learn how large the vocabulary is."""


class DifferentialBackend(AnsweringBackend):
    """Asks objects of a user's class, one for each adapter, through their views.

    What it decides, where dlm-sway's protocol leaves something open (``docs/extending.md`` says why):

    * Prompts are texts: ``chat_template`` is no capability.
    * Tokens are counted by ``rolling_logprob``.
    * Distributions are asked for whole, or for ``defaults.top_k`` tokens where the spec sets it.
    * ``as_null_adapter`` makes the family ``gaussian`` and no other one.
    * Views are named by what the spec says of the base, and by the adapter's files. The code of the class and
      the base's weights are not known, so no answer is kept on disk (``identity`` is empty).

    Args:
        key: names the base model.
        factory: the class, called as ``factory(base_spec=..., adapter_path=...)`` for each adapter.
    """

    null_families = frozenset({"gaussian"})

    def __init__(self, key: ModelKey, factory: Callable[..., Any]) -> None:
        self._key = key
        self._factory = factory
        self._model: DifferentialModel | None = None
        self._adapter = ""
        self._vocabulary: int | None = None
        self._continuations = Continuations()
        self._partial_note = ""

    @property
    def capabilities(self) -> frozenset[str]:
        """What the methods of the object suffice for; nothing before an adapter is attached."""
        return self._model.capabilities if self._model is not None else frozenset()

    def attach(self, adapter: AdapterKey) -> Subject:
        """Build the class for an adapter."""
        if adapter.model is not None:
            raise BackendError(
                f"{self._key.entry_point} has the methods as_base and as_finetuned, so it represents one "
                "base model with an adapter. Remove defaults.differential: false and use the same base model "
                "for models.base and models.ft"
            )
        self.close()
        self._model = DifferentialModel.build(self._factory, self._key, adapter)
        self._vocabulary, self._partial_note = None, ""
        path = Path(adapter.path) if adapter.path is not None else None
        self._adapter = (content_digest(path) if path is not None else "") or f"name {path}"
        notes: tuple[str, ...] = ()
        if path is not None and not path.exists():
            notes = (f"there is no file or folder {path}; the adapter was passed to the class as a name",)
        base = f"{self._key.entry_point} {self._key.base} {self._key.revision}"
        return Subject(View(base), View(base, self._adapter), notes=notes)

    def detach(self, subject: Subject) -> None:
        """Close the object of the adapter."""
        self.close()

    def close(self) -> None:
        """Close the object that is open."""
        model, self._model, self._adapter = self._model, None, ""
        if model is not None:
            model.close()

    def prompt_notes(self) -> list[str]:
        """What is not as exact as it is elsewhere."""
        return [note for note in (self._partial_note, self._continuations.note()) if note]

    def answer(self, requests: Sequence[Request[Any]]) -> Mapping[Request[Any], Any]:
        """Every request's answer; each view is opened once, the base first."""
        if self._model is None:
            raise BackendError("no adapter is attached")
        answers: Answers = {}
        by_view: dict[View, list[Request[Any]]] = defaultdict(list)
        for request in requests:
            if reason := self._refusal(request):
                answers[request] = RequestError(reason)
            else:
                for view in dict.fromkeys(request.views):
                    by_view[view].append(request)
        sides: Sides = defaultdict(dict)
        for view in sorted(by_view, key=lambda view: not view.is_base):
            if unanswered := [request for request in by_view[view] if request not in answers]:
                self._ask_view(self._model, view, unanswered, answers, sides)
        return answers

    def _ask_view(
        self,
        model: DifferentialModel,
        view: View,
        requests: Sequence[Request[Any]],
        answers: Answers,
        sides: Sides,
    ) -> None:
        """Open a view and ask it everything; what it raises is the answer of that request."""
        try:
            with model.open_view(view) as open_view:
                for request in requests:
                    try:
                        if isinstance(request, Divergence):
                            sides[request][view] = self._distributions(open_view, request)
                            if sides[request].keys() == {*request.views}:
                                answers[request] = _mean_divergence(request, sides.pop(request))
                        elif isinstance(request, Generate):
                            answers[request] = self._continuations.write(open_view, request)
                        elif isinstance(request, Completion):
                            answers[request] = open_view.completion_score(request)
                    except RequestError as error:
                        answers[request] = error
        except RequestError as error:  # it cannot be opened
            answers.update(dict.fromkeys(requests, error))

    def _distributions(self, view: OpenView, request: Divergence) -> list[NextTokens]:
        """One side of a divergence: the distribution after each of its texts."""
        return [self._next_tokens(view, text) for text in self._continuations.texts(view, request)]

    def _next_tokens(self, view: OpenView, text: str) -> NextTokens:
        """The distribution over ``defaults.top_k`` tokens; where the spec has none, over the vocabulary."""
        top_k = self._key.top_k or self._vocabulary
        distribution = view.next_tokens(text, top_k or _FIRST_TOP_K)
        if top_k is None:
            self._vocabulary = distribution.vocabulary
            distribution = view.next_tokens(text, self._vocabulary)
        if not distribution.is_whole:
            remedy = "; remove defaults.top_k to compare all tokens" if self._key.top_k else ""
            self._partial_note = (
                f"next_token_dist returns only {len(distribution.ids)} of {distribution.vocabulary} tokens, "
                f"so divergences are lower bounds{remedy}"
            )
        return distribution

    def _refusal(self, request: Request[Any]) -> str:
        """Why a request cannot be asked of any view; empty where it can."""
        if not isinstance(request, Divergence | Completion | Generate):
            return f"a backend with dlm-sway's protocol does not support {type(request).__name__} requests"
        if not isinstance(request.prompt, str):
            return (
                "a backend with dlm-sway's protocol does not render chat templates; write prompt_policy: raw"
            )
        for view in request.views:
            if view.adapter not in ("", self._adapter):
                return f"cannot evaluate {view.label()}: its adapter is not attached"
            if view.null is not None and view.null.family not in self.null_families:
                family = view.null.family
                return (
                    f"the method as_null_adapter does not support random (null) adapters of the family "
                    f"{family}; write family: gaussian"
                )
        return ""


def _mean_divergence(request: Divergence, sides: Mapping[View, list[NextTokens]]) -> float:
    pairs = zip(sides[request.p], sides[request.q], strict=True)
    return float(np.mean([next_tokens_divergence(request.kind, p, q) for p, q in pairs]))


def content_digest(path: Path) -> str:
    """Digest of a file, or of all files of a folder and their names; empty where there is neither."""
    files = sorted(file for file in (path, *path.rglob("*")) if file.is_file())
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.relative_to(path)}\n".encode())
        with file.open("rb") as stream:
            total.update(hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest() if files else ""
