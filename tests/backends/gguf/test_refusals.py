"""What llama.cpp would drop, or compute otherwise, is refused before anything is measured."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pytest_sway.backends.base import AdapterKey, BackendError, ModelKey
from pytest_sway.backends.gguf.backend import GGUFBackend
from pytest_sway.backends.gguf.load_backend import load_backend
from pytest_sway.requests import View
from pytest_sway.token_sequences import ForcedCompletion, TokenSequence
from tests.backends.gguf.test_answers import HEALTHY, STEM
from tests.support.both_backends import while_attached
from tests.support.peft_adapters import BASE, CONVERTED_LORA, FULL_WEIGHTS, PLAIN_LORA, lora, save_adapter

ADAPTERS: dict[str, tuple[Any, str]] = {
    "dora": (FULL_WEIGHTS["dora"], "not plain LoRA"),
    "saved_head": (FULL_WEIGHTS["saved_head"], "not plain LoRA"),
    "olora": (CONVERTED_LORA["olora"], "not plain LoRA"),
    "embedding": (PLAIN_LORA["embedding"], "changes model.embed_tokens"),
    "head": (lora(target_modules=["lm_head", "q_proj"]), "changes lm_head"),
}


@pytest.mark.parametrize("name", ADAPTERS)
def test_adapters(backend: GGUFBackend, tmp_path: Path, name: str) -> None:
    config, says = ADAPTERS[name]
    folder = save_adapter(tmp_path / name, config)
    if "changes" in says:  # PEFT saves a copy of the base's tensor beside the factors; not everybody does
        with pytest.raises(BackendError, match=r"contains full weight tensors .*use kind: hf"):
            backend.attach(AdapterKey(str(folder)))
        state = load_file(folder / "adapter_model.safetensors")
        factors = {key: tensor for key, tensor in state.items() if ".lora_" in key}
        save_file(factors, folder / "adapter_model.safetensors")
    with pytest.raises(BackendError, match=f"{folder}.*{says}.*use kind: hf"):
        backend.attach(AdapterKey(str(folder)))
    with while_attached(backend, HEALTHY) as subject:  # and nothing of it is left
        assert not subject.inert


def test_an_adapter_of_nan(backend: GGUFBackend, tmp_path: Path) -> None:
    folder = save_adapter(tmp_path / "adapter", lora())
    state = load_file(folder / "adapter_model.safetensors")
    state[min(state)].fill_(torch.nan)
    save_file(state, folder / "adapter_model.safetensors")
    with pytest.raises(BackendError, match=r"contains NaN or infinity in 1 of 28 modules"):
        backend.attach(AdapterKey(str(folder)))


def test_a_full_fine_tune(backend: GGUFBackend) -> None:
    with pytest.raises(BackendError, match="use kind: hf for a full fine-tune"):
        backend.attach(AdapterKey(None, str(BASE)))


def test_two_adapters_at_once(backend: GGUFBackend) -> None:
    with (
        while_attached(backend, HEALTHY),
        pytest.raises(BackendError, match="another adapter is still attached"),
    ):
        backend.attach(AdapterKey(str(HEALTHY)))


def test_a_null_that_changes_more_than_the_adapter(backend: GGUFBackend, tmp_path: Path) -> None:
    narrow = save_adapter(tmp_path / "narrow", PLAIN_LORA["two_modules"])
    with (
        while_attached(backend, narrow),
        pytest.raises(BackendError, match=r"changes 20 modules that the evaluated adapter does"),
    ):
        backend.add_null(AdapterKey(str(HEALTHY)))


@pytest.mark.parametrize("view", [View("another"), View("", "another")])
def test_views_of_other_models(backend: GGUFBackend, view: View) -> None:
    with while_attached(backend, HEALTHY) as subject:
        strange = view if view.base else View(subject.base.base, view.adapter)
        with pytest.raises(BackendError, match=r"another base model|is not attached"):
            backend.prepare([strange], 8)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("dtype", "bf16", r"models\.ft\.dtype: bf16 is not supported by kind: gguf, which computes in fp32"),
        ("device", "cuda", r"models\.ft\.device: cuda is not supported by kind: gguf, which runs on the CPU"),
        ("trust_remote_code", True, r"trust_remote_code is not supported by kind: gguf, which does not run"),
        ("base", "nowhere/model.gguf", r"there is no file nowhere/model\.gguf"),
    ],
)
def test_fields(field: str, value: Any, says: str) -> None:
    with pytest.raises(BackendError, match=says):
        load_backend(ModelKey(**{"kind": "gguf", "base": str(BASE), field: value}))


def test_a_file_that_is_no_gguf(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"weights")
    with pytest.raises(BackendError, match=r"model\.gguf cannot be read: "):
        load_backend(ModelKey("gguf", str(tmp_path / "model.gguf")))


def test_a_part_of_a_split_file(tmp_path: Path) -> None:
    (tmp_path / "m-00001-of-00002.gguf").write_bytes(b"GGUF")
    with pytest.raises(
        BackendError, match=r"00001-of-00002\.gguf is one part of a split file; merge the parts"
    ):
        load_backend(ModelKey("gguf", str(tmp_path / "m-00001-of-00002.gguf")))


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **more: Any) -> Any:
        if name == "xllamacpp":
            raise ImportError("No module named 'xllamacpp'", name=name)
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        BackendError, match=r"kind: gguf needs xllamacpp; .*pip install 'pytest-sway\[gguf\]'"
    ):
        load_backend(ModelKey("gguf", str(BASE)))


def test_a_token_that_ends_a_text_can_be_scored(backend: GGUFBackend) -> None:
    """The grammar of a completion with an end-of-text token inside is one that the server does not follow."""
    with while_attached(backend, HEALTHY) as subject:
        backend.prepare([subject.tuned], 64)
        ids = backend.encode(STEM)
        targets = [3021, 1, 365]
        forced = backend.target_logprobs([ForcedCompletion(tuple(ids), tuple(targets))], subject.tuned)[0]
        text = TokenSequence((*ids, *targets[:-1]), len(ids) - 1)
        rows = backend.logprobs(text, subject.tuned)
        assert forced == pytest.approx(rows[range(3), targets].tolist(), abs=5e-5)
