"""The HF + PEFT backend: two primitives over one set of weights.

Nothing is toggled from outside: every primitive names its view, and the full adapter state is set on
entry, so neither an exception nor an order of calls can leave the wrong weights in force.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from typing import Any

import torch
import transformers

from pytest_sway.backends.hf.attach import Source, attach, find
from pytest_sway.backends.hf.attached import Attached
from pytest_sway.backends.hf.merged import RESIZED
from pytest_sway.backends.hf.tokens import Tokens
from pytest_sway.backends.protocols import (
    AdapterKey,
    BackendError,
    Determinism,
    NullWeights,
    Subject,
)
from pytest_sway.requests import Prompt, RequestError, View


class HFBackend:
    """One causal language model in memory; the base, one subject and its nulls are served from it."""

    xp = torch

    def __init__(self, model: Any, tokens: Tokens, base_digest: str) -> None:
        self._model = model
        self._base_tokens = self._tokens = tokens
        self._base_digest = base_digest
        self._keeps = "logits_to_keep" in inspect.signature(model.forward).parameters
        self._held: Attached | None = None
        self._broken = ""
        self._check_row = [(37 * k) % self.vocabulary for k in range(1, 17)]
        self._check_logits = self._base_logits()
        if not bool(torch.isfinite(self._check_logits).all()):
            raise BackendError("the base model's logits are not finite: its weights are broken")

    @property
    def capabilities(self) -> frozenset[str]:
        """Everything but dialogues where the tokenizer has no chat template."""
        served = {"divergence", "completion", "generate", "scale", "nulls"}
        return frozenset(served | ({"chat_template"} if self._tokens.has_chat_template else set()))

    @property
    def vocabulary(self) -> int:
        """Width of the logits."""
        return int(self._model.config.get_text_config().vocab_size)

    @property
    def context(self) -> int | None:
        """The longest text the model was made for."""
        limit = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        return int(limit) if limit else None

    @property
    def epsilon(self) -> float:
        """Machine epsilon of the weights' dtype."""
        return float(torch.finfo(self._model.dtype).eps)

    @property
    def determinism(self) -> Determinism:
        """Strict only where torch was told to use deterministic kernels on a GPU."""
        device = self._model.device.type
        if device == "cpu":
            return Determinism("best_effort", ("cpu: equal on one machine with equal threads",))
        strict = torch.are_deterministic_algorithms_enabled()
        return Determinism("strict" if strict else "loose", (f"{device}, {self._model.dtype}",))

    def encode(self, prompt: Prompt) -> list[int]:
        """Token ids of a prompt."""
        return self._tokens.encode(prompt)

    def encode_pair(self, prompt: Prompt, completion: str) -> tuple[list[int], int]:
        """Token ids of both, and the index of the completion's first token."""
        return self._tokens.encode_pair(prompt, completion)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids."""
        return self._tokens.decode(ids)

    def attach(self, adapter: AdapterKey) -> Subject:
        """Attach an adapter after checking that it can be served; detaches none before it."""
        if self._broken:
            raise BackendError(self._broken)
        if self._held is not None:
            raise BackendError("another adapter is still attached to this backend")
        source = find(adapter)
        tokens = self._shared_tokens(source)
        self._held = attach(self._model, source, self._check_row)
        try:
            self._check_base("attaching")
            self._check_alive(source)
        except BaseException:
            self._drop()
            raise
        self._tokens = tokens
        return Subject(
            base=View(self._view_digest()),
            tuned=View(self._view_digest(), source.digest),
            inert=self._held.inert,
            notes=(*self._held.notes, *source.notes),
            lacks=self._held.lacks,
        )

    def detach(self, subject: Subject) -> None:
        """Take the adapter off and prove that the base is what it was at load."""
        if self._held is not None:
            self._drop()
            self._check_base(f"detaching {subject.tuned.adapter[:8]}")

    def serve_nulls(self, weights: NullWeights) -> None:
        """Draw null factors with ``weights`` from now on; refused where the subject has no nulls."""
        if self._held is None:
            raise BackendError("no adapter is attached: there is nothing a null could imitate")
        self._held.serve_nulls(weights)

    def close(self) -> None:
        """Let go of the weights."""
        self._held = None
        self._model = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def logprobs(self, rows: Sequence[Sequence[int]], view: View, first: Sequence[int]) -> list[torch.Tensor]:
        """Per row, fp32 log-probabilities after its tokens ``first[i]:``; right-padded, one forward."""
        self._enter(view)
        longest, start = max(map(len, rows)), min(first)
        ids, mask = self._padded(rows, longest, left=False)
        with torch.inference_mode():
            keep = {"logits_to_keep": longest - start} if self._keeps else {}
            logits = self._model(input_ids=ids, attention_mask=mask, use_cache=False, **keep).logits
            offset = longest - logits.shape[1]
            return [
                logits[i, begin - offset : len(row) - offset].float().log_softmax(-1)
                for i, (row, begin) in enumerate(zip(rows, first, strict=True))
            ]

    def generate(
        self, rows: Sequence[Sequence[int]], view: View, max_new_tokens: int
    ) -> list[tuple[int, ...]]:
        """Greedy continuations of left-padded rows, cut before the end-of-text token."""
        self._enter(view)
        ids, mask = self._padded(rows, max(map(len, rows)), left=True)
        ends = self._model.generation_config.eos_token_id
        stops = set(ends if isinstance(ends, list) else [] if ends is None else [ends])
        with torch.inference_mode():
            written = self._model.generate(
                input_ids=ids, attention_mask=mask, do_sample=False, max_new_tokens=max_new_tokens
            )
        return [_until(row[ids.shape[1] :].tolist(), stops) for row in written]

    def _padded(
        self, rows: Sequence[Sequence[int]], longest: int, *, left: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        pad = self._model.generation_config.pad_token_id
        ids = torch.full((len(rows), longest), pad, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for i, row in enumerate(rows):
            where = slice(longest - len(row), None) if left else slice(0, len(row))
            ids[i, where] = torch.tensor(row, dtype=torch.long)
            mask[i, where] = 1
        return ids.to(self._model.device), mask.to(self._model.device)

    def _enter(self, view: View) -> None:
        if view.base != self._view_digest():
            raise RequestError(f"view {view.label()} belongs to another base model")
        if self._held is not None:
            self._held.enter(view)
        elif not view.is_base:
            raise RequestError(f"no adapter is attached, so view {view.label()} cannot answer")

    def _base_logits(self) -> torch.Tensor:
        """Logits of one fixed row, the base's weights in force."""
        if self._held is not None:
            self._held.enter(View(self._view_digest()))
        return self._row_logits()

    def _row_logits(self) -> torch.Tensor:
        ids = torch.tensor([self._check_row] * 2, device=self._model.device)
        with torch.inference_mode():
            logits: torch.Tensor = self._model(input_ids=ids, use_cache=False).logits
        return logits

    def _check_base(self, after: str) -> None:
        if not torch.equal(self._base_logits(), self._check_logits):
            self._broken = (
                f"after {after} an adapter the base model no longer gives the logits that it gave when "
                "it was loaded; nothing measured on it could be trusted, so it is discarded"
            )
            raise BackendError(self._broken)

    def _check_alive(self, source: Source) -> None:
        """Finite weights, and finite logits under the adapter."""
        held = self._attached
        if held.fault:
            raise BackendError(
                f"the adapter {source} is broken: {held.fault}; training diverged, so train it again"
            )
        held.enter(View(self._view_digest(), source.digest))
        if not bool(torch.isfinite(self._row_logits()).all()):
            raise BackendError(f"the adapter {source} makes the model's logits non-finite")

    @property
    def _attached(self) -> Attached:
        if self._held is None:
            raise BackendError("no adapter is attached")
        return self._held

    def _drop(self) -> None:
        self._attached.unload()
        self._held = None
        self._tokens = self._base_tokens

    def _shared_tokens(self, source: Source) -> Tokens:
        """The subject's own tokenizer where it brings one with the base's vocabulary; else the base's."""
        folder = source.tokenizer
        if folder is None:
            return self._base_tokens
        try:
            own = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        except Exception as error:
            raise BackendError(f"the tokenizer in {folder} cannot be loaded: {error}") from error
        ours, theirs = self._base_tokens.tokenizer.get_vocab(), own.get_vocab()
        if ours != theirs:
            first = min(set(ours.items()) ^ set(theirs.items()), key=lambda pair: pair[1])
            raise BackendError(
                f"{folder} brings a tokenizer with another vocabulary than the base model's ({len(theirs)} "
                f"tokens, the base has {len(ours)}; first difference: {first[0]!r} as {first[1]}), so they "
                f"cannot be compared token by token; {RESIZED}"
            )
        return Tokens(own)

    def _view_digest(self) -> str:
        """The base's digest; another one where the adapter brings its own chat template."""
        if self._tokens is self._base_tokens:
            return self._base_digest
        template = str(self._tokens.tokenizer.chat_template)
        mixed = hashlib.blake2b(f"{self._base_digest}:{template}".encode(), digest_size=16)
        return mixed.hexdigest()


def _until(ids: list[int], stops: set[int]) -> tuple[int, ...]:
    for index, token in enumerate(ids):
        if token in stops:
            return tuple(ids[:index])
    return tuple(ids)
