"""A base model with its adapter, which scores answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from dlm_sway.core.errors import SwayError
from dlm_sway.core.model import ModelSpec
from pytest_sway.backends.base import AdapterKey, BackendError, ModelKey, Subject
from pytest_sway.backends.hf.backend import HFBackend
from pytest_sway.backends.hf.load_backend import load_backend
from pytest_sway.engine.engine import Engine
from pytest_sway.requests import Completion, Prompt, RequestError, Turn, View


class ScoringView:
    """The base, or the base with its adapter."""

    def __init__(self, engine: Engine, view: View) -> None:
        self._engine, self._view = engine, view

    def logprob_of(self, prompt: str, completion: str) -> float:
        """Log-probability of a completion after a prompt, in nats, summed over its tokens.

        Raises:
            SwayError: it cannot be scored, as where it is longer than the model's context.
        """
        is_chat = "chat_template" in self._engine.backend.capabilities
        asked: Prompt = (Turn("user", prompt),) if is_chat else prompt
        request = Completion(asked, completion, self._view)
        answer = self._engine.answer([request])[request]
        if isinstance(answer, RequestError):
            raise SwayError(str(answer))
        return float(answer.logprob)


class Backend:
    """A base model in memory with one adapter on it."""

    def __init__(self, served: HFBackend, subject: Subject) -> None:
        self._served, self._subject = served, subject
        self._engine = Engine(served)

    @contextmanager
    def as_base(self) -> Iterator[ScoringView]:
        """The base without its adapter."""
        yield ScoringView(self._engine, self._subject.base)

    @contextmanager
    def as_finetuned(self) -> Iterator[ScoringView]:
        """The base with its adapter."""
        yield ScoringView(self._engine, self._subject.tuned)

    def close(self) -> None:
        """Let go of the model."""
        self._engine.close()
        self._served.close()


def build(spec: ModelSpec, *, adapter_path: Path | None = None) -> Backend:
    """Load a base model and attach an adapter.

    Args:
        spec: names both.
        adapter_path: of the adapter; by default the spec's.

    Raises:
        SwayError: the kind is not ``hf``, no adapter is named, or one of both cannot be loaded.
    """
    adapter = adapter_path or spec.adapter
    if spec.kind != "hf":
        raise SwayError(f"kind {spec.kind!r} is not served here; write hf")
    if adapter is None:
        raise SwayError("name the folder of an adapter")
    key = ModelKey("hf", spec.base, trust_remote_code=spec.trust_remote_code)
    try:
        served = load_backend(key, datetime.now().astimezone())
        return Backend(served, served.attach(AdapterKey(str(adapter))))
    except BackendError as error:
        raise SwayError(str(error)) from error
