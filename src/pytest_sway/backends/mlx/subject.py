"""The subject of a run: an adapter's folder, read and fitted to the model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn

from pytest_sway.backends.base import AdapterKey, BackendError
from pytest_sway.backends.config_patterns import check_patterns
from pytest_sway.backends.hf.adapter_files.base_remarks import BaseRemarks, remarks_on_base
from pytest_sway.backends.hf.base_model.base_model import BaseModel
from pytest_sway.backends.hf.hub_cache import adapter_folder
from pytest_sway.backends.hf.unchanged_files import UnchangedFiles
from pytest_sway.backends.mlx.adapter_content import AdapterContent, ConversionError, LoraUpdate
from pytest_sway.backends.mlx.adapter_layers import (
    EMBEDDING,
    LINEAR,
    SWITCH,
    changeable_modules,
    weight_shape,
)
from pytest_sway.backends.mlx.convert import read_adapter
from pytest_sway.backends.mlx.target_modules import ALL_LINEAR, mlx_targets, peft_targets
from pytest_sway.spec.adapter_file_checks import is_mlx_folder
from pytest_sway.spec.adapter_folders import ADAPTER_CONFIG, ADAPTER_WEIGHTS, MLX_WEIGHTS

_HEAD = "lm_head"


@dataclass(frozen=True)
class SubjectAdapter:
    """An adapter's folder.

    Attributes:
        content: what it changes.
        digest: of its config and its weights.
    """

    content: AdapterContent
    digest: str

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self.content.folder

    @property
    def tokenizer(self) -> Path | None:
        """The folder with a tokenizer of its own; None where it brings none."""
        return self.folder if (self.folder / "tokenizer_config.json").is_file() else None

    def remarks_on(self, base: BaseModel) -> BaseRemarks:
        """What the report says of the base that the adapter was trained on."""
        config = dict(self.content.config)
        if isinstance(config.get("model"), str):  # as mlx-lm writes it
            config.setdefault("base_model_name_or_path", config["model"])
        return remarks_on_base(self.folder, config, base, kind="mlx")


def read_subject(key: AdapterKey) -> SubjectAdapter:
    """Read an adapter's folder, of PEFT or of mlx-lm.

    Raises:
        BackendError: it cannot be read, or is more than LoRA or DoRA.
    """
    if key.model is not None:
        raise BackendError("kind: mlx supports only adapters; use kind: hf for a full fine-tune")
    if key.path is None:
        raise BackendError("models.ft.adapter is missing: set it to an adapter folder")
    folder = Path(adapter_folder(key.path, trust_remote_code=False))
    names = (ADAPTER_CONFIG, MLX_WEIGHTS if is_mlx_folder(folder) else ADAPTER_WEIGHTS)
    files = UnchangedFiles(folder, names)
    try:
        return SubjectAdapter(read_adapter(folder), files.digest())
    except ConversionError as error:
        raise BackendError(f"models.ft.adapter: {error}") from error
    except OSError as error:
        raise BackendError(f"the adapter {folder} cannot be read: {error}") from error


def check_fits(content: AdapterContent, model: nn.Module) -> None:
    """Check that an adapter's modules are exactly those that its config names on this model.

    Raises:
        BackendError: one is missing, is not in the model, or has another shape.
    """
    modules = changeable_modules(model)
    expected, changed = _expected(content, model, modules), set(content.updates)
    unknown, extra = sorted(changed - modules.keys()), sorted(changed - expected)
    absent = sorted(expected - changed)
    if unknown:
        raise BackendError(
            f"{content.folder} changes {unknown[0]}, but the model in mlx-lm has no layer with this name"
            f"{_tied_head(unknown[0])}; use the base model that the adapter was trained on, or use kind: hf"
        )
    if absent or extra:
        first = f" (first: {(absent or extra)[0]})"
        raise BackendError(
            f"the weights in {content.folder} do not match its {ADAPTER_CONFIG} and this base model. Modules "
            f"that {ADAPTER_CONFIG} selects, but without weights: {len(absent)}; modules with weights, but "
            f"not selected: {len(extra)}{first}"
        )
    _check_copies(content, modules)
    for name, update in content.updates.items():
        _check_layer(content, name, update, modules[name])


def _check_copies(content: AdapterContent, modules: dict[str, nn.Module]) -> None:
    """Raise BackendError unless the whole tensors of an adapter's file are the base's own.

    PEFT saves the embeddings with some adapters, trained or not.
    """
    for path, tensor in content.whole.items():
        name, _, part = path.rpartition(".")
        own = modules[name].get(part) if name in modules else None
        if own is None or own.shape != tensor.shape or not mx.array_equal(tensor.astype(own.dtype), own):
            raise BackendError(
                f"{content.folder} contains {path} in addition to its LoRA matrices. This tensor differs "
                "from that of the base model (or the base model is quantized), so the adapter uses more than "
                "LoRA or DoRA; use kind: hf"
            )


def _tied_head(name: str) -> str:
    return " (its head is the embedding)" if name == _HEAD else ""


def _expected(content: AdapterContent, model: nn.Module, modules: dict[str, nn.Module]) -> set[str]:
    config: dict[str, Any] = dict(content.config)
    if content.changes_tied_head:  # of mlx-lm
        own = {id(module): name for name, module in model.named_modules()}
        layers = [own[id(layer)] for layer in model.layers]
        parameters = config["lora_parameters"]
        return mlx_targets(parameters.get("keys"), int(config.get("num_layers", 0)), layers, modules)
    kinds = LINEAR if config.get("target_modules") == ALL_LINEAR else (*LINEAR, *EMBEDDING)
    found = {name for name, module in modules.items() if isinstance(module, kinds)}
    check_patterns(content.folder, config, sorted(found))
    return peft_targets(config, found - {_HEAD} if kinds == LINEAR else found)


def _check_layer(content: AdapterContent, name: str, update: LoraUpdate, layer: nn.Module) -> None:
    """Raise BackendError unless an update has the shape of the layer, and is of a kind that it takes."""
    rows, columns = weight_shape(layer)
    read, written = (rows, columns) if isinstance(layer, EMBEDDING) else (columns, rows)
    a, b = tuple(update.a.shape), tuple(update.b.shape)
    experts = (int(layer.weight.shape[0]),) if isinstance(layer, SWITCH) else ()
    if a != (*experts, update.rank, read) or b != (*experts, written, update.rank):
        raise BackendError(
            f"{content.folder} does not fit the base model: the LoRA matrices of {name} have the shapes "
            f"{list(a)} and {list(b)}, but the layer has {read} inputs and {written} outputs"
            f"{f' in each of {experts[0]} experts' if experts else ''}. Use the base model that the adapter "
            "was trained on"
        )
    if update.magnitude is None:
        return
    if not isinstance(layer, LINEAR):
        raise BackendError(
            f"{content.folder} applies DoRA to {name}, which is not a linear layer; use kind: hf"
        )
    if update.magnitude.shape != (rows,):
        raise BackendError(
            f"{content.folder} does not fit the base model: the DoRA magnitude vector of {name} "
            f"has {update.magnitude.size} values, but the layer has {rows} rows. Use the base model that the "
            "adapter was trained on"
        )
