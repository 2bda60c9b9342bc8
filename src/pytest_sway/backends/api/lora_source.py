"""An adapter's LoRA factors, and the adapters of other weights that are written beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig

from pytest_sway.backends.api.peft_folder import LoraFolder
from pytest_sway.backends.hf.adapter_files.plain_lora_modules import LoraModule, read_modules
from pytest_sway.backends.hf.null_weights import draw_null_weights
from pytest_sway.backends.hf.subject_files import SubjectFiles
from pytest_sway.requests import NullSeed

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


@dataclass(frozen=True)
class LoraSource:
    """One adapter.

    Attributes:
        digest: of its files.
        config: that a server reads.
        modules: the factors, by the module's name in the base, in the dtype that the server computes in.
    """

    digest: str
    config: Mapping[str, Any]
    modules: Mapping[str, LoraModule]

    @property
    def suffixes(self) -> list[str]:
        """Kinds of modules that it changes: ``q_proj``, ``down_proj``."""
        return sorted({name.rpartition(".")[2] for name in self.modules})

    @property
    def unchanged(self) -> list[str]:
        """Modules whose update is zero."""
        return [name for name, module in self.modules.items() if not module.changes]

    def folder(self, null: NullSeed | None) -> LoraFolder:
        """The adapter itself, or a null in its place."""

        def tensors() -> dict[str, torch.Tensor]:
            return _state(
                {
                    name: module.factors
                    if null is None
                    else draw_null_weights(null, self.digest, name, module.factors)
                    for name, module in self.modules.items()
                }
            )

        return LoraFolder(self.config, tensors)

    def canary(self, suffix: str) -> LoraFolder:
        """An adapter that changes one kind of module alone, by as much as the module's own input."""
        factors = {}
        for name, module in self.modules.items():
            a, b = torch.zeros_like(module.a), torch.zeros_like(module.b)
            if name.rpartition(".")[2] == suffix:
                generator = torch.Generator().manual_seed(len(name))
                a = torch.randn(a.shape, generator=generator).to(a) / a.shape[1] ** 0.5
                b = torch.randn(b.shape, generator=generator).to(b)
            factors[name] = (a, b)
        return LoraFolder(self.config, lambda: _state(factors))


def read_source(source: SubjectFiles, base_config: Any, base_name: str, dtype: str) -> LoraSource:
    """Read an adapter's folder.

    Args:
        source: its files.
        base_config: the base's config, of transformers.
        base_name: what the server calls its base: its folder resolver compares it.
        dtype: what the server computes in; ``auto`` keeps the file's.

    Raises:
        BackendError: it is no plain LoRA of linear layers, does not fit the base, or is not finite.
    """
    assert source.files is not None  # find_subject_files() names an adapter
    modules = read_modules(source.files, base_config, DTYPES.get(dtype))
    own = LoraConfig.from_pretrained(str(source.files.folder))
    config = {
        **source.files.config,
        "base_model_name_or_path": base_name,
        "init_lora_weights": True,
        "inference_mode": True,
        "r": own.r,
        "lora_alpha": own.lora_alpha,
        "alpha_pattern": dict(own.alpha_pattern),
    }
    return LoraSource(source.digest, config, modules)


def content_digest(digest: str, null: NullSeed | None, scale: float, dtype: str) -> str:
    """Names an adapter's folder by what is in it."""
    text = f"{digest} {null!r} {scale!r} {dtype}"
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _state(factors: Mapping[str, tuple[torch.Tensor, ...]]) -> dict[str, torch.Tensor]:
    return {
        f"base_model.model.{name}.lora_{letter}.weight": tensor
        for name, pair in factors.items()
        for letter, tensor in zip("AB", pair, strict=True)
    }
