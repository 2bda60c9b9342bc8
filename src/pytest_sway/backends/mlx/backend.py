"""The MLX backend: two primitives over one set of weights.

As in ``kind: hf`` nothing is toggled from outside: every primitive names its view, and the layers of that
view are put in force on entry.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import mlx.core as mx
import numpy as np

from pytest_sway.backends.base import AdapterKey, BackendError, Determinism, Subject, WeightsBackend
from pytest_sway.backends.hf.error_text import first_line
from pytest_sway.backends.hf.prompts.prompt_encoding import PromptEncoding
from pytest_sway.backends.hf.prompts.prompt_tokenizer import PromptTokenizer, digest_with_tokenizer
from pytest_sway.backends.hf.prompts.spec_chat_template import check_template_arguments
from pytest_sway.backends.hf.prompts.vocabulary import check_no_further_rows, shared_vocabulary
from pytest_sway.backends.mlx.base_model import LoadedModel, is_on_cpu, is_slow_blas, weights_bytes
from pytest_sway.backends.mlx.generation import continuations
from pytest_sway.backends.mlx.scoring import Scorer, batch_of
from pytest_sway.backends.mlx.served_adapter import ServedAdapter
from pytest_sway.backends.mlx.subject import SubjectAdapter, check_fits, read_subject
from pytest_sway.requests import RequestError, View
from pytest_sway.token_sequences import PackedRow, TokenSequence, scored_pieces
from pytest_sway.version import __version__

_OVERHEAD = 64
"""Cost of a forward beside its tokens, in tokens."""
_NO_MEMORY = ("unable to allocate", "failed to allocate", "out of memory", "bad_alloc", "insufficient memory")


class MLXBackend(PromptEncoding, WeightsBackend):
    """One causal language model in memory; the base, one subject and its nulls are served from it."""

    xp = mx

    def __init__(self, loaded: LoadedModel, tokens: PromptTokenizer, ends: frozenset[int]) -> None:
        self._loaded, self._model, self._base = loaded, loaded.model, loaded.base
        self._base_tokens = self._tokens = tokens
        self._ends = ends
        self._adapter: ServedAdapter | None = None
        self._broken = ""
        self._entries = 0
        self.context = loaded.context
        with forward_errors(BackendError):
            self.vocabulary = int(self._logits([[0] * 2]).shape[-1])
        self.epsilon = float(mx.finfo(loaded.dtype).eps)
        self.token_bytes, self.cache_bytes = _memory_per_token(loaded.text_config, loaded.dtype.size)
        self.weights_bytes = weights_bytes(self._model)
        self.overhead_tokens = _OVERHEAD
        self.most_tokens = 2048
        self.identity = _identity(loaded)
        self._check_row = [(37 * k) % self.vocabulary for k in range(1, 17)]
        self._check_logits = self._logits([self._check_row])
        if not bool(mx.isfinite(self._check_logits).all()):
            raise BackendError(
                f"the logits of the base model {self._base.name} are not finite: its weights are broken, or "
                "its activations overflow in this dtype; try dtype: fp32"
            )
        self._scorer = Scorer(self._model, self._check_row)

    def determinism(self, *, batch_invariant: bool) -> Determinism:
        """How far two runs can be expected to agree."""
        kind = "cpu" if is_on_cpu() else "gpu"
        texts = "one text per batch" if batch_invariant else "texts in batches"
        name = str(self._loaded.dtype).removeprefix("mlx.core.")
        return Determinism("best_effort", (f"mlx, {kind}, {name}, {texts}",))

    def attach(self, adapter: AdapterKey) -> Subject:
        """Attach an adapter after checking that it can be served; detaches none before it."""
        if self._broken:
            raise BackendError(self._broken)
        if self._adapter is not None:
            raise BackendError("another adapter is still attached to this backend")
        source = read_subject(adapter)
        vocabulary = shared_vocabulary(self._base_tokens, source.tokenizer, self.vocabulary)
        check_no_further_rows(vocabulary, source.folder, self.vocabulary)
        check_template_arguments(vocabulary.tokens.chat)
        check_fits(source.content, self._model)
        self._adapter = ServedAdapter(self._model, source.content, source.digest, self._loaded.dtype)
        try:
            self._check_base("attaching the adapter")
            self._check_alive(source)
        except BaseException:
            self._drop()
            raise
        self._tokens = vocabulary.tokens
        found = source.remarks_on(self._base)
        return Subject(
            base=View(self._view_digest()),
            tuned=View(self._view_digest(), source.digest),
            inert=self._adapter.inert,
            notes=(
                *self._adapter.notes,
                *source.content.notes,
                *vocabulary.notes,
                *self._base.notes,
                *found.notes,
            ),
            warnings=found.warnings,
            trained_base=found.trained_base,
            form=self._adapter.form,
        )

    def detach(self, subject: Subject) -> None:
        """Take the adapter off and prove that the base is what it was at load."""
        if self._adapter is not None:
            self._drop()
            self._check_base(f"detaching adapter {subject.tuned.adapter[:8]}")

    def add_null(self, adapter: AdapterKey) -> str:
        """Read a user's own null; it and the subject are plain LoRA."""
        source = read_subject(adapter)
        if self._adapter is None:
            raise BackendError("no adapter is attached")
        self._adapter.enter(View(self._view_digest()))
        check_fits(source.content, self._model)
        self._adapter.add_null(source.content, source.digest)
        return source.digest

    def close(self) -> None:
        """Let go of the weights."""
        self._adapter = None
        del self._model, self._loaded, self._scorer
        mx.clear_cache()

    def logprobs(
        self, rows: Sequence[PackedRow], view: View, most: int
    ) -> Iterator[tuple[TokenSequence, int, Any]]:
        """A batch's fp32 log-probabilities, at most ``most`` positions at a time."""
        self._check_ids([text.ids for row in rows for text in row.texts])
        self._enter(view)
        with forward_errors(RequestError):
            hidden = self._scorer.hidden(batch_of(rows))
        entered = self._entries
        for group, place in scored_pieces([text for row in rows for text in row.texts], most):
            if self._entries != entered:  # another view was scored in between
                self._enter(view)
                entered = self._entries
            with forward_errors(RequestError):
                scored = self._scorer.logprobs(hidden[place])
            at = 0
            for text, start, count in group:
                yield text, start, scored[at : at + count]
                at += count

    def generate(
        self, rows: Sequence[Sequence[int]], views: Sequence[View], max_new_tokens: int
    ) -> list[tuple[int, ...]]:
        """Greedy continuations, cut before the end-of-text token; all rows are of one view."""
        self._check_ids(rows)
        self._enter(views[0])
        with forward_errors(RequestError):
            return continuations(self._model, rows, self._ends, max_new_tokens)

    @contextmanager
    def memory_guard(self) -> Iterator[None]:
        """Afterwards what mlx keeps for later is given back; its errors are raised where they occur."""
        try:
            yield
        finally:
            mx.clear_cache()

    def _check_ids(self, rows: Sequence[Sequence[int]]) -> None:
        """Raise RequestError for a token that the embedding has no row for: mlx reads on beyond its end."""
        highest = max(map(max, rows))
        if highest >= self.vocabulary:
            raise RequestError(
                f"the tokenizer returned the token id {highest}, but the base model's vocabulary has only "
                f"{self.vocabulary} tokens; use the base model's own tokenizer"
            )

    def _enter(self, view: View) -> None:
        """Put a view's layers in force."""
        self._entries += 1
        if view.base != self._view_digest():
            raise RequestError(f"no answer for {view.label()!r}: it belongs to another base model")
        if self._adapter is not None:
            self._adapter.enter(view)
        elif not view.is_base:
            raise RequestError(f"no answer for {view.label()!r}: no adapter is attached")

    def _logits(self, rows: list[list[int]]) -> mx.array:
        logits: mx.array = self._model(mx.array(rows))
        mx.eval(logits)
        return logits

    def _check_base(self, after: str) -> None:
        if self._adapter is not None:
            self._adapter.enter(View(self._view_digest()))
        if not bool(mx.array_equal(self._logits([self._check_row]), self._check_logits)):
            self._broken = (
                "the base model is not used any more, because its results would be unreliable: after "
                f"{after}, its logits differ from those directly after loading"
            )
            raise BackendError(self._broken)

    def _check_alive(self, source: SubjectAdapter) -> None:
        """Finite logits under the adapter."""
        assert self._adapter is not None  # attach() has set it
        self._adapter.enter(View(self._view_digest(), source.digest))
        if not bool(mx.isfinite(self._logits([self._check_row])).all()):
            raise BackendError(
                f"the model's logits are not finite with the adapter {source.folder}: its weights are "
                "finite, but the activations overflow. Its update is too large (check its scale), or the "
                "training diverged"
            )

    def _drop(self) -> None:
        assert self._adapter is not None  # the callers have looked
        self._adapter.unload()
        self._adapter, self._tokens = None, self._base_tokens

    def _view_digest(self) -> str:
        """The base's digest; another one where the subject brings a tokenizer of its own."""
        return digest_with_tokenizer(self._base.digest, self._base_tokens, self._tokens)


