"""Parameter groups as Trainer and PEFT really make them: against the model's own names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.optimizers import create_loraplus_optimizer
from transformers.trainer_pt_utils import get_parameter_names

from pytest_sway.training.adapter_weights import key_shapes
from pytest_sway.training.layer_map import NoLayerMapError, ParameterLocation
from pytest_sway.training.parameter_groups import grouped_locations
from tests.support.dlm_training import Stack, lora

NO_DECAY = [r"bias", r"layernorm", r"rmsnorm", r"(?:^|\.)norm(?:$|\.)", r"_norm(?:$|\.)"]
"""Of Trainer.get_decay_parameter_names, transformers 5.24."""

Named = list[tuple[str, torch.nn.Parameter]]


def mapped(
    model: torch.nn.Module, groups: Sequence[Named], folder: Path
) -> list[tuple[str, ParameterLocation]]:
    """Each parameter's own name with the place that was found for it."""
    model.save_pretrained(folder)
    named = [pair for group in groups for pair in group]
    found = grouped_locations(
        key_shapes(folder / "adapter_model.safetensors"),
        [tuple(parameter.shape) for _, parameter in named],
        [len(group) for group in groups],
    )
    return [(name, place) for (name, _), place in zip(named, found, strict=True)]


def check(pairs: list[tuple[str, ParameterLocation]]) -> None:
    for name, place in pairs:
        number = re.search(r"layers\.(\d+)\.", name)
        assert place.number == (int(number[1]) if number else -1)
        assert f".{place.part}" in name


def trainable(model: torch.nn.Module) -> Named:
    return [(name, p) for name, p in model.named_parameters() if p.requires_grad]


def test_weight_decay(tmp_path: Path) -> None:
    """bias="all" trains biases, which stand in Trainer's second group; eleven layers, so 10 is before 2."""
    model = lora(11, bias="all")
    decay = set(get_parameter_names(model, [torch.nn.LayerNorm], NO_DECAY))
    named = trainable(model)
    groups = [[p for p in named if p[0] in decay], [p for p in named if p[0] not in decay]]
    assert all(groups)
    check(mapped(model, groups, tmp_path))


def test_loraplus(tmp_path: Path) -> None:
    model = lora(11)
    optimizer = create_loraplus_optimizer(model, torch.optim.AdamW, lr=1e-3, loraplus_lr_ratio=16)
    names = {id(parameter): name for name, parameter in trainable(model)}
    groups = [[(names[id(p)], p) for p in group["params"]] for group in optimizer.param_groups]
    check(mapped(model, [group for group in groups if group], tmp_path))


def test_groups_of_another_kind(tmp_path: Path) -> None:
    model = lora(2)
    named = trainable(model)
    for groups in ([named[:4], named[4:]], [named[:2], named[2:4], named[4:]]):
        with pytest.raises(NoLayerMapError, match=f"the optimizer has {len(groups)} parameter groups"):
            mapped(model, groups, tmp_path)


def test_one_group_is_the_models_order(tmp_path: Path) -> None:
    model = get_peft_model(Stack(11), LoraConfig(r=2, target_modules=["up"]))
    check(mapped(model, [trainable(model)], tmp_path))
