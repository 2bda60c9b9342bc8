"""Puts an adapter's layers into a model and takes them out: the base is the base's own layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import mlx.core as mx
import mlx.nn as nn
from mlx_lm.models.switch_layers import QuantizedSwitchLinear, SwitchLinear
from mlx_lm.tuner.lora import LoRAEmbedding, LoRALinear, LoRASwitchLinear

from pytest_sway.backends.base import BackendError

LINEAR = (nn.Linear, nn.QuantizedLinear)
EMBEDDING = (nn.Embedding, nn.QuantizedEmbedding)
SWITCH = (SwitchLinear, QuantizedSwitchLinear)


class InputLoRAEmbedding(LoRAEmbedding):  # type: ignore[misc]
    """LoRA on the embedding of the input alone, as PEFT has it: a head that is tied to it is the base's."""

    def as_linear(self, x: mx.array) -> mx.array:
        """The head of the base."""
        logits: mx.array = self.embedding.as_linear(x)
        return logits


class LoraFactors(NamedTuple):
    """What a LoRA layer of mlx-lm multiplies by: in the shapes of mlx-lm, with their scale."""

    a: mx.array
    b: mx.array
    scale: float


class DenseWeight(NamedTuple):
    """A whole weight in the place of the base's."""

    weight: mx.array


LayerContent = LoraFactors | DenseWeight


class AdapterLayers:
    """The layers that an adapter changes, of the model itself and in its place.

    Args:
        model: of mlx-lm.
        names: of the modules that the adapter changes.
        changes_tied_head: whether an embedding's update counts in a head that is tied to it.
    """

    def __init__(self, model: nn.Module, names: Mapping[str, int], *, changes_tied_head: bool) -> None:
        self._slots = {name: _Slot(model, name) for name in names}
        self._lora = {
            name: _lora_layer(self._slots[name].base, name, rank, changes_tied_head)
            for name, rank in names.items()
        }
        self._dense: dict[str, nn.Module] = {}

    def base_layer(self, name: str) -> nn.Module:
        """The model's own layer."""
        return self._slots[name].base

    def use_base(self) -> None:
        """Put the model's own layers in force."""
        for slot in self._slots.values():
            slot.put(slot.base)

    def use(self, content: Mapping[str, LayerContent]) -> None:
        """Put layers with these contents in force; every one is set, whatever was before."""
        for name, one in content.items():
            if isinstance(one, DenseWeight):
                layer = self._dense.setdefault(name, _dense_layer(self._slots[name].base))
                layer.weight = one.weight
            else:
                layer = self._lora[name]
                layer.lora_a, layer.lora_b, layer.scale = one
            self._slots[name].put(layer)


class _Slot:
    """A place in a model, and the layer that stands there of its own."""

    def __init__(self, model: nn.Module, name: str) -> None:
        *path, self._name = name.split(".")
        self._parent: Any = model
        for part in path:
            self._parent = _child(self._parent, part)
        self.base: nn.Module = _child(self._parent, self._name)

    def put(self, layer: nn.Module) -> None:
        """Put a layer there."""
        if isinstance(self._parent, list):
            self._parent[int(self._name)] = layer
        else:
            setattr(self._parent, self._name, layer)


def _child(parent: Any, name: str) -> Any:
    return parent[int(name)] if isinstance(parent, list) else getattr(parent, name)


def changeable_modules(model: nn.Module) -> dict[str, nn.Module]:
    """The layers that LoRA can be put on, by name."""
    kinds = (*LINEAR, *EMBEDDING, *SWITCH)
    return {name: module for name, module in model.named_modules() if isinstance(module, kinds)}


def weight_shape(layer: nn.Module) -> tuple[int, int]:
    """Rows and columns of a layer's weight, as they would be unquantized; of one expert."""
    rows, columns = (int(size) for size in layer.weight.shape[-2:])
    bits = getattr(layer, "bits", None)
    return rows, columns if bits is None else columns * 32 // bits


def dense_weight(layer: nn.Module) -> mx.array:
    """A layer's weight, dequantized where it is quantized."""
    weight: mx.array = layer.weight
    if getattr(layer, "bits", None) is None:
        return weight
    return mx.dequantize(
        weight,
        layer.scales,
        layer.get("biases"),
        group_size=layer.group_size,
        bits=layer.bits,
        mode=layer.mode,
    )


def _lora_layer(base: nn.Module, name: str, rank: int, changes_tied_head: bool) -> nn.Module:
    """A layer of mlx-lm around the base's; its factors are set before it is used."""
    if isinstance(base, LINEAR):
        return LoRALinear.from_base(base, r=rank, scale=0.0).eval()
    if isinstance(base, SWITCH):
        return LoRASwitchLinear.from_base(base, r=rank, scale=0.0).eval()
    if isinstance(base, EMBEDDING):
        layer = LoRAEmbedding.from_base(base, r=rank, scale=0.0).eval()
        if not changes_tied_head:
            layer.__class__ = InputLoRAEmbedding
        return layer
    raise BackendError(
        f"the adapter cannot be attached to {name}: mlx-lm has no LoRA layer for the type "
        f"{type(base).__name__}"
    )


def _dense_layer(base: nn.Module) -> nn.Module:
    """A linear layer like the base's whose weight is set before it is used."""
    layer = nn.Linear(1, 1, bias=False)
    if "bias" in base:
        layer.bias = base.bias
    return layer
