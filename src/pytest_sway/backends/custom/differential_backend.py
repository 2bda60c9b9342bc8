"""Serves a class of dlm-sway's protocol: ``as_base()``, ``as_finetuned()``, and what more it has."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_sway.backends.base import AdapterKey, AnsweringBackend, BackendError, ModelKey, Subject
from pytest_sway.backends.custom.differential_model import DifferentialModel
from pytest_sway.backends.custom.request_round import Answers, RequestRound
from pytest_sway.backends.custom.written_texts import WrittenTexts
from pytest_sway.requests import Completion, Divergence, Generate, Request, RequestError, View


class DifferentialBackend(AnsweringBackend):
    """Asks objects of a user's class, one for each adapter, through their views.

    What it decides, where dlm-sway's protocol leaves something open:

    * Prompts are texts. A view renders no chat template, so ``chat_template`` is no capability.
    * Tokens are counted by ``rolling_logprob``, since a log-probability per token needs their number.
    * Distributions name ``defaults.top_k`` tokens. They are compared over the tokens that both sides name and
      one event for all others: a lower bound. A ``top_k`` as large as the vocabulary compares it whole.
    * ``as_null_adapter(seed, init_scale=..., rank_scale=...)`` imitates nothing of the adapter: its factors
      have the fixed size ``init_scale``. That is the family ``gaussian``, and no other one is claimed.
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
        self._written = WrittenTexts()
        self._has_partial = False

    @property
    def capabilities(self) -> frozenset[str]:
        """What the methods of the object suffice for; nothing before an adapter is attached."""
        return self._model.capabilities if self._model is not None else frozenset()

    def attach(self, adapter: AdapterKey) -> Subject:
        """Build the class for an adapter."""
        if adapter.model is not None:
            raise BackendError(
                f"{self._key.entry_point}: a class with as_base and as_finetuned holds one base and an "
                "adapter on it; remove defaults.differential: false, and write the same base on both sides"
            )
        self.close()
        self._model = DifferentialModel.build(self._factory, self._key, adapter)
        self._adapter = content_digest(adapter.path or "")
        base = f"{self._key.entry_point} {self._key.base} {self._key.revision}"
        return Subject(View(base), View(base, self._adapter))

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
        notes = []
        if self._has_partial:
            notes.append(
                f"next_token_dist names the {self._key.top_k} likeliest tokens: divergences are lower bounds "
                "(defaults.top_k, as large as the vocabulary, compares all)"
            )
        if left_out := self._written.left_out:
            notes.append(
                f"{left_out} of {self._written.positions} positions in continuations are left out: the text "
                "that ends there does not begin the longer one, as inside a character"
            )
        return notes

    def answer(self, requests: Sequence[Request[Any]]) -> Mapping[Request[Any], Any]:
        """Every request's answer; each view is opened once, twice where it wrote a continuation."""
        if self._model is None:
            raise BackendError("no adapter is attached")
        answers: Answers = {}
        for request in requests:
            if (why := self._why_not(request)) is not None:
                answers[request] = RequestError(why)
        asked = RequestRound(self._model, self._written, self._key.top_k, answers)
        asked.find_prefixes([request for request in requests if isinstance(request, Divergence)])
        asked.ask(requests)
        self._has_partial |= asked.has_partial
        return answers

    def _why_not(self, request: Request[Any]) -> str | None:
        """Why a request cannot be asked of any view; None where it can."""
        if not isinstance(request, Divergence | Completion | Generate):
            return f"a backend of dlm-sway's protocol answers no {type(request).__name__}"
        if not isinstance(request.prompt, str):
            return "a backend of dlm-sway's protocol renders no chat template; write prompt_policy: raw"
        for view in request.views:
            if view.adapter not in ("", self._adapter):
                return "the adapter of the view is not attached"
            if view.null is not None and view.null.family not in self.null_families:
                return f"as_null_adapter makes no {view.null.family} nulls; write family: gaussian"
        return None


def content_digest(path: str) -> str:
    """Digest of a file, or of all files of a folder and their names; of the name where there is neither."""
    total = hashlib.sha256()
    root = Path(path) if path else None
    files = sorted(root.rglob("*")) if root is not None and root.is_dir() else [root] if root else []
    read = [file for file in files if file is not None and file.is_file()]
    for file in read:
        total.update(f"{file.relative_to(root or file)}\n".encode())
        with file.open("rb") as stream:
            total.update(hashlib.file_digest(stream, "sha256").digest())
    if not read:
        total.update(path.encode())
    return total.hexdigest()
