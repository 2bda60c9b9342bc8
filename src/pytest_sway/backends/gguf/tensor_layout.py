"""How GGUF names and orders a model's tensors, of the architectures that are served."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gguf
import numpy as np

from pytest_sway.backends.base import BackendError

ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "mistral": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
}
"""GGUF's architecture by transformers' ``model_type``."""
_PAIRS_APART = (gguf.MODEL_ARCH.LLAMA,)
"""Here llama.cpp rotates neighbouring rows of a head; transformers rotates one half with the other."""


@dataclass(frozen=True)
class TensorLayout:
    """Names and orders of one model's tensors.

    Attributes:
        architecture: GGUF's.
        layers: how many.
        heads: of the queries.
        key_heads: of the keys.
    """

    architecture: gguf.MODEL_ARCH
    layers: int
    heads: int
    key_heads: int

    @property
    def name(self) -> str:
        """The architecture as GGUF files name it."""
        return gguf.MODEL_ARCH_NAMES[self.architecture]

    def tensor_name(self, key: str) -> str | None:
        """GGUF's name of a tensor, or of a module, that transformers calls ``key``; None for another."""
        names = gguf.get_tensor_name_map(self.architecture, self.layers)
        return names.get_name(key, try_suffixes=(".weight", ".bias"))

    def ordered(self, key: str, tensor: np.ndarray) -> np.ndarray:
        """A tensor whose first axis is the output of the module that ``key`` names, in GGUF's order."""
        heads = self.heads if ".q_proj" in key else self.key_heads if ".k_proj" in key else 0
        if not heads or self.architecture not in _PAIRS_APART:
            return tensor
        halves = tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:])
        return halves.swapaxes(1, 2).reshape(tensor.shape)


def layout_of(config: Any, name: str) -> TensorLayout:
    """The layout of a model.

    Args:
        config: its config, of transformers.
        name: the model's in a message.

    Raises:
        BackendError: its architecture is not served.
    """
    if config.model_type not in ARCHITECTURES:
        served = ", ".join(sorted(ARCHITECTURES))
        raise BackendError(
            f"{name} is a {config.model_type} model, which kind: gguf does not support (supported: {served})"
        )
    return TensorLayout(
        ARCHITECTURES[config.model_type],
        config.num_hidden_layers,
        config.num_attention_heads,
        config.num_key_value_heads,
    )
