"""Which modules a config names: by PEFT's own code, and by mlx-lm's."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlx_lm.tuner.utils import linear_to_lora_layers
from mlx_lm.utils import load_model
from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists
from peft.utils.other import get_pattern_key

from pytest_sway.backends.mlx.adapter_layers import changeable_modules
from pytest_sway.backends.mlx.target_modules import mlx_targets, pattern_value, peft_targets
from tests.support.peft_adapters import BASE

MODULES = [
    *(f"model.layers.{n}.self_attn.{name}_proj" for n in range(12) for name in "qkvo"),
    *(f"model.layers.{n}.mlp.{name}_proj" for n in range(12) for name in ("gate", "up", "down")),
    "model.embed_tokens",
    "lm_head",
]
TARGETS: list[Any] = [
    ["q_proj", "v_proj"],
    ["layers.1.mlp.down_proj", "model.layers.11.self_attn.q_proj"],
    r".*\.(q|k)_proj",
    r"model\.layers\.[0-3]\.mlp\..*",
    ["proj"],
    ["embed_tokens", "lm_head"],
]


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"layers_to_transform": [0, 11]},
        {"layers_to_transform": 2, "layers_pattern": "layers"},
        {"exclude_modules": ["v_proj", "layers.1.mlp.down_proj"]},
        {"exclude_modules": r".*\.1\..*"},
    ],
)
def test_as_peft_chooses(targets: Any, more: dict[str, Any]) -> None:
    if isinstance(targets, str) and "layers_to_transform" in more:
        pytest.skip("PEFT refuses both together")
    config = LoraConfig(target_modules=targets, **more)
    expected = {name for name in MODULES if _is_chosen(check_target_module_exists(config, name))}
    assert peft_targets({"target_modules": targets, **more}, MODULES) == expected


def _is_chosen(found: Any) -> bool:
    """PEFT answers with a bool, with a match, or with an object that is true for a module left out."""
    return bool(found) and type(found).__name__ != "_ExcludedModule"


KEYS = ["q_proj", "mlp.up_proj", r"layers\.1\..*", "layers.1.mlp.up_proj"]


@given(st.dictionaries(st.sampled_from(KEYS), st.integers(1, 64)), st.sampled_from(MODULES))
def test_patterns_as_peft_reads_them(pattern: dict[str, int], name: str) -> None:
    expected = pattern.get(get_pattern_key(pattern.keys(), name), -1)
    assert pattern_value(pattern, name, -1) == expected


@pytest.mark.parametrize("layers", [-1, 0, 1, 2, 4, 9])
@pytest.mark.parametrize(
    "keys",
    [None, ["self_attn.q_proj"], ["model.layers.0.mlp.up_proj", "mlp.down_proj"], ["model.embed_tokens"]],
)
def test_as_mlx_lm_chooses(layers: int, keys: list[str] | None) -> None:
    model, _ = load_model(BASE, lazy=True)
    own = {id(module): name for name, module in model.named_modules()}
    names = [own[id(layer)] for layer in model.layers]
    found = mlx_targets(keys, layers, names, changeable_modules(model))
    parameters = {"rank": 2, "scale": 1.0, "dropout": 0.0, **({} if keys is None else {"keys": keys})}
    linear_to_lora_layers(model, layers, parameters)
    assert found == {name for name, module in model.named_modules() if "lora_a" in module}
