"""The base model of ``kind: gguf``: a GGUF file, or one written from a model folder."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
from transformers import AutoConfig, AutoTokenizer

from pytest_sway.backends.base import BackendError, ModelKey
from pytest_sway.backends.gguf.header_check import check_header
from pytest_sway.backends.gguf.model_writer import write_model
from pytest_sway.backends.gguf.tensor_layout import TensorLayout, layout_of
from pytest_sway.backends.hf.base_model.base_model import BaseModel
from pytest_sway.backends.hf.base_model.checkpoint import read_checkpoint
from pytest_sway.backends.hf.error_text import error_line
from pytest_sway.backends.hf.model_files import MODEL_FILES, eos_token_ids, files_digest, model_folder
from pytest_sway.spec.model_kinds import is_gguf_name

_SPLIT = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)
_AS_TRAINED = ("F32", "F16", "BF16")


@dataclass(frozen=True)
class BaseFile:
    """A model that llama.cpp can load.

    Attributes:
        path: the GGUF file.
        context: tokens of the longest text that the server can score: it writes one more after it.
        config: of transformers.
        layout: names and orders of its tensors.
        tokenizer: of transformers.
        ends: ids of the tokens that end a text.
        model: where it came from.
    """

    path: Path
    context: int
    config: Any
    layout: TensorLayout
    tokenizer: Any
    ends: tuple[int, ...]
    model: BaseModel


def open_base(key: ModelKey, scratch: Path) -> BaseFile:
    """The base that a spec names.

    Args:
        key: names a ``.gguf`` file, a model folder, or a model on the hub.
        scratch: a folder for the file that is written.

    Raises:
        BackendError: it cannot be read, or its architecture is not served.
    """
    return _of_file(key) if is_gguf_name(key.base) else _of_folder(key, scratch)


def _of_file(key: ModelKey) -> BaseFile:
    """Its tokenizer and config are those that transformers reads in it."""
    path = Path(key.base)
    if not path.is_file():
        raise BackendError(f"models.ft.base: there is no file {path}")
    if _SPLIT.search(path.name):
        raise BackendError(
            f"{path} is one part of a split file; merge the parts with llama.cpp's llama-gguf-split"
        )
    try:
        check_header(path)
        config = AutoConfig.from_pretrained(path.parent, gguf_file=path.name)
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
        types = Counter(tensor.tensor_type.name for tensor in gguf.GGUFReader(path).tensors)
    except Exception as error:
        raise BackendError(f"{path} cannot be read: {error_line(error)}") from error
    digest = files_digest(path.parent, (path.name,))
    model = BaseModel(digest, name=key.base, notes=_quantization_notes(types), is_gguf_file=True)
    ends = _as_ids(config.eos_token_id) or _as_ids(tokenizer.eos_token_id)
    longest = config.max_position_embeddings - 1
    return BaseFile(path, longest, config, layout_of(config, str(path)), tokenizer, ends, model)


def _quantization_notes(types: Counter[str]) -> tuple[str, ...]:
    kinds = [f"{count} {name}" for name, count in types.most_common() if name not in _AS_TRAINED]
    if not kinds:
        return ()
    quantized = f"the base model's weights are quantized ({', '.join(kinds)} tensors)"
    return (f"{quantized}, and the adapter is evaluated on the quantized weights",)


def _of_folder(key: ModelKey, scratch: Path) -> BaseFile:
    folder = model_folder(key)
    checkpoint = read_checkpoint(folder)
    try:
        config = AutoConfig.from_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except Exception as error:
        raise BackendError(f"the base model {key.base} cannot be read: {error_line(error)}") from error
    layout = layout_of(config, str(folder))
    ends = eos_token_ids(folder) or _as_ids(tokenizer.eos_token_id)
    path = scratch / "base.gguf"
    write_model(path, checkpoint, config, layout, ends)
    digest = files_digest(folder, MODEL_FILES)
    model = BaseModel(digest, name=key.base, revision=key.revision, checkpoint=checkpoint)
    return BaseFile(path, config.max_position_embeddings, config, layout, tokenizer, ends, model)


def _as_ids(found: int | list[int] | None) -> tuple[int, ...]:
    return tuple(found) if isinstance(found, list) else () if found is None else (found,)
