"""Sizes of the random models: fields of a Llama's config."""

from __future__ import annotations


def _llama(
    hidden: int, inner: int, layers: int, heads: int, key_value_heads: int, vocabulary: int
) -> dict[str, int]:
    return {
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": key_value_heads,
        "vocab_size": vocabulary,
    }


MODEL_SIZES = {
    "small": _llama(48, 96, 2, 3, 1, 512),
    "135m": _llama(576, 1536, 30, 9, 3, 49_152),
    "1.5b": _llama(1536, 8960, 28, 12, 2, 151_936),
    "7b": _llama(4096, 11_008, 32, 32, 32, 32_000),
}
"""A tiny one to try a benchmark with; as SmolLM2-135M, Qwen2.5-1.5B and Llama-2-7B."""
