"""Numbers that are not finite: the cause that is stated was looked for in the files and in the dtype."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from pytest_sway.backends.base import AdapterKey, BackendError, ModelKey
from pytest_sway.backends.hf.backend import HFBackend
from pytest_sway.backends.hf.load_backend import load_backend
from tests.support.checkpoints import State, changed

NAN = float("nan")
FACTOR = 1e5
"""Takes a weight of 1 beyond 65504, fp16's largest number."""


def loaded(folder: Path, dtype: str = "fp32") -> HFBackend:
    return load_backend(ModelKey("hf", str(folder), dtype=dtype, device="cpu"))


def loud(folder: Path) -> None:
    """Activations beyond fp16's range, from weights that fit into it."""
    changed(lambda tensor: tensor * 3e3, "up_proj", "down_proj", "gate_proj", "v_proj")(folder)
    changed(lambda tensor: tensor * 50, "layernorm", "embed")(folder)


@pytest.mark.parametrize(
    ("change", "dtype", "says"),
    [
        (
            changed(lambda tensor: tensor * NAN, "model.norm"),
            "fp32",
            "1 of 21 tensors contain NaN or infinity",
        ),
        (
            changed(lambda tensor: tensor * NAN, "model.norm"),
            "fp16",
            "1 of 21 tensors contain NaN or infinity",
        ),
        (
            changed(lambda tensor: tensor * FACTOR, "model.norm"),
            "fp16",
            "but the values in its file are finite",
        ),
        (loud, "fp16", "Its logits are finite in bf16, so use dtype: bf16 or dtype: fp32"),
    ],
    ids=["broken file", "broken file, fp16", "weights beyond fp16", "activations beyond fp16"],
)
def test_a_base_whose_logits_are_not_finite(
    tiny_llama: Path, tmp_path: Path, change: Callable[[Path], None], dtype: str, says: str
) -> None:
    folder = shutil.copytree(tiny_llama, tmp_path / "model")
    change(folder)
    with pytest.raises(BackendError) as found:
        loaded(folder, dtype)
    assert says in str(found.value)
    assert str(folder) in str(found.value)
    assert ("is broken" in str(found.value)) == ("1 of 21 tensors contain" in says)


@pytest.mark.slow
def test_what_overflows_in_fp16_is_served_in_the_others(tiny_llama: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_llama, tmp_path / "model")
    loud(folder)
    for dtype in ("fp32", "bf16"):
        loaded(folder, dtype).close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "dtype", "says"),
    [
        (
            changed(lambda t: t * NAN, "model.norm"),
            "fp32",
            "is broken: 1 of 21 tensors contain NaN or infinity",
        ),
        (changed(lambda t: t * FACTOR, "model.norm"), "fp16", "overflows in fp16"),
        (loud, "fp16", "try dtype: bf16 or dtype: fp32"),
        (changed(lambda t: t * 1e25, "model.norm", "lm_head"), "fp32", "are not finite, even in fp32"),
    ],
    ids=["broken file", "weights beyond fp16", "activations beyond fp16", "logits beyond fp32"],
)
def test_a_fine_tune_whose_numbers_are_not_finite(
    tiny_llama: Path, tmp_path: Path, change: Callable[[Path], None], dtype: str, says: str
) -> None:
    folder = shutil.copytree(tiny_llama, tmp_path / "tuned")
    change(folder)
    backend = loaded(tiny_llama, dtype)
    with pytest.raises(BackendError) as found:
        backend.attach(AdapterKey(None, str(folder)))
    assert says in str(found.value)
    assert "difference up to nan" not in str(found.value)
    backend.detach(backend.attach(AdapterKey(None, str(tiny_llama))))


def trained(folder: Path, base: Path, config: peft.LoraConfig, size: float) -> Path:
    torch.manual_seed(1)
    model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * size)
    model.save_pretrained(folder)
    return folder


def poisoned(state: State) -> State:
    first = min(state)
    return {**state, first: state[first] * NAN}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "size", "dtype", "says"),
    [
        (
            peft.LoraConfig(target_modules=["q_proj", "down_proj"]),
            3e3,
            "fp16",
            "the activations overflow in fp16",
        ),
        (
            peft.LoraConfig(target_modules=["q_proj"], modules_to_save=["norm"]),
            FACTOR,
            "fp16",
            "overflows in fp16",
        ),
        (
            peft.LoraConfig(target_modules=["q_proj"], use_dora=True),
            1e19,
            "fp32",
            "are not finite, even in fp32",
        ),
    ],
    ids=["activations", "weights", "fp32"],
)
def test_an_adapter_whose_numbers_are_not_finite(
    tiny_llama: Path, tmp_path: Path, config: peft.LoraConfig, size: float, dtype: str, says: str
) -> None:
    folder = trained(tmp_path / "adapter", tiny_llama, config, size)
    backend = loaded(tiny_llama, dtype)
    with pytest.raises(BackendError) as found:
        backend.attach(AdapterKey(str(folder)))
    assert says in str(found.value)
    assert "is broken" not in str(found.value)


@pytest.mark.slow
def test_a_broken_file_of_an_adapter_is_reported(tiny_llama: Path, tmp_path: Path) -> None:
    folder = trained(tmp_path / "adapter", tiny_llama, peft.LoraConfig(target_modules=["q_proj"]), 0.01)
    file = folder / "adapter_model.safetensors"
    save_file(poisoned(load_file(file)), file)
    with pytest.raises(BackendError, match="is broken: 1 of 2 modules contain NaN or infinity"):
        loaded(tiny_llama).attach(AdapterKey(str(folder)))
