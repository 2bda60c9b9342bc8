"""Weights whose header lies, whose numbers are none, and configs that ask for sizes that no machine has."""

# ruff: noqa: E501 - a case stands on a line of its own
from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save

from tests.hostile.case import Case, written
from tests.hostile.doors import adapter_door, base_door, check_door, copy_of_adapter, copy_of_base

_A = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
_B = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"


def raw_file(header: bytes | dict[str, Any], data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file with this header, whatever it says."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def _tensor(shape: list[Any], begin: Any = 0, end: Any = 64, dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def _weights(content: bytes) -> Callable[[Path], None]:
    return lambda folder: written(copy_of_adapter(folder) / "adapter_model.safetensors", content)


def _base(content: bytes) -> Callable[[Path], None]:
    return lambda folder: written(copy_of_base(folder) / "model.safetensors", content)


def _config(**config: Any) -> Callable[[Path], None]:
    return lambda folder: copy_of_adapter(folder, **config)


def _base_config(**config: Any) -> Callable[[Path], None]:
    return lambda folder: copy_of_base(folder, **config)


def _filled(value: float) -> Callable[[Path], None]:
    """The quickstart's adapter with this number in every place."""

    def build(folder: Path) -> None:
        file = copy_of_adapter(folder) / "adapter_model.safetensors"
        tensors = {name: np.full_like(tensor, value) for name, tensor in load_file(file).items()}
        written(file, save(tensors))

    return build


def _sparse(size: int, header: dict[str, Any]) -> Callable[[Path], None]:
    """A file that is said to be so large, and takes no space."""

    def build(folder: Path) -> None:
        file = written(copy_of_adapter(folder) / "adapter_model.safetensors", raw_file(header))
        os.truncate(file, size)

    return build


_DUPLICATE = b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"a":{"dtype":"F32","shape":[8],"data_offsets":[0,32]}}'
_TERA = 1 << 40
_HEADERS: dict[str, bytes] = {
    "a header of 2**60 bytes": raw_file({_A: _tensor([4, 4])}, bytes(64), 2**60),
    "a header of 2**64-1 bytes": raw_file({_A: _tensor([4, 4])}, bytes(64), 2**64 - 1),
    "a header of no bytes": raw_file(b"", bytes(64)),
    "a header of 100 MB of spaces": raw_file(b"{" + b" " * 100_000_000 + b"}"),
    "a header of 40 MB of tensors": raw_file(
        b"{"
        + b",".join(b'"%d":{"dtype":"F32","shape":[],"data_offsets":[0,0]}' % n for n in range(600_000))
        + b"}"
    ),
    "a header 100,000 deep": raw_file(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "a header that is a list": raw_file(b"[]"),
    "a header that is no JSON": raw_file(b"{\x1b]0;owned\x07"),
    "offsets outside": raw_file({_A: _tensor([8, 8], 0, 256)}, bytes(64)),
    "offsets of 2**63": raw_file({_A: _tensor([4, 4], 0, 2**63)}, bytes(64)),
    "offsets that overlap": raw_file({_A: _tensor([4, 4], 0, 64), _B: _tensor([4, 4], 32, 96)}, bytes(96)),
    "offsets backwards": raw_file({_A: _tensor([4, 4], 64, 0)}, bytes(64)),
    "negative offsets": raw_file({_A: _tensor([4, 4], -64, 0)}, bytes(64)),
    "a shape of 10**18": raw_file({_A: _tensor([10**9, 10**9])}, bytes(64)),
    "a shape that overflows": raw_file({_A: _tensor([2**32, 2**32, 2**32])}, bytes(64)),
    "a negative shape": raw_file({_A: _tensor([-4, -4])}, bytes(64)),
    "a shape of texts": raw_file({_A: _tensor(["4", "4"])}, bytes(64)),
    "a shape of 10**6 digits": raw_file(
        b'{"a":{"dtype":"F32","shape":[' + b"9" * 1_000_000 + b'],"data_offsets":[0,4]}}', bytes(4)
    ),
    "a tensor twice": raw_file(_DUPLICATE, bytes(32)),
    "an unknown dtype": raw_file({_A: _tensor([4, 4], dtype="EVIL")}, bytes(64)),
    "a name of escapes": raw_file({"\x1b]0;owned\x07\u202e\n::error::x": _tensor([4, 4])}, bytes(64)),
    "a name of 10 MB": raw_file({"x" * 10_000_000: _tensor([4, 4])}, bytes(64)),
    "no tensors": raw_file({"__metadata__": {"format": "pt"}}),
    "metadata that is a list": raw_file({"__metadata__": [1], _A: _tensor([4, 4])}, bytes(64)),
    "an entry that is a text": raw_file({_A: "x"}, bytes(64)),
    "seven bytes": b"1234567",
    "empty": b"",
}
_CONFIGS: dict[str, dict[str, Any]] = {
    "a rank of 10**6": {"r": 10**6},
    "a rank of 10**18": {"r": 10**18},
    "a rank of 2**70": {"r": 2**70},
    "a rank of 1e308": {"r": 1e308},
    "a negative rank": {"r": -1},
    "a rank pattern of 10**12": {"rank_pattern": {"q_proj": 10**12}},
    "an alpha of 1e308": {"lora_alpha": 1e308},
    "an alpha of 10**400": {"lora_alpha": 10**400},
    "an alpha that is NaN": {"lora_alpha": float("nan")},
    "an alpha that is text": {"lora_alpha": "1"},
    "layers 10**9": {"layers_to_transform": [10**9]},
    "replicated layers": {"layer_replication": [[0, 10**6]]},
    "tokens of 10**9": {"trainable_token_indices": [10**9]},
    "target_parameters everywhere": {"target_parameters": ["weight"] * 1000},
    "modules_to_save everything": {"modules_to_save": [""]},
    "a dropout of 5": {"lora_dropout": 5.0},
    "a bias of code": {"bias": "__import__('os')"},
}
_BASE_CONFIGS: dict[str, dict[str, Any]] = {
    "a vocabulary of 10**12": {"vocab_size": 10**12},
    "a hidden size of 10**9": {"hidden_size": 10**9},
    "layers 10**7": {"num_hidden_layers": 10**7},
    "no heads": {"num_attention_heads": 0},
    "a negative size": {"hidden_size": -256},
    "positions 10**18": {"max_position_embeddings": 10**18},
    "a rope of NaN": {"rope_parameters": {"rope_theta": float("nan"), "rope_type": "default"}},
    "a rope of a list": {"rope_parameters": {"rope_type": ["x"]}},
}
CASES = [
    *(Case("tensors", name, _weights(content), adapter_door, "either" if name == "a tensor twice" else "refused")
      for name, content in _HEADERS.items()),
    *(Case("tensors", f"of the base, {name}", _base(_HEADERS[name]), base_door)
      for name in ("a header of 2**60 bytes", "offsets outside", "offsets that overlap", "a shape of 10**18",
                   "a name of escapes", "a shape of 10**6 digits", "a header 100,000 deep", "empty")),
    Case("tensors", "check of overlapping offsets", _weights(_HEADERS["offsets that overlap"]), check_door),
    Case("tensors", "a sparse terabyte", _sparse(_TERA, {_A: _tensor([1 << 19, 1 << 19], 0, 1 << 40)}), adapter_door),
    Case("tensors", "a sparse terabyte without tensors", _sparse(_TERA, {_A: _tensor([4, 4])}), adapter_door),
    *(Case("tensors", f"numbers that are {value:g}", _filled(value), adapter_door, "either")
      for value in (float("nan"), float("inf"), 3e38)),
    *(Case("tensors", name, _config(**fields), adapter_door, "either") for name, fields in _CONFIGS.items()),
    *(Case("tensors", f"a base with {name}", _base_config(**fields), base_door, "either")
      for name, fields in _BASE_CONFIGS.items()),
]  # fmt: skip
