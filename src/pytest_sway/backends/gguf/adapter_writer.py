"""Writes LoRA factors as a GGUF adapter."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import gguf
import numpy as np

from pytest_sway.backends.base import BackendError
from pytest_sway.backends.gguf.file_writer import gguf_file
from pytest_sway.backends.gguf.tensor_layout import TensorLayout
from pytest_sway.backends.hf.adapter_files.plain_lora_modules import LoraModule


def write_adapter(path: Path, modules: Mapping[str, LoraModule], layout: TensorLayout) -> None:
    """Write the file; each module's scaling is multiplied into its B, since GGUF knows one for all of them.

    Raises:
        BackendError: a module has no place in GGUF's architecture, or the file cannot be written.
    """
    with gguf_file(path, layout.name) as writer:
        _add_factors(writer, modules, layout)


def _add_factors(writer: gguf.GGUFWriter, modules: Mapping[str, LoraModule], layout: TensorLayout) -> None:
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, 0.0)  # 0: the factors are as they are
    for name, module in modules.items():
        place = layout.tensor_name(name)
        if place is None:
            raise BackendError(
                f"the adapter cannot be converted to GGUF: it changes {name}, and GGUF's architecture "
                f"{layout.name} has no tensor for this module"
            )
        b = layout.ordered(name, module.b.numpy() * np.float32(module.scaling))
        writer.add_tensor(f"{place}.weight.lora_a", np.ascontiguousarray(module.a.numpy()))
        writer.add_tensor(f"{place}.weight.lora_b", np.ascontiguousarray(b))
