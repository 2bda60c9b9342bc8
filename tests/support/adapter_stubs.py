"""Adapter folders of any content, written with the standard library alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FACTORS = {
    "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": (2, 4),
    "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight": (4, 2),
}
"""Shapes of the tensors of a small LoRA adapter."""


def safetensors(shapes: Mapping[str, tuple[int, ...]], name: str = "") -> bytes:
    """A file of the safetensors format whose tensors hold zeros; files of another ``name`` differ."""
    header: dict[str, Any] = {"__metadata__": {"name": name}}
    end = 0
    for name, shape in shapes.items():
        size = 4
        for side in shape:
            size *= side
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(end)


def adapter_stub(
    folder: Path, shapes: Mapping[str, tuple[int, ...]] = FACTORS, *, name: str | None = None, **config: Any
) -> Path:
    """A folder with the files of an adapter: zeros in these shapes, and a config with these fields.

    Two adapters are the same where their ``name`` is, by default the folder's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fields = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 2, **config}
    (folder / "adapter_config.json").write_text(json.dumps(fields), encoding="utf-8")
    (folder / "adapter_model.safetensors").write_bytes(
        safetensors(shapes, folder.name if name is None else name)
    )
    return folder
