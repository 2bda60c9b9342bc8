"""Readers of a base model's files: configs, the index of shards, the tokenizer, the chat template."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from pytest_sway.backends.base import BackendError, ModelKey
from pytest_sway.backends.hf.base_model.checkpoint import read_checkpoint
from pytest_sway.backends.hf.base_model.quantization import find_quantization
from pytest_sway.backends.hf.model_files import eos_token_ids, model_folder
from pytest_sway.backends.hf.prompts.vocabulary import has_own_code, load_tokenizer
from pytest_sway.spec_generation.adapter_folder import longest_dialogue
from tests.fuzz.mutations import json_documents, write_json
from tests.fuzz.reader import Reader
from tests.support.paths import QUICKSTART

_BASE = QUICKSTART / "base"
_WEIGHTS = save({"model.embed_tokens.weight": np.ones((2, 2), np.float32)})
_SHARD = "model-00001-of-00001.safetensors"
_INDEX = {"metadata": {"total_size": 16}, "weight_map": {"model.embed_tokens.weight": _SHARD}}
_CONFIG = json.loads((_BASE / "config.json").read_text("utf-8"))
_OTHER = {
    **_CONFIG, "auto_map": {"AutoConfig": "code.Config"}, "transformers_weights": "model.safetensors",
    "quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True, "load_in_4bit": False},
    "is_encoder_decoder": False, "vision_config": {"hidden_size": 8},
}  # fmt: skip
_GENERATION = {**json.loads((_BASE / "generation_config.json").read_text("utf-8")), "eos_token_id": [1, 2]}
_TOKENIZER_CONFIG = json.loads((_BASE / "tokenizer_config.json").read_text("utf-8"))
_TOKENIZER = {
    "version": "1.0", "truncation": None, "padding": None,
    "added_tokens": [{"id": 0, "content": "<s>", "single_word": False, "lstrip": False, "rstrip": False,
                      "normalized": False, "special": True}],
    "normalizer": None,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True},
    "post_processor": None, "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True},
    "model": {"type": "BPE", "unk_token": None, "fuse_unk": False, "byte_fallback": False,
              "vocab": {"<s>": 0, "a": 1, "b": 2, "ab": 3}, "merges": [["a", "b"]]},
}  # fmt: skip


def _read_model(file: Path) -> None:
    """What is read of a model's folder before its weights are loaded."""
    folder = file.parent
    has_own_code(folder)
    longest_dialogue(str(folder))
    key = ModelKey("hf", str(folder))
    steps: list[Callable[[], Any]] = [
        lambda: model_folder(key),
        lambda: find_quantization(folder, read_checkpoint(folder).config, None),
        lambda: read_checkpoint(folder).notes(folder),
    ]
    for step in steps:
        try:
            step()
        except BackendError as refusal:
            assert str(refusal).strip()
    assert all(type(one) is int for one in eos_token_ids(folder))


def _read_tokenizer(file: Path) -> None:
    """The tokenizer as transformers loads it: encodes, decodes, renders."""
    folder = file.parent
    has_own_code(folder)
    load_tokenizer(ModelKey("hf", str(folder)), folder)


def _beside(folder: Path, *, weights: str = "model.safetensors", names: tuple[str, ...] = ()) -> None:
    """The other files of a model."""
    model = folder / "model"
    (model / weights).write_bytes(_WEIGHTS)
    for name in ("config.json", *names):
        if not (model / name).is_file():
            shutil.copy(_BASE / name, model / name)


def _tokenizer_beside(folder: Path) -> None:
    _beside(folder, names=("tokenizer_config.json",))
    (folder / "model" / "tokenizer.json").write_bytes(write_json(_TOKENIZER))


def _model(name: str, file: str, beside: Callable[[Path], None], *sound: Any) -> Reader:
    return Reader(
        name, f"model/{file}", _read_model, (BackendError,), json_documents(*sound), beside,
        [write_json(sound[0])],
    )  # fmt: skip


def _tokenizer(name: str, file: str, sound: Any) -> Reader:
    return Reader(
        name, f"model/{file}", _read_tokenizer, (BackendError,), json_documents(sound), _tokenizer_beside,
        [write_json(sound)], examples=1000,
    )  # fmt: skip


READERS = [
    _model("model-config", "config.json", _beside, _CONFIG, _OTHER),
    _model("generation-config", "generation_config.json", _beside, _GENERATION),
    _model("index", "model.safetensors.index.json", partial(_beside, weights=_SHARD), _INDEX),
    _tokenizer("tokenizer-config", "tokenizer_config.json", _TOKENIZER_CONFIG),
    _tokenizer("tokenizer", "tokenizer.json", _TOKENIZER),
]
