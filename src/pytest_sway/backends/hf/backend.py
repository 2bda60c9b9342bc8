"""The HF + PEFT backend: two primitives over one set of weights.

Nothing is toggled from outside: every primitive names its view, and the full adapter state is set on
entry, so neither an exception nor an order of calls can leave the wrong weights in force.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

from pytest_sway.backends.base import (
    AdapterKey,
    BackendError,
    Determinism,
    DistanceOfBases,
    Subject,
    WeightsBackend,
)
from pytest_sway.backends.hf.adapter_forms.served_adapter import ServedAdapter
from pytest_sway.backends.hf.attach import add_null, attach
from pytest_sway.backends.hf.base_in_training import next_token_logprobs
from pytest_sway.backends.hf.base_model.base_model import BaseModel
from pytest_sway.backends.hf.device import determinism, memory
from pytest_sway.backends.hf.device.thread_count import ThreadCount
from pytest_sway.backends.hf.finite_checks import check_adapter_logits, check_base_logits, non_finite_cause
from pytest_sway.backends.hf.generation import continuations
from pytest_sway.backends.hf.mixed_views import views_per_batch
from pytest_sway.backends.hf.prompts.prompt_encoding import PromptEncoding
from pytest_sway.backends.hf.prompts.prompt_tokenizer import PromptTokenizer, digest_with_tokenizer
from pytest_sway.backends.hf.prompts.spec_chat_template import check_template_arguments
from pytest_sway.backends.hf.prompts.vocabulary import shared_vocabulary
from pytest_sway.backends.hf.scoring import Scorer, batch_of
from pytest_sway.backends.hf.subject_files import SubjectFiles, find_subject_files, subject_notes
from pytest_sway.backends.hf.unadapted_layers import UnadaptedLayers, unadapted_layers
from pytest_sway.requests import Prompt, RequestError, View
from pytest_sway.statistics.divergences import jensen_shannon
from pytest_sway.token_sequences import PackedRow, TokenSequence, scored_pieces

_REMEMBERED = 128 << 20
"""Bytes of the base's hidden states that are kept for the next adapter of a fleet."""
_GPU_OVERHEAD, _CPU_OVERHEAD = 2048, 64
_GPU_MOST, _CPU_MOST = 4096, 2048
"""Tokens of a batch; on a CPU activations that leave its caches cost a tenth (measured at 135 M)."""


