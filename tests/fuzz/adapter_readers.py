"""Readers of adapter folders: PEFT's config and weights, and mlx-lm's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mlx.core as mx
import numpy as np
from safetensors.numpy import save

from pytest_sway.adapter_check.weight_structure import weight_structure
from pytest_sway.backends.base import AdapterKey, BackendError
from pytest_sway.backends.hf.adapter_files.adapter_config import read_adapter_files
from pytest_sway.backends.hf.adapter_files.adapter_tensors import read_tensors
from pytest_sway.backends.hf.adapter_files.base_remarks import remarks_on_base
from pytest_sway.backends.hf.base_model.base_model import BaseModel
from pytest_sway.backends.hf.peft_import import import_peft
from pytest_sway.backends.hf.subject_files import find_subject_files
from pytest_sway.backends.mlx.mlx_folder import read_mlx_folder
from pytest_sway.backends.mlx.peft_folder import read_peft_folder
from pytest_sway.dlm.base_model import _base_of_adapter
from pytest_sway.safetensors_header import HeaderError
from pytest_sway.spec.adapter_file_checks import AdapterFilesError, check_adapter_files
from pytest_sway.spec.adapter_folders import ADAPTER_CONFIG, ADAPTER_WEIGHTS, MLX_WEIGHTS
from pytest_sway.spec.identical_adapters import identical_adapters
from pytest_sway.spec_generation.adapter_folder import find_base, longest_dialogue, training_files
from pytest_sway.spec_generation.data_error import DataError
from pytest_sway.watch.adapter_folders import adapter_digest, why_incomplete
from tests.fuzz.mutations import json_documents, write_json
from tests.fuzz.reader import Reader, each_step
from tests.fuzz.safetensors_files import safetensors_files
from tests.support.written_adapters import CONFIG, weights

import_peft()  # takes seconds, which are none of a file's
_REFUSALS = (BackendError, AdapterFilesError, DataError, HeaderError)
_FULL = {
    **CONFIG, "task_type": "CAUSAL_LM", "target_modules": ["q_proj"], "lora_dropout": 0.0, "bias": "none",
    "use_dora": False, "use_rslora": False, "rank_pattern": {}, "alpha_pattern": {"q_proj": 8},
    "init_lora_weights": True, "modules_to_save": None, "revision": None, "peft_version": "0.18.0",
    "base_model_name_or_path": "org/model-bnb-4bit", "fan_in_fan_out": False, "layers_to_transform": None,
}  # fmt: skip
_OTHER = {"peft_type": "IA3", "target_modules": ["k_proj"], "feedforward_modules": [], "task_type": "SEQ_CLS"}
_MLX = {
    "fine_tune_type": "lora", "num_layers": 1, "model": "base",
    "lora_parameters": {"rank": 2, "scale": 2.0, "dropout": 0.0, "keys": ["self_attn.q_proj"]},
}  # fmt: skip
_MLX_WEIGHTS = save({
    f"model.layers.0.self_attn.q_proj.{name}": np.full(shape, 0.5, np.float32)
    for name, shape in (("lora_a", (64, 2)), ("lora_b", (2, 64)))
})  # fmt: skip
_HALF = save({"base_model.model.model.layers.0.mlp.up_proj.lora_B.weight": np.ones((8, 2), np.float16)})


def _read_peft(file: Path) -> None:
    """What every command reads of a folder before a model is loaded, then the tensors, by PEFT and by mlx."""
    folder, base = file.parent, BaseModel("d", name="org/model")
    each_step(_REFUSALS, [
        lambda: why_incomplete(folder),
        lambda: adapter_digest(folder),
        lambda: find_base(folder, None),
        lambda: longest_dialogue(str(folder)),
        lambda: training_files(folder),
        lambda: identical_adapters([folder, folder]),
        lambda: _base_of_adapter(folder),
        lambda: remarks_on_base(folder, check_adapter_files(folder)[0], base),
        lambda: read_peft_folder(folder),
        lambda: find_subject_files(AdapterKey(str(folder))).notes,
    ])  # fmt: skip
    read_tensors(read_adapter_files(str(folder)))


def _read_peft_weights(file: Path) -> None:
    each_step(_REFUSALS, [lambda: weight_structure(file.parent)])
    _read_peft(file)


def _read_mlx_weights(file: Path) -> None:
    each_step(_REFUSALS, [lambda: weight_structure(file.parent)])
    _read_mlx(file)


def _read_mlx(file: Path) -> None:
    folder = file.parent
    each_step(_REFUSALS, [
        lambda: why_incomplete(folder),
        lambda: adapter_digest(folder),
        lambda: find_base(folder, None),
    ])  # fmt: skip
    mx.eval([part for update in read_mlx_folder(folder).updates.values() for part in (update.a, update.b)])


def _beside(name: str, content: bytes) -> Callable[[Path], None]:
    """Writes the other file of an adapter's folder."""

    def write(folder: Path) -> None:
        (folder / "adapter" / name).write_bytes(content)

    return write


READERS = [
    Reader("adapter-config", f"adapter/{ADAPTER_CONFIG}", _read_peft, _REFUSALS,
           json_documents(_FULL, _FULL, CONFIG, _OTHER), _beside(ADAPTER_WEIGHTS, weights(0)),
           [write_json(_FULL), write_json(CONFIG)]),
    Reader("adapter-weights", f"adapter/{ADAPTER_WEIGHTS}", _read_peft_weights, _REFUSALS,
           safetensors_files(weights(0), weights(1), _HALF), _beside(ADAPTER_CONFIG, write_json(CONFIG)),
           [weights(0), _HALF]),
    Reader("mlx-config", f"adapter/{ADAPTER_CONFIG}", _read_mlx, _REFUSALS, json_documents(_MLX),
           _beside(MLX_WEIGHTS, _MLX_WEIGHTS), [write_json(_MLX)]),
    Reader("mlx-weights", f"adapter/{MLX_WEIGHTS}", _read_mlx_weights, _REFUSALS,
           safetensors_files(_MLX_WEIGHTS), _beside(ADAPTER_CONFIG, write_json(_MLX)), [_MLX_WEIGHTS]),
]  # fmt: skip
