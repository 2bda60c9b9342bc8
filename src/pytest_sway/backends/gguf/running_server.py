"""A llama-server that somebody else started, with its adapters loaded already."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from pytest_sway.backends.base import AdapterKey, BackendError, Determinism, Subject
from pytest_sway.backends.gguf.adapter_reader import read_adapter
from pytest_sway.backends.gguf.base_file import BaseFile
from pytest_sway.backends.gguf.client import AdapterScale, LlamaClient, LoadedAdapter, ServerProperties
from pytest_sway.backends.gguf.llama_answers import LlamaAnswers
from pytest_sway.backends.hf.prompts.prompt_encoding import PromptEncoding
from pytest_sway.backends.hf.prompts.prompt_tokenizer import PromptTokenizer
from pytest_sway.backends.hf.prompts.spec_chat_template import digest_with_settings
from pytest_sway.backends.zero_updates import zero_update_notes
from pytest_sway.requests import RequestError, View
from pytest_sway.spec.model_kinds import is_gguf_name
from pytest_sway.text.message_parts import shorten_list
from pytest_sway.token_sequences import TokenSequence

_SAME_NATS = 0.05
"""How far a distribution may be from what it was at first; an f16 cache of keys and values moves 3e-4."""
_MOST_SLOTS = 8


class RunningServerBackend(PromptEncoding, LlamaAnswers):
    """A base file and an adapter file, which the server was started with under the same file names.

    It has no nulls: llama.cpp loads adapters at its start alone.

    Args:
        base: the model's file, as it is here.
        tokens: its tokenizer.
        client: asks the server.
    """

    def __init__(self, base: BaseFile, tokens: PromptTokenizer, client: LlamaClient) -> None:
        properties = client.properties()
        self._check_model(base, client, properties)
        self.context = properties.default_generation_settings.n_ctx - 1  # it writes a token more
        self.concurrency = min(max(1, properties.total_slots), _MOST_SLOTS)
        self.vocabulary = base.config.vocab_size
        self.epsilon = float(np.finfo(np.float32).eps)
        self._server, self._base, self._tokens, self._ends = client, base, tokens, base.ends
        self._digest = digest_with_settings(base.model.digest, tokens.chat.settings)
        self._adapter: AdapterScale | None = None
        self._adapter_digest = ""
        self._first: np.ndarray | None = None

    @property
    def capabilities(self) -> frozenset[str]:
        """Everything but nulls."""
        return super().capabilities - {"nulls"}

    def determinism(self, *, batch_invariant: bool) -> Determinism:
        """Of a server that others may ask too."""
        del batch_invariant
        return Determinism(
            "best_effort", ("an external llama-server may evaluate other requests in the same batch",)
        )

    def attach(self, adapter: AdapterKey) -> Subject:
        """Serve the adapter that the server was started with under this file's name."""
        if self._adapter is not None:
            raise BackendError("another adapter is still attached to this backend")
        if adapter.model is not None or adapter.path is None or not is_gguf_name(adapter.path):
            raise BackendError(
                "kind: gguf with an endpoint supports only an adapter that the server was started with. Set "
                "models.ft.adapter to the GGUF file of this adapter"
            )
        path = Path(adapter.path)
        file = read_adapter(path, self._base.layout, self._base.config)
        self._adapter = AdapterScale(_number_of(path, self._server.loaded_adapters()), 1.0)
        self._adapter_digest = file.digest
        zero = [name for name, module in file.modules.items() if not module.changes]
        subject = Subject(
            base=View(self._digest),
            tuned=View(self._digest, file.digest),
            inert=len(zero) == len(file.modules),
            notes=(
                *zero_update_notes(zero, len(file.modules)),
                *self._base.model.notes,
                f"{self._server.url} reports only the names of its files; their contents cannot be verified",
            ),
        )
        try:
            self._check_adapter(subject)
        except RequestError as error:
            self.detach(subject)
            raise BackendError(f"the request to the server at {self._server.url} failed: {error}") from error
        except BaseException:
            self.detach(subject)
            raise
        return subject

    def detach(self, subject: Subject) -> None:
        """Forget the adapter; the server keeps it."""
        del subject
        self._adapter, self._first = None, None

    def close(self) -> None:
        """Close the connections."""
        self._server.close()

    def prepare(self, views: Sequence[View], longest: int) -> None:
        """The base must answer what it did at first."""
        for view in views:
            if view.base != self._digest or view.adapter not in ("", self._adapter_digest):
                raise BackendError(f"cannot evaluate {view.label()}: it belongs to another model")
            if view.null is not None:
                raise BackendError("random (null) adapters cannot be used with an external llama-server")
        if (
            self._first is not None
            and np.abs(self._trial(View(self._digest)) - self._first).max() > _SAME_NATS
        ):
            raise BackendError(
                f"the server at {self._server.url} gives different answers than at the start of this run. It "
                "was restarted with other files or settings"
            )

    @property
    def _client(self) -> LlamaClient:
        return self._server

    def _scale(self, view: View) -> AdapterScale | None:
        assert self._adapter is not None  # prepare() knows every view
        return AdapterScale(self._adapter.number, 0.0 if view.is_base else view.scale)

    def _check_model(self, base: BaseFile, client: LlamaClient, properties: ServerProperties) -> None:
        """Raise BackendError where the server was started with another file."""
        served = PurePosixPath(properties.model_path.replace("\\", "/")).name
        if served != base.path.name:
            raise BackendError(
                f"the server at {client.url} was started with {served or 'a model without a name'}, but the "
                f"spec's base model is {base.path.name}. Use the same file for both"
            )

    def _check_adapter(self, subject: Subject) -> None:
        """Raise BackendError where the adapter does not move the base, or its strength does not count."""
        self._first = self._trial(subject.base)
        full, half = self._trial(subject.tuned), self._trial(subject.tuned.scaled(0.5))
        moved = float(np.abs(full - self._first).max())
        if not subject.inert and (moved == 0.0 or np.array_equal(half, full)):
            raise BackendError(
                f"the server at {self._server.url} does not apply the adapter file: its answers are the same "
                "with and without the adapter, or at half and at full strength"
            )

    def _trial(self, view: View) -> np.ndarray:
        """What a fixed text has under a view."""
        ids = (*self.leading, *(self.vocabulary * part // 7 for part in range(1, 6)))
        return self.logprobs(TokenSequence(ids, len(ids) - 2), view)


def _number_of(path: Path, adapters: Sequence[LoadedAdapter]) -> int:
    """The server's number of the adapter with a file's name."""
    names = [PurePosixPath(one.path.replace("\\", "/")).name for one in adapters]
    if names.count(path.name) != 1:
        listed = shorten_list(names) if names else "no adapter"
        raise BackendError(
            f"the server was started with {listed}, but it needs exactly one adapter file named {path.name}. "
            f"Start the server with --lora {path.name}"
        )
    return adapters[names.index(path.name)].id