@contextmanager
def forward_errors(kind: type[BackendError | RequestError]) -> Iterator[None]:
    """While it lasts, an error of mlx is one of this kind, and a failed allocation a MemoryError."""
    try:
        yield
    except (RuntimeError, ValueError, NotImplementedError) as error:
        line = first_line(error)
        if any(words in str(error).lower() for words in _NO_MEMORY):
            raise MemoryError(line) from None
        raise kind(f"mlx-lm cannot run this model in this dtype on this device: {line}") from error


def _memory_per_token(config: Any, itemsize: int) -> tuple[int, int]:
    """Bytes of a layer's activations, and of the keys and values of all layers, for one token."""
    hidden = int(getattr(config, "hidden_size", None) or 1024)
    inner = int(getattr(config, "intermediate_size", None) or 4 * hidden)
    layers, heads = (
        int(getattr(config, "num_hidden_layers", 32)),
        int(getattr(config, "num_attention_heads", 1)),
    )
    width = int(getattr(config, "head_dim", None) or hidden // heads)
    own = int(getattr(config, "num_key_value_heads", None) or heads)
    return (10 * hidden + 4 * inner) * itemsize, 2 * layers * own * width * itemsize


def _identity(loaded: LoadedModel) -> str:
    """What the numbers depend on beside weights and request."""
    device = "cpu" if is_on_cpu() else "gpu"
    blas = "wheel's blas" if is_slow_blas() else "blas"
    versions = (
        f"pytest-sway {__version__}, mlx {version('mlx')}, mlx-lm {version('mlx-lm')}, numpy {np.__version__}"
    )
    return f"mlx {loaded.dtype} {loaded.base.quantization} {device} {platform.machine()} {blas}; {versions}"
