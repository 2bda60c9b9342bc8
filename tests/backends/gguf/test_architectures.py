"""Other architectures than the quickstart's, and what configs may say: the same numbers, or a refusal."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from pytest_sway.backends.base import BackendError, ModelKey, Subject
from pytest_sway.backends.gguf.load_backend import load_backend
from pytest_sway.requests import Completion, Divergence, Generate, Request, RequestError, View
from pytest_sway.token_sequences import ForcedCompletion, TokenSequence
from tests.support.both_backends import assert_same_answers
from tests.support.checkpoints import State, tensors
from tests.support.peft_adapters import lora, save_adapter
from tests.support.tiny_models import SIZES, backend_of, random_base

TINY = {
    **SIZES,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 96,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
MODELS: dict[str, tuple[Any, Any]] = {
    "untied": (LlamaForCausalLM, LlamaConfig(**TINY, tie_word_embeddings=False)),
    "biases": (LlamaForCausalLM, LlamaConfig(**TINY, attention_bias=True, mlp_bias=True)),
    "llama3": (LlamaForCausalLM, LlamaConfig(**TINY, rope_parameters=LLAMA3)),
    "mistral": (MistralForCausalLM, MistralConfig(**TINY, sliding_window=None, head_dim=32)),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(**TINY)),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config(**TINY, head_dim=32)),
}
STEM = "The master of the works is"


@pytest.mark.parametrize("name", MODELS)
def test_the_numbers_are_those_of_transformers(tmp_path: Path, name: str) -> None:
    kind, config = MODELS[name]
    model = random_base(tmp_path / "base", kind, config)
    with torch.no_grad():  # biases begin as 0 and norms as 1, and so would not be missed
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) / 4)
    model.save_pretrained(tmp_path / "base")
    adapter = save_adapter(tmp_path / "adapter", lora(), base=model)
    served, reference = load_backend(ModelKey("gguf", str(tmp_path / "base"))), backend_of(tmp_path / "base")

    def requests(subject: Subject) -> Sequence[Request[Any]]:
        views = (subject.base, subject.tuned, subject.tuned.scaled(0.5))
        texts = [Completion(STEM, " Bram Hollis, who has held the post for years.", view) for view in views]
        return [*texts, Divergence(STEM, *views[:2]), Generate(STEM, subject.tuned, 4)]

    try:
        assert_same_answers(served, reference, adapter, requests)
    finally:
        served.close()
        reference.close()


@pytest.mark.parametrize(
    ("kind", "config", "says"),
    [
        (
            GPTNeoXForCausalLM,
            GPTNeoXConfig(**SIZES, intermediate_size=64),
            "is a gpt_neox model, which kind: gguf does not support",
        ),
        (LlamaForCausalLM, LlamaConfig(**TINY, hidden_act="gelu"), "hidden_act: gelu"),
        (MistralForCausalLM, MistralConfig(**TINY, sliding_window=16), "sliding_window: 16"),
        (
            LlamaForCausalLM,
            LlamaConfig(
                **TINY, rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}
            ),
            "rope_type: linear",
        ),
    ],
)
def test_what_is_not_written_is_refused(tmp_path: Path, kind: Any, config: Any, says: str) -> None:
    random_base(tmp_path / "base", kind, config)
    with pytest.raises(BackendError, match=says):
        load_backend(ModelKey("gguf", str(tmp_path / "base")))


def without(part: str) -> Callable[[State], State]:
    return lambda state: {key: tensor for key, tensor in state.items() if part not in key}


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("untied", without("lm_head"), r"1 are missing, .*\(first: lm_head\.weight\)"),
        ("qwen2", without("bias"), r"6 are missing, .*self_attn\.k_proj\.bias"),
        ("biases", without("o_proj.bias"), r"2 are missing, .*o_proj\.bias"),
        ("qwen3", without("q_norm"), r"2 are missing, .*q_norm"),
        (
            "untied",
            lambda state: {**state, "extra.weight": torch.zeros(2)},
            r"1 are missing, unexpected .*extra",
        ),
    ],
)
def test_tensors_that_llama_cpp_could_do_without_are_missed(
    tmp_path: Path, name: str, change: Callable[[State], State], says: str
) -> None:
    """Without a head it takes the embeddings, without biases it adds none: other numbers, and no error."""
    random_base(tmp_path / "base", *MODELS[name])
    tensors(change)(tmp_path / "base")
    with pytest.raises(BackendError, match=f"does not contain exactly the tensors .*{says}"):
        load_backend(ModelKey("gguf", str(tmp_path / "base")))


def test_a_config_of_another_model_is_refused(tmp_path: Path) -> None:
    random_base(tmp_path / "base", *MODELS["qwen3"])
    path = tmp_path / "base/config.json"
    changed = {
        **json.loads(path.read_text("utf-8")),
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
    }
    path.write_text(json.dumps(changed), "utf-8")
    with pytest.raises(BackendError, match=r"4 are missing, unexpected .*self_attn\.\w_norm"):
        load_backend(ModelKey("gguf", str(tmp_path / "base")))


def test_a_nan_that_one_token_alone_shows_is_no_number(tmp_path: Path) -> None:
    random_base(tmp_path / "base", *MODELS["llama3"])

    def break_token(state: State) -> State:
        state["model.embed_tokens.weight"][900] = torch.nan
        return state

    tensors(break_token)(tmp_path / "base")
    served = load_backend(ModelKey("gguf", str(tmp_path / "base")))
    try:
        base = View(served._digest)
        served.prepare([base], 8)
        assert served.target_logprobs([ForcedCompletion((5, 6), (7,))], base)[0][0] < 0
        for ask in (
            lambda: served.target_logprobs([ForcedCompletion((5, 900), (7,))], base),
            lambda: served.logprobs(TokenSequence((5, 900, 6), 1), base),
        ):
            with pytest.raises(
                RequestError,
                match=r"sum to .* instead of 1\. Either the model's outputs",
            ):
                ask()
    finally:
        served.close()


def test_a_disk_that_is_full_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gguf.GGUFWriter.write_tensors_to_file", full)
    random_base(tmp_path / "base", *MODELS["qwen2"])
    with pytest.raises(BackendError, match=r"base\.gguf cannot be written: .*No space left"):
        load_backend(ModelKey("gguf", str(tmp_path / "base")))
