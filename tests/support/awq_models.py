"""The quickstart's base as AutoAWQ packs a model, rounded to the nearest, and its dequantized numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tests.support.peft_adapters import BASE, base_model
from tests.support.tiny_models import tokenizer_to

GROUP = 32
_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
"""Which of eight columns stands in which four bits of a packed number."""
_PACKED = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj")
"""down_proj's rows are no multiple of the group."""


def save_awq(folder: Path) -> Any:
    """Write the folder; a model of transformers with the numbers that mlx-lm makes of it."""
    model = base_model()
    packed: dict[str, torch.Tensor] = {}
    for name, weight in load_file(BASE / "model.safetensors").items():
        module = name.removesuffix(".weight")
        if not module.endswith(_PACKED):
            packed[name] = weight
            continue
        ids, scales, zeros = _rounded(weight)
        packed[f"{module}.qweight"] = _pack(ids.t())
        packed[f"{module}.qzeros"] = _pack(zeros.t())
        packed[f"{module}.scales"] = scales.t().contiguous().half()
        offsets = (-zeros * scales).half().float()  # mlx-lm has scale * id + offset, of the file's dtype
        groups = ids.view(*scales.shape, GROUP) * scales[..., None] + offsets[..., None]
        model.get_submodule(module).weight.data = groups.reshape(weight.shape).float()
    folder.mkdir()
    save_file(packed, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((BASE / "config.json").read_text("utf-8"))
    quantization = {
        "quant_method": "awq",
        "bits": 4,
        "group_size": GROUP,
        "zero_point": True,
        "version": "gemm",
    }
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": quantization}), "utf-8")
    tokenizer_to(folder)
    return model


def _rounded(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Integers 0 to 15 ``[out, in]``, scales and zeros ``[out, groups]``."""
    groups = weight.float().view(len(weight), -1, GROUP)
    low, high = groups.amin(-1).clamp(max=0), groups.amax(-1).clamp(min=0)
    scales = ((high - low) / 15).clamp(min=1e-6).half().float()
    zeros = torch.round(-low / scales).clamp(0, 15)
    ids = (torch.round(groups / scales[..., None]) + zeros[..., None]).clamp(0, 15)
    return ids.view(weight.shape), scales, zeros


def _pack(values: torch.Tensor) -> torch.Tensor:
    """Eight columns in one int32."""
    columns = values.long().reshape(len(values), -1, 8)
    packed = sum(columns[:, :, column] << (4 * place) for place, column in enumerate(_ORDER))
    assert isinstance(packed, torch.Tensor)
    return torch.where(packed >= 2**31, packed - 2**32, packed).to(torch.int32).contiguous()
