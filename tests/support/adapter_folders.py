"""Adapter folders whose files are whole and hold no tensor: for what is read before a model is loaded."""

from __future__ import annotations

import json
from pathlib import Path


def adapter_folder(folder: Path, *, name: str | None = None) -> Path:
    """Write config and weights into ``folder``; adapters of another ``name`` differ in their bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}', encoding="utf-8")
    header = json.dumps({"__metadata__": {"name": folder.name if name is None else name}}).encode()
    (folder / "adapter_model.safetensors").write_bytes(safetensors(header))
    return folder


def safetensors(header: bytes, data: bytes = b"") -> bytes:
    """A file of the safetensors format: the header's length, the header, the tensors."""
    return len(header).to_bytes(8, "little") + header + data
