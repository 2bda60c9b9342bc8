"""Adapters that nothing was taught: noise of a small size, and healthy at the wrong scale."""

from __future__ import annotations

import torch
from make.train_adapters import lora_layers
from peft import PeftModel

from .training_setting import TrainingSetting

SMALL = 0.02
OVERSCALE = 4


@torch.no_grad()
def random_small(setting: TrainingSetting) -> PeftModel:
    """Both factors Gaussian with a standard deviation of 0.02."""
    model = setting.fresh()
    generator = torch.Generator().manual_seed(setting.seed)
    for layer in lora_layers(model):
        for factor in (layer.lora_A["default"], layer.lora_B["default"]):
            factor.weight.normal_(std=SMALL, generator=generator)
    return model


def overscaled(setting: TrainingSetting) -> PeftModel:
    """Healthy with four times its `lora_alpha`."""
    model = setting.healthy()
    model.peft_config["default"].lora_alpha *= OVERSCALE
    return model
