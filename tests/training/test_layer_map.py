"""Which layer an optimizer's parameters belong to: against the model's own order."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from pytest_sway.training.adapter_weights import key_shapes
from pytest_sway.training.errors import TrainingDataError
from pytest_sway.training.layer_map import NoLayerMapError, ParameterLocation, Shape, parameter_locations
from tests.support.dlm_training import lora

LLAMA = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 11,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


def trained(model: torch.nn.Module) -> list[tuple[str, Shape]]:
    """The parameters as an optimizer numbers them, under the names that the file gives them."""
    named = [(name, tuple(p.shape)) for name, p in model.named_parameters() if p.requires_grad]
    return [(n.replace(".default", "").replace(".modules_to_save", ""), shape) for n, shape in named]


@pytest.mark.parametrize(
    "config",
    [
        {"target_modules": "all-linear"},
        {"target_modules": ["q_proj", "v_proj"], "use_dora": True},
        {"target_modules": ["down_proj"], "modules_to_save": ["embed_tokens", "lm_head"]},
        {"target_modules": ["embed_tokens", "o_proj"]},
        {"target_modules": ["up_proj", "q_proj"], "layers_to_transform": [3, 10]},
        {"target_modules": "all-linear", "rank_pattern": {"model.layers.7.self_attn.q_proj": 3}},
    ],
    ids=["all", "dora", "saved", "embedding", "two layers", "ranks"],
)
def test_peft_on_llama(tmp_path: Path, config: dict[str, Any]) -> None:
    """Eleven layers: the file has layers.10 before layers.2, and k_proj before q_proj."""
    torch.manual_seed(0)
    model = get_peft_model(LlamaForCausalLM(LlamaConfig(**LLAMA)), LoraConfig(r=2, **config))
    model.save_pretrained(tmp_path)
    expected = trained(model)
    found = parameter_locations(
        key_shapes(tmp_path / "adapter_model.safetensors"), [shape for _, shape in expected]
    )
    for place, (name, _) in zip(found, expected, strict=True):
        number = name.split(".layers.")[1].split(".")[0] if ".layers." in name else "-1"
        assert str(place.number) == number
        assert place.layer in name
        assert f".{place.part}" in name
        alternatives = place.name.removesuffix(f".{place.part}").removeprefix(place.layer).strip(".")
        assert any(f"{module}.{place.part}" in name for module in alternatives.split("|"))


def test_the_order_of_the_file_is_not_that_of_the_optimizer(tmp_path: Path) -> None:
    """What a reader that trusts the file's order would get wrong."""
    model = lora()
    model.save_pretrained(tmp_path)
    shapes = key_shapes(tmp_path / "adapter_model.safetensors")
    assert list(shapes) != [name for name, _ in trained(model)]
    found = parameter_locations(shapes, [shape for _, shape in trained(model)])
    assert [place.number for place in found] == [number for number in range(12) for _ in range(4)]
    assert found[0] == ParameterLocation("layers.0.up.lora_A", "layers.0", 0, "lora_A")


def keys(
    layers: int, modules: dict[str, tuple[Shape, Shape]], name: str = "model.layers"
) -> dict[str, Shape]:
    return {
        f"base_model.model.{name}.{i}.{module}.lora_{factor}.weight": shape
        for i in range(layers)
        for module, pair in modules.items()
        for factor, shape in zip("AB", pair, strict=True)
    }


SQUARE = {"q": ((2, 8), (8, 2)), "k": ((2, 8), (4, 2))}


@settings(max_examples=25)
@given(st.integers(1, 13), st.integers(0, 10**6))
def test_the_files_order_does_not_matter(layers: int, seed: int) -> None:
    shapes = keys(layers, SQUARE)
    order = list(shapes.values())
    shuffled = list(shapes.items())
    random.Random(seed).shuffle(shuffled)
    found = parameter_locations(dict(shuffled), order)
    assert [place.name for place in found] == [
        key.removeprefix("base_model.model.").removesuffix(".weight") for key in shapes
    ]


