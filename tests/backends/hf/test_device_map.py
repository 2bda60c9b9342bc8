"""Where a base goes: a GPU per worker, several GPUs for one base, or a refusal by name."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import dispatch_model
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from pytest_sway.backends.base import AdapterKey, BackendError
from pytest_sway.backends.hf.attach import attach
from pytest_sway.backends.hf.device import placement as module
from pytest_sway.backends.hf.device.placement import balanced_map, cuda_index, placement, resolve_dtype
from pytest_sway.backends.hf.load_backend import load_backend
from pytest_sway.backends.hf.prompts.prompt_tokenizer import PromptTokenizer
from pytest_sway.backends.hf.prompts.vocabulary import shared_vocabulary
from pytest_sway.backends.hf.subject_files import find_subject_files
from tests.support.hf_models import MODEL_KEY, ROWS, logprobs
from tests.support.peft_adapters import (
    BASE,
    CONVERTED_LORA,
    FULL_WEIGHTS,
    PLAIN_LORA,
    base_model,
    save_adapter,
)


def _torch(gpus: int, *, bf16: bool = True) -> Any:
    """torch, as it answers on a machine with so many GPUs."""
    cuda = SimpleNamespace(
        is_available=lambda: gpus > 0,
        device_count=lambda: gpus,
        is_bf16_supported=lambda: bf16,
        device=lambda _: nullcontext(),
    )
    own = ("device", "float16", "bfloat16", "float32", "backends", "empty")
    return SimpleNamespace(cuda=cuda, **{name: getattr(torch, name) for name in own})


@pytest.mark.parametrize(
    ("worker", "gpus", "index"),
    [
        ("gw0", 4, 0),
        ("gw3", 4, 3),
        ("gw5", 4, 1),
        ("gw12", 1, 0),
        ("gw0", 0, None),
        ("", 4, None),
        ("master", 4, None),
    ],
)
def test_each_worker_has_its_own_gpu(
    monkeypatch: pytest.MonkeyPatch, worker: str, gpus: int, index: int | None
) -> None:
    environment = {"PYTEST_XDIST_WORKER": worker} if worker else {}
    assert cuda_index(environment, gpus) == index
    monkeypatch.setattr(module.os, "environ", environment)
    if gpus:
        wanted = torch.device("cuda") if index is None else torch.device("cuda", index)
        assert placement(_torch(gpus), "auto").device == wanted


def test_a_named_device_is_the_same_in_every_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw3")
    assert placement(_torch(4), "cpu").device == torch.device("cpu")


@pytest.mark.parametrize("wanted", ["cuda:99", "gpu", "meta", "Balanced"])
def test_no_such_device(wanted: str) -> None:
    with pytest.raises(BackendError, match=f"^models.ft.device: '{wanted}' "):
        placement(torch, wanted)


@pytest.mark.parametrize(("gpus", "found"), [(0, "no CUDA device"), (1, "1 CUDA device")])
def test_balanced_needs_several_gpus(gpus: int, found: str) -> None:
    with pytest.raises(BackendError, match=f"{found} was found; use device: auto"):
        placement(_torch(gpus), "balanced")


def test_balanced_needs_accelerate(monkeypatch: pytest.MonkeyPatch) -> None:
    assert placement(_torch(2), "balanced").spread
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(BackendError, match="needs accelerate; install it with: pip install accelerate"):
        placement(_torch(2), "balanced")


def _base() -> LlamaForCausalLM:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=64,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=4,
            num_attention_heads=2,
            num_key_value_heads=2,
        )
    )


def test_balanced_fills_gpus_evenly_and_cuts_no_layer() -> None:
    model = _base()
    found = balanced_map(model, {0: 10**9, 1: 10**9})
    sizes = {0: 0, 1: 0}
    for name, parameter in model.named_parameters():
        (device,) = {found[part] for part in found if name == part or name.startswith(f"{part}.")}
        sizes[device] += parameter.numel()
    layer = sum(parameter.numel() for parameter in model.model.layers[0].parameters())
    assert abs(sizes[0] - sizes[1]) <= 2 * layer
    for index in range(4):
        assert len({found[part] for part in found if f"model.layers.{index}.".startswith(f"{part}.")}) == 1


def test_what_fits_on_no_gpu_is_refused() -> None:
    layer = 4 * sum(parameter.numel() for parameter in _base().model.layers[0].parameters())
    with pytest.raises(BackendError, match="balanced needs more memory than the 2 CUDA devices have"):
        balanced_map(_base(), {0: 2 * layer, 1: layer + 1, "cpu": 10**9})


def test_the_dtype_that_auto_is() -> None:
    cuda = torch.device("cuda")
    assert resolve_dtype(_torch(1), "auto", cuda) is torch.bfloat16
    assert resolve_dtype(_torch(1, bf16=False), "auto", cuda) is torch.float16
    assert resolve_dtype(torch, "auto", torch.device("cpu")) is torch.float32
    assert resolve_dtype(torch, "bf16", torch.device("cpu")) is torch.bfloat16


@pytest.mark.slow
def test_an_adapter_scores_the_same_on_a_dispatched_base(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """accelerate's hooks stand around every module, as on several GPUs, though there is one device here."""
    folder = save_adapter(tmp_path / "plain", PLAIN_LORA["plain"])
    found = []
    for hooked in (False, True):
        if hooked:
            monkeypatch.setattr(
                module.Placement,
                "put",
                lambda self, model: dispatch_model(model, {"": "cpu"}, main_device="cpu", force_hooks=True),
            )
        backend = load_backend(MODEL_KEY)
        assert hooked is hasattr(backend._model, "_hf_hook")
        subject = backend.attach(AdapterKey(str(folder)))
        scored = [logprobs(backend, ROWS, view, [0, 1, 4]) for view in (subject.base, subject.tuned)]
        found.append((scored, backend.generate(ROWS, [subject.tuned] * len(ROWS), 5), backend.packs_rows))
        backend.detach(subject)
    (plain, written, shares), (dispatched, also_written, also_shares) = found
    for one, other in zip(plain, dispatched, strict=True):
        for row, same in zip(one, other, strict=True):
            torch.testing.assert_close(row, same, rtol=0, atol=0)
    assert (written, shares) == (also_written, also_shares)


@pytest.mark.parametrize(
    "name", ["dora", "saved_norm", "saved_embedding", pytest.param("pissa", marks=pytest.mark.slow)]
)
def test_what_changes_the_base_is_refused_on_a_spread_one(tmp_path: Path, name: str) -> None:
    """The check row is never computed: the second device of this machine holds no numbers."""
    model = base_model()
    vocabulary = shared_vocabulary(
        PromptTokenizer(AutoTokenizer.from_pretrained(BASE)), None, model.config.vocab_size
    )
    model.model.layers[-1].to("meta")
    source = find_subject_files(
        AdapterKey(str(save_adapter(tmp_path / name, {**FULL_WEIGHTS, **CONVERTED_LORA}[name])))
    )
    with pytest.raises(BackendError, match="device: balanced supports only plain LoRA"):
        attach(model, source, [1, 2, 3], vocabulary)
