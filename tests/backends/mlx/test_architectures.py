"""Models that transformers saved: mlx-lm answers as transformers does, whatever its own defaults are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers as tr

from pytest_sway.backends.base import BackendError, ModelKey
from pytest_sway.backends.mlx.load_backend import load_backend
from pytest_sway.requests import View
from pytest_sway.token_sequences import PackedRow, TokenSequence
from tests.support.awq_models import save_awq
from tests.support.hf_models import ROWS, reference_logprobs
from tests.support.peft_adapters import base_model
from tests.support.tiny_models import SIZES, random_base

ROPE = {"rope_parameters": {"rope_theta": 500.0, "rope_type": "default"}}
LLAMA3 = {
    "rope_theta": 500.0,
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
MOE = {"num_experts_per_tok": 2, "head_dim": 16}
MODELS: dict[str, tuple[Any, Any]] = {
    "llama": (tr.LlamaForCausalLM, tr.LlamaConfig(**SIZES, **ROPE)),
    "llama_tied": (tr.LlamaForCausalLM, tr.LlamaConfig(**SIZES, **ROPE, tie_word_embeddings=True)),
    "llama3_scaling": (tr.LlamaForCausalLM, tr.LlamaConfig(**SIZES, rope_parameters=LLAMA3)),
    "mistral": (tr.MistralForCausalLM, tr.MistralConfig(**SIZES, **ROPE, sliding_window=None)),
    "qwen2": (tr.Qwen2ForCausalLM, tr.Qwen2Config(**SIZES, **ROPE)),
    "qwen3": (tr.Qwen3ForCausalLM, tr.Qwen3Config(**SIZES, **ROPE, head_dim=16)),
    "qwen3_moe": (
        tr.Qwen3MoeForCausalLM,
        tr.Qwen3MoeConfig(**SIZES, **ROPE, **MOE, moe_intermediate_size=24, num_experts=4),
    ),
    "mixtral": (tr.MixtralForCausalLM, tr.MixtralConfig(**SIZES, **ROPE, num_local_experts=4)),
    "gemma2": (tr.Gemma2ForCausalLM, tr.Gemma2Config(**SIZES, **ROPE, head_dim=16, sliding_window=64)),
    "gemma3": (
        tr.Gemma3ForCausalLM,
        tr.Gemma3TextConfig(**{**SIZES, "num_hidden_layers": 7}, head_dim=16, sliding_window=4),
    ),
    "phi3": (tr.Phi3ForCausalLM, tr.Phi3Config(**SIZES, **ROPE, pad_token_id=0, sliding_window=None)),
    "olmo2": (tr.Olmo2ForCausalLM, tr.Olmo2Config(**SIZES, **ROPE)),
    "gpt_neox": (
        tr.GPTNeoXForCausalLM,
        tr.GPTNeoXConfig(
            **SIZES,
            intermediate_size=128,
            rope_parameters={"rope_theta": 500.0, "rope_type": "default", "partial_rotary_factor": 0.5},
        ),
    ),
    "starcoder2": (tr.Starcoder2ForCausalLM, tr.Starcoder2Config(**SIZES, **ROPE, sliding_window=None)),
    "granite": (tr.GraniteForCausalLM, tr.GraniteConfig(**SIZES, **ROPE, logits_scaling=3.0)),
    "cohere": (tr.CohereForCausalLM, tr.CohereConfig(**SIZES, **ROPE)),
}
WINDOW = {"sliding_window": 4}
WINDOWS: dict[str, tuple[Any, Any]] = {
    "gemma2": (tr.Gemma2ForCausalLM, tr.Gemma2Config(**SIZES, **ROPE, **WINDOW, head_dim=16)),
    "mistral": (tr.MistralForCausalLM, tr.MistralConfig(**SIZES, **ROPE, **WINDOW)),
    "phi3": (tr.Phi3ForCausalLM, tr.Phi3Config(**SIZES, **ROPE, **WINDOW, pad_token_id=0)),
    "starcoder2": (tr.Starcoder2ForCausalLM, tr.Starcoder2Config(**SIZES, **ROPE, **WINDOW)),
    "qwen2": (
        tr.Qwen2ForCausalLM,
        tr.Qwen2Config(**SIZES, **ROPE, **WINDOW, use_sliding_window=True, max_window_layers=0),
    ),
    "cohere2": (
        tr.Cohere2ForCausalLM,
        tr.Cohere2Config(**{**SIZES, "num_hidden_layers": 4}, **ROPE, **WINDOW, head_dim=16),
    ),
}
FAST = ("llama",)


def scored(folder: Path, rows: list[list[int]] = ROWS) -> list[np.ndarray]:
    backend = load_backend(ModelKey("mlx", str(folder), dtype="fp32", device="cpu"))
    texts = [TokenSequence(tuple(row), 0) for row in rows]
    packed = [PackedRow((text,)) for text in texts]
    view = View(backend._view_digest())
    found = {text: np.array(piece) for text, _, piece in backend.logprobs(packed, view, 1000)}
    backend.close()
    return [found[text] for text in texts]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in MODELS]
)
def test_the_model_is_the_one_that_was_saved(tmp_path: Path, name: str) -> None:
    model = random_base(tmp_path, *MODELS[name])
    expected = [reference_logprobs(model, row).numpy() for row in ROWS]
    off = max(float(np.abs(a - b).max()) for a, b in zip(scored(tmp_path), expected, strict=True))
    assert off < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("name", WINDOWS)
def test_a_window_is_kept_or_no_text_is_longer(tmp_path: Path, name: str) -> None:
    """Some of mlx-lm's models let a token see all before it, whatever the config says."""
    model = random_base(tmp_path, *WINDOWS[name])
    backend = load_backend(ModelKey("mlx", str(tmp_path), dtype="fp32", device="cpu"))
    context = backend.context
    backend.close()
    rows = [row for row in ROWS if context is None or len(row) <= context] or [ROWS[1]]
    expected = [reference_logprobs(model, row).numpy() for row in rows]
    off = max(float(np.abs(a - b).max()) for a, b in zip(scored(tmp_path, rows), expected, strict=True))
    assert off < 1e-3