@pytest.mark.parametrize(
    "name", ["transformer.h", "encoder.layer", "blocks", "model.decoder.layers", "block"]
)
def test_names_of_lists(name: str) -> None:
    shapes = keys(3, SQUARE, name)
    assert [p.layer for p in parameter_locations(shapes, list(shapes.values()))[::4]] == [
        f"{name}.{i}" for i in range(3)
    ]


def test_a_parameter_without_state_fits_any_shape() -> None:
    shapes = keys(4, SQUARE)
    order: list[Shape | None] = list(shapes.values())
    order[5] = None
    assert parameter_locations(shapes, order)[5].name == "model.layers.1.q.lora_B"


def test_modules_of_one_shape_are_all_named() -> None:
    shapes = keys(2, {"up": ((2, 8), (8, 2)), "gate": ((2, 8), (8, 2))})
    assert parameter_locations(shapes, list(shapes.values()))[0].name == "model.layers.0.up|gate.lora_A"


def test_two_lists_of_layers_are_distinguished_by_shape() -> None:
    """The decoder stands first in the file, the encoder in the model."""
    encoder = keys(2, {"q": ((2, 8), (8, 2))}, "encoder.layers")
    decoder = keys(2, {"q": ((2, 6), (6, 2))}, "decoder.layers")
    found = parameter_locations({**decoder, **encoder}, [*encoder.values(), *decoder.values()])
    assert [place.layer for place in found[::4]] == ["encoder.layers.0", "decoder.layers.0"]


def test_a_shared_weight_is_once_in_the_optimizer() -> None:
    shapes = {
        **keys(2, SQUARE),
        "base_model.model.lm_head.weight": (40, 8),
        "base_model.model.embed.weight": (40, 8),
    }
    found = parameter_locations(shapes, [(40, 8), *keys(2, SQUARE).values()])
    assert [place.number for place in found] == [-1, *[0] * 4, *[1] * 4]


@pytest.mark.parametrize(
    ("shapes", "order", "says"),
    [
        ({"score.weight": (2, 8)}, [(2, 8)], "no tensor name of the adapter contains a layer"),
        (
            keys(2, SQUARE),
            list(keys(2, SQUARE).values())[:-1],
            "has 8 parameters inside layers and 0 outside",
        ),
        (keys(2, SQUARE), [*keys(2, SQUARE).values(), (1,)], "the optimizer has 9 parameters"),
        (keys(2, SQUARE), list(keys(2, SQUARE).values())[::-1], "no order of the adapter's modules matches"),
        (
            {**keys(2, SQUARE, "encoder.layers"), **keys(2, SQUARE, "decoder.layers")},
            [*keys(4, SQUARE).values()],
            "several orders of the adapter's modules match",
        ),
        (
            {k: v for i in range(9) for k, v in keys(1, SQUARE, f"tower{i}.layers").items()},
            [*keys(9, SQUARE).values()],
            "there are too many possible orders",
        ),
    ],
)
def test_no_map_is_said(shapes: dict[str, Shape], order: list[Shape], says: str) -> None:
    with pytest.raises(NoLayerMapError, match=says):
        parameter_locations(shapes, order)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 16,
        b"\x02\0\0\0\0\0\0\0{}x"[:9],
        b"\x02\0\0\0\0\0\0\0[]",
        len(b'{"a":{}}').to_bytes(8, "little") + b'{"a":{}}',
        len(b'{"a":{"shape":["x"]}}').to_bytes(8, "little") + b'{"a":{"shape":["x"]}}',
    ],
    ids=range(6),
)
def test_no_safetensors_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "adapter_model.safetensors"
    path.write_bytes(content)
    with pytest.raises(TrainingDataError, match="is not a safetensors file"):
        key_shapes(path)


def test_a_header_alone_is_enough(tmp_path: Path) -> None:
    header = json.dumps({"__metadata__": {"format": "pt"}, "a": {"dtype": "F32", "shape": [2, 3]}}).encode()
    path = tmp_path / "adapter_model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    assert key_shapes(path) == {"a": (2, 3)}
