"""The GGUF backend: one base, one adapter and its nulls on a llama.cpp server that the run owns."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import xllamacpp

from pytest_sway.backends.base import AdapterKey, BackendError, Determinism, Subject
from pytest_sway.backends.gguf.adapter_reader import read_adapter
from pytest_sway.backends.gguf.adapter_writer import write_adapter
from pytest_sway.backends.gguf.base_file import BaseFile
from pytest_sway.backends.gguf.client import AdapterScale, LlamaClient
from pytest_sway.backends.gguf.llama_answers import LlamaAnswers
from pytest_sway.backends.gguf.server import OwnedServer
from pytest_sway.backends.hf.adapter_files.plain_lora_modules import (
    LoraModule,
    check_null_modules,
    read_modules,
)
from pytest_sway.backends.hf.null_weights import draw_null_weights
from pytest_sway.backends.hf.prompts.prompt_encoding import PromptEncoding
from pytest_sway.backends.hf.prompts.prompt_tokenizer import PromptTokenizer, digest_with_tokenizer
from pytest_sway.backends.hf.prompts.spec_chat_template import check_template_arguments, digest_with_settings
from pytest_sway.backends.hf.prompts.vocabulary import check_no_further_rows, shared_vocabulary
from pytest_sway.backends.hf.subject_files import SubjectFiles, find_subject_files, subject_notes
from pytest_sway.backends.zero_updates import zero_update_notes
from pytest_sway.requests import NullSeed, RequestError, View
from pytest_sway.spec.model_kinds import is_gguf_name
from pytest_sway.token_sequences import TokenSequence
from pytest_sway.version import __version__

_SLOTS = 4
_SHORTEST_CONTEXT = 512
_MOST_FILES = 64
"""Adapters that the server holds, each with all its weights in memory."""
_TEXT = "Don't tokenise 1,234 naïve words twice:\n\n\tx_y = {'a': [0.5]}  # 東京 🙂"
"""What tokenizers disagree on: apostrophes, digits, spaces, accents, and letters beyond the Latin ones."""
Modules = Mapping[str, LoraModule]


class GGUFBackend(PromptEncoding, LlamaAnswers):
    """One model on a server that is started anew, in a tenth of a second, where it lacks an adapter.

    Args:
        base: the model's file.
        tokens: its tokenizer.
        folder: for the files of adapters and nulls; removed by :meth:`close`.
        threads: of the server.
    """

    concurrency = _SLOTS

    def __init__(
        self, base: BaseFile, tokens: PromptTokenizer, folder: TemporaryDirectory[str], threads: int
    ) -> None:
        self.context: int = base.context
        self.vocabulary = base.config.vocab_size
        self.epsilon = float(np.finfo(np.float32).eps)
        self.identity = _identity(threads)
        self.weights_bytes = base.path.stat().st_size
        self._base, self._base_tokens, self._tokens = base, tokens, tokens
        self._ends = base.ends
        self._digest = self._base_digest = digest_with_settings(base.model.digest, tokens.chat.settings)
        self._folder, self._threads = folder, threads
        self._adapter = ""
        self._modules: Modules = {}
        self._own_nulls: dict[str, Modules] = {}
        self._files: dict[NullSeed | None, Path] = {}
        """What the server was, or will be, started with: the adapter itself, and nulls."""
        self._written = 0
        self._server: OwnedServer | None = None
        self._served: tuple[NullSeed | None, ...] = ()
        self._slot_context = _SHORTEST_CONTEXT
        try:
            self._check(View(self._digest), f"the base model {base.model.name}")
            self._tokenizer_notes = self._compared_tokenizers() if base.model.is_gguf_file else ()
        except BaseException:
            self._stop()
            raise

    def determinism(self, *, batch_invariant: bool) -> Determinism:
        """Texts that are read side by side share a batch, whose shape moves the last digits."""
        if batch_invariant:
            return Determinism("strict")
        return Determinism(
            "best_effort",
            ("llama.cpp evaluates several texts per batch; use --sway-exact to evaluate them one by one",),
        )

    def attach(self, adapter: AdapterKey) -> Subject:
        """Serve an adapter after checking that the server can add it."""
        if self._adapter:
            raise BackendError("another adapter is still attached to this backend")
        if adapter.model is not None:
            raise BackendError(
                "kind: gguf supports only adapters on a base model; use kind: hf for a full fine-tune"
            )
        if adapter.path is not None and is_gguf_name(adapter.path):
            file = read_adapter(Path(adapter.path), self._base.layout, self._base.config)
            self._serve(file.digest, file.modules, self._base_tokens, f"the adapter {file.path}")
            return self._subject((*self._base.model.notes,), ())
        source = find_subject_files(adapter)
        vocabulary = shared_vocabulary(self._base_tokens, source.tokenizer, self.vocabulary)
        check_no_further_rows(vocabulary, source, self.vocabulary)
        check_template_arguments(vocabulary.tokens.chat)
        modules = self._read(source)
        source.check_unchanged()
        self._serve(source.digest, modules, vocabulary.tokens, source.label)
        found = subject_notes(source, self._base.model)
        notes = (*source.notes, *vocabulary.notes, *found.notes)
        return replace(self._subject(notes, found.warnings), trained_base=found.trained_base)

    def _serve(self, digest: str, modules: Modules, tokens: PromptTokenizer, label: str) -> None:
        """Make an adapter the one that is served; nothing is kept of one that cannot be."""
        self._modules, self._adapter, self._tokens = modules, digest, tokens
        self._digest = digest_with_tokenizer(self._base_digest, self._base_tokens, tokens)
        try:
            self._check(View(self._digest, digest), label)
        except BaseException:
            self._drop()
            raise

    def _subject(self, notes: tuple[str, ...], warnings: tuple[str, ...]) -> Subject:
        zero = [name for name, module in self._modules.items() if not module.changes]
        return Subject(
            base=View(self._digest),
            tuned=View(self._digest, self._adapter),
            inert=len(zero) == len(self._modules),
            notes=(*zero_update_notes(zero, len(self._modules)), *self._tokenizer_notes, *notes),
            warnings=warnings,
        )

    def detach(self, subject: Subject) -> None:
        """Forget the adapter and its nulls."""
        del subject
        self._drop()

    def add_null(self, adapter: AdapterKey) -> str:
        """Read a user's own null; it and the subject are plain LoRA."""
        source = find_subject_files(adapter)
        modules = self._read(source)
        source.check_unchanged()
        check_null_modules(source, modules, self._modules)
        self._own_nulls[source.digest] = modules
        return source.digest

    def close(self) -> None:
        """End the server and remove the files."""
        self._stop()
        self._folder.cleanup()

    def prepare(self, views: Sequence[View], longest: int) -> None:
        """Start the server anew where it lacks a null of this round, or its context is too short for it."""
        for view in views:
            if view.base != self._digest:
                raise BackendError(f"cannot evaluate {view.label()}: it belongs to another base model")
            if view.is_base:
                continue
            if view.adapter != self._adapter:
                raise BackendError(
                    f"cannot evaluate {view.label()}: its adapter {view.adapter[:8]} is not attached"
                )
            self._write(view.null)
        needed = max(self._slot_context, 2 ** math.ceil(math.log2(longest)))
        if len(self._files) > _MOST_FILES:
            self._forget_nulls(views)
        if self._server is None or set(self._files) > set(self._served) or needed > self._slot_context:
            self._slot_context = needed
            self._start()

    @property
    def _client(self) -> LlamaClient:
        if self._server is None:
            raise BackendError("no llama.cpp server is running")
        return self._server.client

    def _read(self, source: SubjectFiles) -> Modules:
        assert source.files is not None  # find_subject_files() names an adapter
        return read_modules(source.files, self._base.config, torch.float32)

    def _write(self, null: NullSeed | None) -> None:
        """Write the adapter's file, or a null's, where there is none yet."""
        if null not in self._files:
            self._written += 1
            path = Path(self._folder.name) / f"adapter-{self._written}.gguf"
            write_adapter(path, self._null_modules(null), self._base.layout)
            self._files[null] = path

    def _forget_nulls(self, views: Sequence[View]) -> None:
        """Remove the nulls that a round does not name; the server starts anew without them."""
        named = {view.null for view in views}
        for null in [one for one in self._files if one is not None and one not in named]:
            self._files.pop(null).unlink()
        self._stop()

    def _null_modules(self, null: NullSeed | None) -> Modules:
        if null is None:
            return self._modules
        if null.source:
            return self._own_nulls[null.source]
        modules = {}
        for name, module in self._modules.items():
            a, b = draw_null_weights(null, self._adapter, name, module.factors)
            modules[name] = LoraModule(a, b, module.scaling)
        return modules

    def _scale(self, view: View) -> AdapterScale | None:
        """The adapter of a view among the server's; the base is any of them at 0."""
        if not self._served:
            return None
        return (
            AdapterScale(0, 0.0) if view.is_base else AdapterScale(self._served.index(view.null), view.scale)
        )

    def _check(self, view: View, label: str) -> None:
        """Raise BackendError where a fixed text has no distributions."""
        self.prepare([view], 2)
        try:
            self.logprobs(TokenSequence((*self.leading, self.vocabulary // 2), 0), view)
        except RequestError as error:
            raise BackendError(f"a test request with {label} failed: {error}") from error

    def _compared_tokenizers(self) -> tuple[str, ...]:
        """A note where transformers reads the file's tokenizer otherwise than llama.cpp does."""
        try:
            same = list(self._tokens.tokenized(_TEXT).ids) == self._client.tokenize(_TEXT)
        except RequestError as error:
            raise BackendError(f"the tokenizer of {self._base.model.name} failed: {error}") from error
        if same:
            return ()
        differ = "transformers and llama.cpp tokenize text differently with the tokenizer of the GGUF file"
        return (f"{differ}; the tokens of transformers are used",)

    def _start(self) -> None:
        self._stop()
        self._served = tuple(self._files)
        self._server = OwnedServer(
            self._base.path,
            list(self._files.values()),
            vocabulary=self.vocabulary,
            slots=_SLOTS,
            context=min(self._slot_context, self.context + 1),
            threads=self._threads,
        )

    def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self._server, self._served = None, ()

    def _drop(self) -> None:
        self._stop()
        for path in self._files.values():
            path.unlink()
        self._files.clear()
        self._own_nulls.clear()
        self._modules, self._adapter, self._tokens = {}, "", self._base_tokens
        self._digest = self._base_digest


def _identity(threads: int) -> str:
    """What the numbers depend on beside weights and request."""
    features = " ".join(str(xllamacpp.get_system_info()).split())
    versions = f"pytest-sway {__version__}, xllamacpp {xllamacpp.__version__}, numpy {np.__version__}"
    return f"llama.cpp fp32 {platform.machine()} {threads} threads {features}; {versions}"
