"""Writes a model folder as a GGUF file of fp32 weights.

The file is for token ids alone: its tokens are named by their numbers, since the model's own tokenizer makes
the ids, and llama.cpp, which knows tokenizers by name, need not know this one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from pytest_sway.backends.base import BackendError
from pytest_sway.backends.gguf.file_writer import gguf_file
from pytest_sway.backends.gguf.tensor_layout import TensorLayout
from pytest_sway.backends.hf.base_model.checkpoint import Checkpoint

_CONVERT = (
    "convert the model with llama.cpp's convert_hf_to_gguf.py and set models.base.base and models.ft.base to "
    "the .gguf file"
)
_END_KEYS = ("add_eos_token_id", "add_eot_token_id", "add_eom_token_id")


def write_model(
    path: Path, checkpoint: Checkpoint, config: Any, layout: TensorLayout, ends: Sequence[int]
) -> None:
    """Write the file.

    Args:
        path: of the file.
        checkpoint: the folder's weights.
        config: its config, of transformers.
        layout: of its tensors.
        ends: ids of the tokens that end a text; llama.cpp stops at the first three of them.

    Raises:
        BackendError: the model computes what GGUF's architecture does not, its files do not hold exactly its
            tensors, or the file cannot be written.
    """
    _check_config(config, checkpoint.folder)
    _check_tensors(config, checkpoint)
    with gguf_file(path, layout.name) as writer:
        _add_config(writer, config)
        _add_tokens(writer, config.vocab_size, ends)
        for key, tensor in _tensors(checkpoint):
            if not _is_left_out(key, config):
                name = _tensor_name(key, checkpoint, layout)
                writer.add_tensor(name, np.ascontiguousarray(layout.ordered(key, tensor)))
        if (factors := _rope_factors(config)) is not None:
            writer.add_tensor("rope_freqs.weight", factors)


def _tensor_name(key: str, checkpoint: Checkpoint, layout: TensorLayout) -> str:
    name = layout.tensor_name(key)
    if name is None:
        known = f"GGUF's architecture {layout.name} has no tensor for {key}"
        raise BackendError(f"{checkpoint.folder}: {known}; {_CONVERT}")
    return name


def _is_left_out(key: str, config: Any) -> bool:
    """Whether a tensor is none of the model's own: computed, or a copy of the embeddings."""
    return key.endswith("rotary_emb.inv_freq") or (key == "lm_head.weight" and config.tie_word_embeddings)


def _check_tensors(config: Any, checkpoint: Checkpoint) -> None:
    """Raise BackendError unless the files hold exactly the model's tensors: llama.cpp can do without some."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    wanted = {k: tuple(v.shape) for k, v in model.state_dict().items() if not _is_left_out(k, config)}
    found = {key: shape for key, shape in checkpoint.shapes.items() if not _is_left_out(key, config)}
    wrong = sorted(key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key))
    if wrong:
        raise BackendError(
            f"{checkpoint.folder} does not contain exactly the tensors described by its config.json: "
            f"{len(wrong)} are missing, unexpected or have another shape (first: {wrong[0]}). Use kind: hf "
            "to see details"
        )


def _tensors(checkpoint: Checkpoint) -> Iterator[tuple[str, np.ndarray]]:
    for file in checkpoint.files:
        with safe_open(file, framework="pt") as tensors:
            for key in tensors.keys():  # noqa: SIM118 - it is no dictionary
                yield key, tensors.get_tensor(key).float().numpy()


def _rope_type(config: Any) -> str:
    return str(config.rope_parameters.get("rope_type", "default"))


def _check_config(config: Any, folder: Path) -> None:
    """Raise BackendError where a field asks for what this writer does not write."""
    window = getattr(config, "sliding_window", None)
    uses_window = window is not None and getattr(config, "use_sliding_window", True)
    refused = {
        "hidden_act": config.hidden_act != "silu" and config.hidden_act,
        "rope_type": _rope_type(config) not in ("default", "llama3") and _rope_type(config),
        "sliding_window": uses_window and window < config.max_position_embeddings and window,
        "quantization_config": getattr(config, "quantization_config", None),
    }
    for field, found in refused.items():
        if found:
            raise BackendError(
                f"kind: gguf cannot convert {folder} to GGUF, because its config.json sets {field}: {found}; "
                f"{_CONVERT}"
            )


def _add_config(writer: gguf.GGUFWriter, config: Any) -> None:
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    # one more than it reads, since the server counts the token that it writes after a whole context
    writer.add_context_length(config.max_position_embeddings + 1)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)


def _add_tokens(writer: gguf.GGUFWriter, count: int, ends: Sequence[int]) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([f"<{token}>" for token in range(count)])
    writer.add_token_types([gguf.TokenType.NORMAL] * count)
    writer.add_token_merges(["< >"])
    writer.add_add_bos_token(False)
    for key, token in zip(_END_KEYS, ends, strict=False):
        getattr(writer, key)(token)


def _rope_factors(config: Any) -> np.ndarray | None:
    """What llama.cpp divides each rotary frequency by, ``[head_dim / 2]``; None for 1."""
    if _rope_type(config) == "default":
        return None
    scaled, _ = ROPE_INIT_FUNCTIONS[_rope_type(config)](config, torch.device("cpu"))
    steps = torch.arange(len(scaled), dtype=torch.float32) / len(scaled)
    plain = config.rope_parameters["rope_theta"] ** -steps
    factors: np.ndarray = (plain / scaled).numpy()
    return factors
