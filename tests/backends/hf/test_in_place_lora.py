"""A plain LoRA layer that adds in place gives PEFT's sum; every other layer keeps PEFT's forward."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import Linear, LoraLayer

from pytest_sway.backends.hf.adapter_forms.in_place_lora import use_in_place_forward


class Two(torch.nn.Module):
    """A linear layer with a bias and an embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(11, 6)
        self.linear = torch.nn.Linear(6, 9)

    def forward(self, ids: torch.Tensor) -> Any:
        return self.linear(self.table(ids))


def wrapped(
    dtype: torch.dtype = torch.float32, targets: tuple[str, ...] = ("linear",)
) -> dict[str, LoraLayer]:
    torch.manual_seed(0)
    model = Two().to(dtype)
    config = LoraConfig(r=3, lora_alpha=7, target_modules=list(targets), init_lora_weights=False)
    made = get_peft_model(model, config).eval()
    return {name.rpartition(".")[2]: m for name, m in made.named_modules() if isinstance(m, LoraLayer)}


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("enabled", [True, False])
def test_the_sum_is_pefts(scale: float, enabled: bool) -> None:
    layer = wrapped()["linear"]
    layer.enable_adapters(enabled=enabled)
    layer.scaling["default"] *= scale
    x = torch.randn(4, 5, 6)
    with torch.inference_mode():
        expected = layer(x)
        use_in_place_forward(layer)
        found = layer(x)
        base = layer.get_base_layer()(x)
    assert "forward" in vars(layer)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
    assert torch.equal(found, base) == (scale == 0.0 or not enabled)


def test_several_active_adapters_are_all_added() -> None:
    layer = wrapped()["linear"]
    layer.update_layer("other", 2, 5, config=LoraConfig(r=2, lora_alpha=5, init_lora_weights=False))
    layer.set_adapter(["default", "other"])
    x = torch.randn(3, 6)
    with torch.inference_mode():
        expected = layer(x)
        use_in_place_forward(layer)
        torch.testing.assert_close(layer(x), expected, atol=1e-6, rtol=1e-6)


def test_what_is_reported_besides_the_input_is_pefts_affair() -> None:
    layer = wrapped()["linear"]
    x = torch.randn(2, 6)
    use_in_place_forward(layer)
    with torch.inference_mode():
        mixed = layer(x, adapter_names=["__base__", "default"])
        torch.testing.assert_close(mixed[0], layer.get_base_layer()(x)[0])
        torch.testing.assert_close(mixed[1], layer(x)[1], atol=1e-6, rtol=1e-6)


def test_layers_of_another_kind_keep_pefts_forward() -> None:
    layers = wrapped(targets=("linear", "table"))
    half = wrapped(torch.bfloat16)["linear"]
    half.lora_A.float()
    for layer in (layers["table"], half):
        use_in_place_forward(layer)
        assert "forward" not in vars(layer)
    assert type(half) is Linear
