"""What the files of a model show before a tensor is read: a refusal by name, with its cause."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from pytest_sway.backends.base import BackendError, ModelKey
from pytest_sway.backends.hf.model_files import model_folder as checked
from tests.support.checkpoints import POINTER, changed, config, moved, renamed, saved, text

WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory, tiny_llama: Path) -> Path:
    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    folder = tmp_path_factory.mktemp("models") / "sharded"
    saved(folder, model)
    (folder / WEIGHTS).unlink()
    model.save_pretrained(folder, max_shard_size="200KB")
    return folder


def cut(count: int) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        file = folder / WEIGHTS
        file.write_bytes(file.read_bytes()[:count])

    return apply


def an_adapter(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text("{}")


def an_adapter_without_config(folder: Path) -> None:
    an_adapter(folder)
    (folder / "config.json").unlink()


def under_torch_saves_name(folder: Path) -> None:
    torch.save({}, folder / WEIGHTS)


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "torch.compile": (renamed(lambda name: f"_orig_mod.{name}"), "while torch.compile wrapped it"),
    "torch.compile, one block": (
        renamed(lambda name: name.replace("layers.1.", "layers.1._orig_mod.")),
        "have '_orig_mod' in their names",
    ),
    "FSDP": (renamed(lambda name: f"_fsdp_wrapped_module.{name}"), "while FSDP wrapped it"),
    "activation checkpointing": (
        renamed(lambda name: name.replace(".mlp.", "._checkpoint_wrapped_module.mlp.")),
        "activation checkpointing",
    ),
    "PEFT": (renamed(lambda name: f"base_model.model.{name}"), "while PEFT wrapped it"),
    "DistributedDataParallel": (
        renamed(lambda name: f"module.{name}"),
        "DistributedDataParallel or DeepSpeed",
    ),
    "ZeRO-3": (changed(lambda tensor: tensor.new_zeros(0), "layers.1"), "9 of 21 tensors"),
    "Git LFS": (text(WEIGHTS, POINTER), f"{WEIGHTS} is a Git LFS pointer"),
    "Git LFS, tokenizer": (text("tokenizer.json", POINTER), "tokenizer.json is a Git LFS pointer"),
    "Git LFS, config": (text("config.json", POINTER), "config.json is a Git LFS pointer"),
    "cut": (cut(-1000), "is cut off: its tensors need"),
    "cut in its header": (cut(500), "is cut off: its header needs"),
    "empty": (cut(0), "is cut off: it contains only 0 bytes"),
    "a page": (text(WEIGHTS, "<!DOCTYPE html><html>Log in</html>"), "it begins with b'<!DOCTYPE html>"),
    "torch.save": (under_torch_saves_name, "is not a safetensors file: torch.save wrote it"),
    "pickled": (moved(WEIGHTS, "pytorch_model.bin"), "pickled weights are never loaded"),
    "Mistral's format": (
        moved(WEIGHTS, "consolidated.safetensors"),
        "consolidated.safetensors, which is Mistral's own",
    ),
    "a variant": (
        moved(WEIGHTS, "model.fp16.safetensors"),
        "a variant of the weights (model.fp16.safetensors)",
    ),
    "another name": (moved(WEIGHTS, "weights.safetensors"), "weights.safetensors, but no model.safetensors"),
    "GGUF": (moved(WEIGHTS, "model.gguf"), "GGUF files are not supported here"),
    "nothing": (lambda folder: (folder / WEIGHTS).unlink(), "contains no *.safetensors"),
    "an adapter": (an_adapter, "It contains an adapter_config.json, so it is an adapter"),
    "an adapter alone": (
        an_adapter_without_config,
        "so it is an adapter. Set models.ft.adapter to this folder",
    ),
    "a distributed checkpoint": (
        text("shard-00001-model-00001-of-00001.safetensors", ""),
        "files of a distributed checkpoint",
    ),
    "no JSON": (text("config.json", "{"), "config.json cannot be read as JSON"),
    "a list": (text("config.json", "[]"), "config.json does not contain a JSON object"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_files_alone_show_is_said_before_loading(
    tiny_llama: Path, tmp_path: Path, name: str
) -> None:
    change, says = REFUSED[name]
    folder = shutil.copytree(tiny_llama, tmp_path / "model")
    change(folder)
    with pytest.raises(BackendError) as found:
        checked(ModelKey("hf", str(folder)))
    assert says in str(found.value)
    assert str(folder) in str(found.value)
    assert "\n" not in str(found.value)


SHARDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "lost": (lambda folder: (folder / "model-00002-of-00003.safetensors").unlink(), "1 of them are missing"),
    "pointer": (text("model-00002-of-00003.safetensors", POINTER), "is a Git LFS pointer"),
    "no index": (
        lambda folder: (folder / f"{WEIGHTS}.index.json").unlink(),
        "but not model.safetensors.index.json",
    ),
    "empty index": (text(f"{WEIGHTS}.index.json", "{}"), "lists no weight files"),
}


@pytest.mark.parametrize("name", SHARDS)
def test_shards_are_all_there(sharded: Path, tmp_path: Path, name: str) -> None:
    change, says = SHARDS[name]
    folder = shutil.copytree(sharded, tmp_path / "model")
    change(folder)
    with pytest.raises(BackendError) as found:
        checked(ModelKey("hf", str(folder)))
    assert says in str(found.value)


KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "encoder-decoder": (config(model_type="t5"), "(model_type t5) is an encoder-decoder model"),
    "encoder-decoder with a causal class": (
        config(model_type="bart", is_encoder_decoder=True),
        "is an encoder-decoder model",
    ),
    "multimodal": (config(model_type="llava", vision_config={}), "is a multimodal model (vision_config)"),
    "encoder": (
        config(model_type="bert", architectures=["BertForMaskedLM"]),
        "is an encoder (BertForMaskedLM)",
    ),
    "unknown": (config(model_type="llama99"), "has model_type 'llama99', which the installed transformers"),
    "own code": (
        config(model_type="mine", auto_map={"AutoModelForCausalLM": "modeling.Mine"}),
        "set trust_remote_code: true",
    ),
}


@pytest.mark.parametrize("name", KINDS)
def test_what_is_no_causal_language_model_is_said(tiny_llama: Path, tmp_path: Path, name: str) -> None:
    change, says = KINDS[name]
    folder = shutil.copytree(tiny_llama, tmp_path / "model")
    change(folder)
    with pytest.raises(BackendError) as found:
        checked(ModelKey("hf", str(folder)))
    assert says in str(found.value)


def test_its_own_code_is_served_where_the_spec_trusts_it(tiny_llama: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_llama, tmp_path / "model")
    config(model_type="mine", auto_map={"AutoModelForCausalLM": "modeling.Mine"})(folder)
    assert checked(ModelKey("hf", str(folder), trust_remote_code=True)) == folder


def test_whole_files_pass(tiny_llama: Path, sharded: Path) -> None:
    assert checked(ModelKey("hf", str(tiny_llama))) == tiny_llama
    assert checked(ModelKey("hf", str(sharded))) == sharded
    assert json.loads((sharded / f"{WEIGHTS}.index.json").read_text())["weight_map"]