@pytest.mark.slow
def test_a_base_that_autoawq_packed(tmp_path: Path) -> None:
    model = save_awq(tmp_path / "awq")
    expected = [reference_logprobs(model, row).numpy() for row in ROWS]
    found = scored(tmp_path / "awq")
    off = max(float(np.abs(a - b).max()) for a, b in zip(found, expected, strict=True))
    assert off < 1e-3
    full = [reference_logprobs(base_model(), row).numpy() for row in ROWS]
    assert max(float(np.abs(a - b).max()) for a, b in zip(found, full, strict=True)) > 0.05


@pytest.mark.slow
def test_a_head_that_a_tied_config_would_lose_is_refused(tmp_path: Path) -> None:
    random_base(tmp_path, *MODELS["llama"])
    path = tmp_path / "config.json"
    config = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**config, "tie_word_embeddings": True}), "utf-8")
    with pytest.raises(
        BackendError, match=r"contains lm_head.weight, which differs from model.embed_tokens.weight"
    ):
        load_backend(ModelKey("mlx", str(tmp_path)))


@pytest.mark.slow
def test_a_default_that_is_not_written_is_transformers_own(tmp_path: Path) -> None:
    """A Llama's head is its own, unless the config says otherwise."""
    model = random_base(tmp_path, *MODELS["llama"])
    path = tmp_path / "config.json"
    config = json.loads(path.read_text("utf-8"))
    config.pop("tie_word_embeddings")
    path.write_text(json.dumps(config), "utf-8")
    expected = [reference_logprobs(model, row).numpy() for row in ROWS]
    off = max(float(np.abs(a - b).max()) for a, b in zip(scored(tmp_path), expected, strict=True))
    assert off < 1e-3
