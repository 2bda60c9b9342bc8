"""Models of many kinds, tiny and random: in batches and shared rows texts score as in plain transformers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import (
    AutoTokenizer,
    BloomConfig,
    BloomForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from pytest_sway.backends.base import BackendError
from pytest_sway.backends.hf.backend import HFBackend
from pytest_sway.backends.hf.base_model.base_model import BaseModel
from pytest_sway.backends.hf.prompts.prompt_tokenizer import PromptTokenizer
from pytest_sway.engine.planner import Planner
from pytest_sway.requests import Completion, View
from tests.support.paths import QUICKSTART
from tests.support.planner_answers import planner_answers

V, H = 4096, 32
SHAPE = {
    "vocab_size": V, "hidden_size": H, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 96, "initializer_range": 0.3, "pad_token_id": 0,
}  # fmt: skip
MODELS: dict[str, Callable[[], Any]] = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SHAPE, head_dim=8)),
    "gpt2": lambda: GPT2LMHeadModel(
        GPT2Config(vocab_size=V, n_embd=H, n_layer=2, n_head=4, n_positions=96, initializer_range=0.3)
    ),
    "opt": lambda: OPTForCausalLM(
        OPTConfig(
            vocab_size=V, hidden_size=H, ffn_dim=64, num_hidden_layers=2, num_attention_heads=4,
            word_embed_proj_dim=H, max_position_embeddings=96, init_std=0.3,
        )
    ),
    "gpt_neo": lambda: GPTNeoForCausalLM(
        GPTNeoConfig(
            vocab_size=V, hidden_size=H, num_layers=2, attention_types=[[["global", "local"], 1]],
            num_heads=4, max_position_embeddings=96, window_size=30, initializer_range=0.3,
        )
    ),
    "bloom": lambda: BloomForCausalLM(
        BloomConfig(vocab_size=V, hidden_size=H, n_layer=2, n_head=4, initializer_range=0.3)
    ),
    "phi3_window": lambda: Phi3ForCausalLM(Phi3Config(**SHAPE, sliding_window=30)),
    "mistral_window": lambda: MistralForCausalLM(MistralConfig(**SHAPE, sliding_window=30)),
    "mixtral": lambda: MixtralForCausalLM(MixtralConfig(**SHAPE, num_local_experts=2, sliding_window=None)),
    "gemma2": lambda: Gemma2ForCausalLM(
        Gemma2Config(**SHAPE, head_dim=8, sliding_window=30, query_pre_attn_scalar=8)
    ),
}  # fmt: skip
SHARING = {"llama", "qwen3", "gpt2", "mixtral"}
BY_PROCESSOR = {("mixtral", torch.bfloat16)}
"""Whose trial turns out well on some processors: what bf16 rounds may send a token to another expert."""
APART = {"opt"}
"""Whose head cannot be run apart from the rest: the whole forward is run."""


def served(name: str, dtype: torch.dtype) -> HFBackend:
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(QUICKSTART / "base")
    return HFBackend(MODELS[name]().to(dtype).eval(), PromptTokenizer(tokenizer), BaseModel(name))


def requests() -> list[Completion]:
    stem = "The harbour office keeps a list of every vessel that came into the bay, its crew and its"
    base = View("")
    asked = [
        Completion(stem, f" {word} and what it {word}s", base)
        for word in ("cargo", "captain", "port", "sail")
    ]
    asked += [
        Completion("", f"{word} went down to the sea", base) for word in ("She", "He", "They", "Nobody")
    ]
    return [*asked, Completion("", f"{stem} owner. {stem} captain.", base)]


def reference_logprob(backend: HFBackend, request: Completion) -> float:
    """The text by itself, in one plain forward."""
    ids, first = backend.encode_pair(request.prompt, request.completion)
    with torch.inference_mode():
        logits = backend._model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    table = logits.float().log_softmax(-1)
    return sum(float(table[i - 1, ids[i]]) for i in range(first, len(ids))) / (len(ids) - first)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("name", MODELS)
def test_every_text_scores_as_if_by_itself(name: str, dtype: torch.dtype) -> None:
    backend = served(name, dtype)
    asked = [Completion(r.prompt, r.completion, View(name)) for r in requests()]
    planner = Planner(backend)
    answers = planner_answers(planner, asked)
    assert backend.packs_rows == (name in SHARING) or (name, dtype) in BY_PROCESSOR
    assert (backend._scorer.trunk is None) == (name in APART)
    assert (planner.costs.shared_tokens > 0) == backend.packs_rows
    allowed = 1e-4 if dtype == torch.float32 else 0.1
    for request in asked:
        found = answers[request]
        assert found.logprob / found.tokens == pytest.approx(reference_logprob(backend, request), abs=allowed)


def test_a_mask_that_is_not_kept_to_is_noticed_in_bf16_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within bf16's rounding a model that ignores the mask looks right, were there no counter-proof."""
    from pytest_sway.backends.hf import scoring

    monkeypatch.setattr(scoring.Scorer, "_additive_mask", lambda self, ends: None)
    assert not served("llama", torch.bfloat16).packs_rows


def test_frequencies_that_grow_with_what_was_read_are_refused() -> None:
    rope = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    config = LlamaConfig(**SHAPE, rope_parameters=rope)
    tokenizer = AutoTokenizer.from_pretrained(QUICKSTART / "base")
    with pytest.raises(BackendError, match="rope_type of the base model is dynamic"):
        HFBackend(LlamaForCausalLM(config).eval(), PromptTokenizer(tokenizer), BaseModel("dynamic"))
