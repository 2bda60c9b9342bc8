"""A LoRA layer's forward that adds the update in place: the same sum as PEFT's.

PEFT's forward makes three more tensors of the output's size in every layer, and on a CPU making and reading
them is most of what an adapter of a small rank costs.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from peft.tuners.lora import Linear, LoraLayer


def use_in_place_forward(layer: LoraLayer) -> None:
    """Replace a linear layer's forward, where all its weights have one dtype; PEFT's own everywhere else.

    PEFT's forward is that of embeddings, of quantized layers, and of a base in half precision (whose update
    PEFT computes in fp32).
    """
    vars(layer).pop("forward", None)
    base = layer.get_base_layer()
    plain = type(layer) is Linear and type(base) is torch.nn.Linear
    dtypes = {part.weight.dtype for parts in (layer.lora_A, layer.lora_B) for part in parts.values()}
    if plain and dtypes == {base.weight.dtype}:
        layer.forward = partial(_forward, layer, base)


def _forward(
    layer: Linear, base: torch.nn.Linear, x: torch.Tensor, *others: Any, **named: Any
) -> torch.Tensor:
    """W·x + s·B·(A·x); calls with more arguments than x go to PEFT's forward."""
    if others or named or layer.merged or torch.is_grad_enabled():
        output: torch.Tensor = Linear.forward(layer, x, *others, **named)
        return output
    out: torch.Tensor = base(x)
    if layer.disable_adapters:
        return out
    flat = out.view(-1, out.shape[-1])
    for slot in layer.active_adapters:
        a, b = layer.lora_A[slot].weight, layer.lora_B[slot].weight
        inner = torch.nn.functional.linear(x.reshape(-1, x.shape[-1]), a)
        flat.addmm_(inner, b.T, alpha=layer.scaling[slot])
    return out
