"""What the device has to do with the numbers: determinism that is asked for and given back, memory errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from pytest_sway.backends.base import AdapterKey
from pytest_sway.backends.hf.backend import HFBackend
from pytest_sway.backends.hf.device import determinism as determinism_module
from pytest_sway.backends.hf.device.determinism import (
    determinism,
    half_precision_notes,
    has_deterministic_kernels,
    inference_mode,
    set_cublas_workspace,
)
from pytest_sway.backends.hf.device.memory import memory_errors
from tests.support.peft_adapters import PLAIN_LORA, save_adapter

CUDA, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("before", [False, True])
def test_deterministic_kernels_are_asked_for_and_given_back(before: bool) -> None:
    torch.use_deterministic_algorithms(before)
    with inference_mode(deterministic=True):
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.is_deterministic_algorithms_warn_only_enabled()
        assert torch.is_inference_mode_enabled()
    assert torch.are_deterministic_algorithms_enabled() is before
    with pytest.raises(ValueError, match="mine"), inference_mode(deterministic=True):
        raise ValueError("mine")
    assert torch.are_deterministic_algorithms_enabled() is before
    torch.use_deterministic_algorithms(False)
    with inference_mode():
        assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("CUDA out of memory. Tried to allocate 2.00 GiB", MemoryError),
        ("MPS backend out of memory (MPS allocated: 9 GB)", MemoryError),
        ("mat1 and mat2 shapes cannot be multiplied", RuntimeError),
    ],
)
def test_only_a_failed_allocation_is_a_memory_error(message: str, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=message[:9]), memory_errors():
        raise RuntimeError(message)


def test_a_real_failed_allocation_is_one() -> None:
    with pytest.raises(MemoryError, match="allocate"), memory_errors():
        torch.empty(1 << 50)


class OnCuda:
    """What a model on a GPU would be asked; there is none here, and its kernels may refuse."""

    device = torch.device("cpu")

    def __init__(self, *, refuses: bool) -> None:
        self.refuses = refuses

    def __call__(self, **_: torch.Tensor) -> None:
        assert torch.are_deterministic_algorithms_enabled()
        if self.refuses:
            raise RuntimeError("cumsum does not have a deterministic implementation")

    generate = __call__


@pytest.mark.parametrize("workspace", [":4096:8", ":0:0", None])
@pytest.mark.parametrize("refuses", [False, True])
def test_strict_is_claimed_where_every_kernel_is(
    monkeypatch: pytest.MonkeyPatch, workspace: str | None, refuses: bool
) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    if workspace is not None:
        monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", workspace)
    model = OnCuda(refuses=refuses)
    assert not has_deterministic_kernels(model, [1, 2])  # on a CPU
    monkeypatch.setattr(OnCuda, "device", CUDA)
    monkeypatch.setattr(torch, "tensor", lambda data, device: torch.zeros(2, 2))
    set_cublas_workspace(CUDA)
    assert has_deterministic_kernels(model, [1, 2]) is (workspace != ":0:0" and not refuses)


def test_the_determinism_class_is_dlm_sways() -> None:
    assert (
        determinism(CPU, torch.float32, strict=False, batch_invariant=False, threads=2).level == "best_effort"
    )
    assert determinism(CUDA, torch.bfloat16, strict=True, batch_invariant=False, threads=2).level == "strict"
    told = determinism(CUDA, torch.bfloat16, strict=False, batch_invariant=True, threads=2)
    assert (told.level, told.notes) == ("loose", ("cuda, bfloat16, one text per batch",))


@pytest.mark.parametrize(
    ("dtype", "capabilities", "noted"),
    [
        (torch.bfloat16, {"avx512_bf16": False, "amx_bf16": False}, "bf16"),
        (torch.bfloat16, {"avx512_bf16": False, "amx_bf16": True}, ""),
        (torch.bfloat16, {"bf16": True}, ""),  # ARM
        (torch.bfloat16, {"bf16": False}, "bf16"),
        (torch.bfloat16, {}, ""),  # not known
        (torch.float16, {"avx512_fp16": False, "amx_fp16": False, "avx512_bf16": True}, "fp16"),
        (torch.float16, {"avx512_fp16": True}, ""),
        (torch.float32, {"avx512_bf16": False}, ""),
    ],
)
def test_half_precision_that_the_cpu_emulates_is_noted(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, capabilities: dict[str, bool], noted: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    found = half_precision_notes(SimpleNamespace(device=CPU, dtype=dtype))
    assert [f"no {noted} instructions" in note for note in found] == [True] * bool(noted)
    assert not half_precision_notes(SimpleNamespace(device=CUDA, dtype=dtype))


def test_an_older_torch_says_nothing_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not half_precision_notes(SimpleNamespace(device=CPU, dtype=torch.bfloat16))


def test_an_adapter_on_an_emulated_dtype_brings_the_note(
    backend: HFBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a note of the subject, which the reports print once per suite."""
    adapter = AdapterKey(str(save_adapter(tmp_path / "plain", PLAIN_LORA["plain"])))
    monkeypatch.setattr(determinism_module, "half_precision_notes", lambda model: ("emulated",))
    subject = backend.attach(adapter)
    backend.detach(subject)
    assert subject.notes[-1] == "emulated"


@pytest.mark.parametrize("threads", [1, 4])
def test_cached_answers_are_for_one_number_of_threads(backend: HFBackend, threads: int) -> None:
    assert f" {threads} threads " in determinism_module.environment_identity(backend._model, threads)
    said = determinism(CPU, torch.float32, strict=False, batch_invariant=False, threads=threads).notes[0]
    assert f"{threads} thread{'s' * (threads > 1)}," in said
