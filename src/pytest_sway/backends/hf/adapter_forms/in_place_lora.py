"""How a plain LoRA layer adds its update: the same sum as PEFT's, in place.

PEFT's forward makes three more tensors of the output's size in every layer, and on a CPU making and reading
them is most of what an adapter of a small rank costs.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from peft.tuners.lora import Linear, LoraLayer


def use_in_place_forward(layer: LoraLayer) -> None:
    """Let a layer add its update in place, where it is a linear one whose parts are of one dtype.

    Anything else keeps PEFT's forward: embeddings, quantized layers, a base in half precision (whose update
    PEFT computes in fp32).
    """
    base = layer.get_base_layer()
    plain = type(layer) is Linear and type(base) is torch.nn.Linear
    dtypes = {part.weight.dtype for parts in (layer.lora_A, layer.lora_B) for part in parts.values()}
    if plain and dtypes == {base.weight.dtype}:
        layer.forward = partial(_forward, layer, base)


def _forward(
    layer: Linear, base: torch.nn.Linear, x: torch.Tensor, *others: Any, **named: Any
) -> torch.Tensor:
    """W·x + s·B·(A·x); what PEFT's forward would be told besides x is left to it."""
    if others or named or layer.merged or torch.is_grad_enabled():
        found: torch.Tensor = Linear.forward(layer, x, *others, **named)
        return found
    out: torch.Tensor = base(x)
    if layer.disable_adapters:
        return out
    flat = out.view(-1, out.shape[-1])
    for slot in layer.active_adapters:
        a, b = layer.lora_A[slot].weight, layer.lora_B[slot].weight
        inner = torch.nn.functional.linear(x.reshape(-1, x.shape[-1]), a)
        flat.addmm_(inner, b.T, alpha=layer.scaling[slot])
    return out
