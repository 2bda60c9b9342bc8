"""A custom backend as a user of dlm-sway writes one: transformers and PEFT behind its protocol."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.support.differential_model import RollingLogprob, TokenDist


class TransformersView:
    def __init__(self, model: Any, tokenizer: Any) -> None:
        self._model = model
        self._tokenizer = tokenizer

    def logprob_of(self, prompt: str, completion: str) -> float:
        first, ids = len(self._ids(prompt)), self._ids(prompt + completion)
        rows = self._logprobs(ids)
        return sum(float(rows[i - 1, ids[i]]) for i in range(first, len(ids)))

    def rolling_logprob(self, text: str) -> RollingLogprob:
        ids = self._ids(text)
        rows = self._logprobs(ids)
        each = tuple(float(rows[i - 1, ids[i]]) for i in range(1, len(ids)))
        return RollingLogprob(tuple(ids), each, len(ids), sum(each))

    def next_token_dist(self, prompt: str, *, top_k: int = 256) -> TokenDist:
        row = self._logprobs(self._ids(prompt))[-1]
        values, indices = row.topk(min(top_k, len(row)))
        return TokenDist(indices.numpy(), values.numpy(), len(row), None if top_k >= len(row) else 0.0)

    def generate(
        self, prompt: str, *, max_new_tokens: int, temperature: float = 0.0, top_p: float = 1.0, seed: int = 0
    ) -> str:
        ids = torch.tensor([self._ids(prompt)])
        written = self._model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=max_new_tokens, do_sample=False
        )
        text: str = self._tokenizer.decode(written[0, ids.shape[1] :], skip_special_tokens=True)
        return text

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text).input_ids
        return ids

    def _logprobs(self, ids: list[int]) -> torch.Tensor:
        with torch.inference_mode():
            rows: torch.Tensor = self._model(torch.tensor([ids])).logits[0].float().log_softmax(-1)
        return rows


class TransformersBackend:
    def __init__(self, *, base_spec: Any, adapter_path: Path) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(base_spec.base)
        base = AutoModelForCausalLM.from_pretrained(base_spec.base, dtype=torch.float32)
        self._model = PeftModel.from_pretrained(base, adapter_path).eval()

    @contextmanager
    def as_base(self) -> Iterator[TransformersView]:
        with self._model.disable_adapter():
            yield TransformersView(self._model, self._tokenizer)

    @contextmanager
    def as_finetuned(self) -> Iterator[TransformersView]:
        yield TransformersView(self._model, self._tokenizer)