class HFBackend(PromptEncoding, WeightsBackend):
    """One causal language model in memory; the base, one subject and its nulls are served from it."""

    xp = torch

    def __init__(self, model: Any, tokens: PromptTokenizer, base: BaseModel) -> None:
        text_config = model.config.get_text_config()
        longest = getattr(text_config, "max_position_embeddings", None)
        self.context = int(longest) if longest else None
        self.vocabulary = int(text_config.vocab_size)
        self.epsilon = float(torch.finfo(model.dtype).eps)
        self.token_bytes, self.cache_bytes = memory.token_bytes(model), memory.cache_bytes(model)
        # of launching kernels on a GPU; else of entering a view
        on_cpu = model.device.type == "cpu"
        self.overhead_tokens = _CPU_OVERHEAD if on_cpu else _GPU_OVERHEAD
        self.most_tokens = _CPU_MOST if on_cpu else _GPU_MOST
        self.weights_bytes = sum(t.nbytes for t in (*model.parameters(), *model.buffers()))
        self._model = model
        self._base_tokens = self._tokens = tokens
        self._base = base
        self._threads = ThreadCount(model)
        self.identity = determinism.environment_identity(model, self._threads.limit)
        self._scorer = Scorer(model)
        self.packs_rows = self._scorer.packs_rows
        self._base_hidden: dict[tuple[PackedRow, ...], torch.Tensor] = {}
        self._remembered = 0
        self._entries = 0
        self._adapter: ServedAdapter | None = None
        self._unadapted: UnadaptedLayers | None = None
        self._ends: frozenset[int] = frozenset()
        self._broken = ""
        self._check_row = [(37 * k) % self.vocabulary for k in range(1, 17)]
        self._is_strict = determinism.has_deterministic_kernels(model, self._check_row)
        self._check_logits = self._base_logits()
        check_base_logits(model, self._check_logits, base, self._check_row)

    def determinism(self, *, batch_invariant: bool) -> Determinism:
        """How far two runs can be expected to agree."""
        return determinism.determinism(
            self._model.device,
            self._model.dtype,
            strict=self._is_strict,
            batch_invariant=batch_invariant,
            threads=self._threads.limit,
        )

    def attach(self, adapter: AdapterKey) -> Subject:
        """Attach an adapter after checking that it can be served; detaches none before it."""
        if self._broken:
            raise BackendError(self._broken)
        if self._adapter is not None:
            raise BackendError("another adapter is still attached to this backend")
        trusted = self._base.trust_remote_code
        source = find_subject_files(adapter, trust_remote_code=trusted)
        vocabulary = shared_vocabulary(self._base_tokens, source.tokenizer, self.vocabulary, trusted)
        check_template_arguments(vocabulary.tokens.chat)
        ends = source.eos_token_ids
        with self._threads.using(self._threads.limit):
            self._adapter = attach(self._model, source, self._check_row, vocabulary)
        try:
            source.check_unchanged()
            self._check_base("attaching the adapter")
            self._check_alive(source)
        except BaseException:
            self._drop()
            raise
        self._tokens, self._ends = vocabulary.tokens, ends
        found = subject_notes(source, self._base)
        return Subject(
            base=View(self._view_digest()),
            tuned=View(self._view_digest(), source.digest),
            inert=self._adapter.inert,
            notes=(
                *self._adapter.notes,
                *source.notes,
                *vocabulary.notes,
                *found.notes,
                *determinism.half_precision_notes(self._model),
            ),
            warnings=found.warnings,
            trained_base=found.trained_base,
            form=self._adapter.form,
        )

    def compare_bases(self, subject: Subject, prompts: Sequence[Prompt]) -> DistanceOfBases:
        """Loads the base of the subject's training beside this one, for as long as it takes."""
        assert subject.trained_base is not None  # what it is asked for
        texts = [self.encode(prompt) for prompt in prompts]
        rows = [PackedRow((TokenSequence(tuple(ids), len(ids) - 1),)) for ids in texts]
        base, tuned = (
            torch.cat([piece.cpu() for row in rows for _, _, piece in self.logprobs([row], view, 1)])
            for view in (subject.base, subject.tuned)
        )
        other = next_token_logprobs(self._model, self._base, subject.trained_base.quantization, texts)
        return DistanceOfBases(*(float(jensen_shannon(torch, base, one).mean()) for one in (other, tuned)))

    def detach(self, subject: Subject) -> None:
        """Take the adapter off and prove that the base is what it was at load."""
        if self._adapter is not None:
            self._drop()
            self._check_base(f"detaching adapter {subject.tuned.adapter[:8]}")

    def add_null(self, adapter: AdapterKey) -> str:
        """Read a user's own null; it and the subject must be plain LoRA."""
        source = find_subject_files(adapter)
        served = self._attached_adapter
        served.enter(View(self._view_digest()))
        add_null(self._model, served, source)
        source.check_unchanged()
        return source.digest

    def close(self) -> None:
        """Let go of the weights."""
        self._adapter = self._unadapted = None
        self._model = None
        self._base_hidden.clear()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def logprobs(
        self, rows: Sequence[PackedRow], view: View, most: int
    ) -> Iterator[tuple[TokenSequence, int, torch.Tensor]]:
        """A batch's fp32 log-probabilities, at most ``most`` positions at a time."""
        batch = batch_of(rows, self._model.device)
        self._enter(view)
        threads = self._threads
        with (
            threads.using(threads.for_layers(batch.ids.numel())),
            determinism.inference_mode(deterministic=self._is_strict),
        ):
            hidden = self._hidden_states(tuple(rows), batch, view)
        entered = self._entries
        for group, place in scored_pieces([text for row in rows for text in row.texts], most):
            if self._entries != entered:  # another view was scored in between
                self._enter(view)
                entered = self._entries
            positions = place.stop - place.start
            with (
                threads.using(threads.for_head(positions)),
                determinism.inference_mode(deterministic=self._is_strict),
            ):
                scored = self._scorer.logprobs(hidden[place])
            at = 0
            for text, start, count in group:
                yield text, start, scored[at : at + count]
                at += count

    @contextmanager
    def memory_guard(self) -> Iterator[None]:
        """While it lasts, a failed allocation is a MemoryError; between forwards torch has our threads."""
        with self._threads.using(self._threads.for_head(1)), memory.memory_errors():
            yield

    def generate(
        self, rows: Sequence[Sequence[int]], views: Sequence[View], max_new_tokens: int
    ) -> list[tuple[int, ...]]:
        """Greedy continuations of padded rows, cut before the end-of-text token."""
        ends = self._model.generation_config.eos_token_id
        stops = set(ends if isinstance(ends, list) else [] if ends is None else [ends])
        own = {True: stops, False: stops | self._ends}  # the base's, and the adapter's
        if own[True] == own[False] or len({view.is_base for view in views}) == 1:
            return self._generate(rows, views, own[views[0].is_base], max_new_tokens)
        written: dict[int, tuple[int, ...]] = {}
        for is_base, ends_of_side in own.items():
            side = [i for i, view in enumerate(views) if view.is_base is is_base]
            some_rows, some_views = [rows[i] for i in side], [views[i] for i in side]
            found = self._generate(some_rows, some_views, ends_of_side, max_new_tokens)
            written.update(zip(side, found, strict=True))
        return [written[i] for i in range(len(rows))]

    def _generate(
        self, rows: Sequence[Sequence[int]], views: Sequence[View], stops: set[int], max_new_tokens: int
    ) -> list[tuple[int, ...]]:
        """Continuations that end at the same tokens."""
        number = {view: k for k, view in enumerate(dict.fromkeys(views))}
        order = sorted(range(len(rows)), key=lambda i: number[views[i]])  # a view's rows stand together

        def use_views(running: Sequence[View]) -> None:
            with torch.inference_mode(False):  # parameters that PEFT adds in it could not be used outside
                self._enter_rows(running)

        tokens_of_a_forward = sum(map(len, rows)) / (max_new_tokens + 1) + len(rows)  # on average
        threads = self._threads.for_layers(tokens_of_a_forward)
        with self._threads.using(threads), determinism.inference_mode(deterministic=self._is_strict):
            sorted_rows, sorted_views = [rows[i] for i in order], [views[i] for i in order]
            trunk = self._scorer.trunk if self.packs_rows else None
            written = continuations(
                self._model, sorted_rows, sorted_views, stops, max_new_tokens, use_views, trunk
            )
        found = dict(zip(order, written, strict=True))
        return [found[i] for i in range(len(rows))]

    def _hidden_states(self, rows: tuple[PackedRow, ...], batch: Any, view: View) -> torch.Tensor:
        """The batch's hidden states; the base's are the same for every adapter, so some are remembered."""
        if view.is_base and rows in self._base_hidden:
            return self._base_hidden[rows]
        with self._unadapted.computed_once(rows) if self._unadapted else nullcontext():
            hidden = self._scorer.hidden(batch)
        size = hidden.numel() * hidden.element_size()
        if view.is_base and self._remembered + size <= _REMEMBERED:
            self._remembered += size
            self._base_hidden[rows] = hidden
        return hidden

    def _enter(self, view: View) -> None:
        self._enter_rows([view])

    def _enter_rows(self, views: Sequence[View]) -> None:
        """Put the views of a batch's rows in force."""
        self._entries += 1
        for view in dict.fromkeys(views):
            if view.base != self._view_digest():
                raise RequestError(f"cannot evaluate {view.label()}: it belongs to another base model")
            if self._adapter is None and not view.is_base:
                raise RequestError(f"cannot evaluate {view.label()}: no adapter is attached")
        if self._adapter is not None and len(set(views)) > 1:
            self._adapter.enter_rows(views)
        elif self._adapter is not None:
            self._adapter.enter(views[0])

    def _base_logits(self) -> torch.Tensor:
        """Logits of one fixed row, the base's weights in force."""
        if self._adapter is not None:
            self._adapter.enter(View(self._view_digest()))
        return self._row_logits()

    def _row_logits(self) -> torch.Tensor:
        ids = torch.tensor([self._check_row] * 2, device=self._model.device)
        threads = self._threads
        with threads.using(threads.for_layers(ids.numel())), torch.inference_mode():
            logits: torch.Tensor = self._model(input_ids=ids, use_cache=False).logits
        return logits

    def _check_base(self, after: str) -> None:
        if not torch.equal(self._base_logits(), self._check_logits):
            self._broken = (
                f"after {after}, the base model no longer gives the same logits as after loading. It is not "
                "used any more, because further results would be unreliable"
            )
            raise BackendError(self._broken)

    def _check_alive(self, source: SubjectFiles) -> None:
        """Finite weights, and finite logits under the adapter."""
        if fault := self._attached_adapter.fault:
            cause = non_finite_cause(fault, source.weight_files(), self._model.dtype)
            raise BackendError(f"{source.label} {cause}")
        tuned = View(self._view_digest(), source.digest)
        self._attached_adapter.enter(tuned)
        logits = self._row_logits()
        check_adapter_logits(logits, source.label)
        known = logits[0], self._check_logits[1]
        adapter = self._attached_adapter
        self.views_per_batch = views_per_batch(adapter, tuned, self._row_logits, known)
        known = logits, self._check_logits
        self._unadapted = unadapted_layers(self._model, adapter, tuned, self._row_logits, known)

    @property
    def _attached_adapter(self) -> ServedAdapter:
        if self._adapter is None:
            raise BackendError("no adapter is attached")
        return self._adapter

    def _drop(self) -> None:
        if self._unadapted is not None:
            self._unadapted.close()
            self._unadapted = None
        self._attached_adapter.unload()
        self._adapter, self.views_per_batch = None, 1
        self._tokens, self._ends = self._base_tokens, frozenset()

    def _view_digest(self) -> str:
        """The base's digest; another one where the subject brings a tokenizer of its own."""
        return digest_with_tokenizer(self._base.digest, self._base_tokens, self._tokens)
