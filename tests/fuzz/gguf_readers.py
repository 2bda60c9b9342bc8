"""Readers of GGUF files: a base model, and an adapter."""

from __future__ import annotations

import struct
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gguf
import numpy as np
from hypothesis import strategies as st
from transformers import LlamaConfig

from pytest_sway.backends.base import BackendError, ModelKey
from pytest_sway.backends.gguf.adapter_reader import read_adapter
from pytest_sway.backends.gguf.base_file import open_base
from pytest_sway.backends.gguf.tensor_layout import layout_of
from tests.fuzz.mutations import changed_bytes
from tests.fuzz.reader import Reader

_CONFIG = LlamaConfig(
    vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
    intermediate_size=8, max_position_embeddings=32,
)  # fmt: skip
_LAYOUT = layout_of(_CONFIG, "the fuzzed base")
_NUMBERS = [0, 1, 2, 3, 4, 7, 8, 9, 13, 255, 2**31, 2**32 - 1, 2**40, 2**63, 2**64 - 1]


def _written(fill: Any) -> bytes:
    """The file that ``fill`` makes with a writer."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "file.gguf"
        writer = gguf.GGUFWriter(path, _LAYOUT.name)
        fill(writer)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path.read_bytes()


def _add_adapter(writer: gguf.GGUFWriter) -> None:
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, 16.0)
    writer.add_array("general.tags", ["a", "b"])
    for letter, shape in (("a", (2, 8)), ("b", (8, 2))):
        writer.add_tensor(f"blk.0.attn_q.weight.lora_{letter}", np.ones(shape, np.float32))


def _add_base(writer: gguf.GGUFWriter) -> None:
    writer.add_context_length(32)
    writer.add_embedding_length(8)
    writer.add_block_count(1)
    writer.add_feed_forward_length(8)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(["<s>", "</s>", "a", "b", "ab", "c", "d", "e"])
    writer.add_token_types([3, 3, 1, 1, 1, 1, 1, 1])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_tensor("token_embd.weight", np.ones((8, 8), np.float32))


_ADAPTER, _BASE = _written(_add_adapter), _written(_add_base)


@st.composite
def _numbers_exchanged(draw: st.DrawFn, sound: bytes) -> bytes:
    """A count, a length, a type or an offset becomes another number, where it stands."""
    content = bytearray(sound)
    for _ in range(draw(st.integers(1, 3))):
        form = draw(st.sampled_from(["<I", "<Q"]))
        number = draw(st.sampled_from(_NUMBERS)) % 2 ** (8 * struct.calcsize(form))
        at = draw(st.integers(4, 24) | st.integers(0, len(content) - 8))
        struct.pack_into(form, content, at, number)
    return bytes(content)


def _contents(sound: bytes) -> st.SearchStrategy[bytes]:
    return _numbers_exchanged(sound) | changed_bytes([sound])


def _read_adapter(file: Path) -> None:
    read_adapter(file, _LAYOUT, _CONFIG)


def _read_base(file: Path) -> None:
    open_base(ModelKey("gguf", str(file)), file.parent)


READERS = [
    Reader("gguf-adapter", "adapter.gguf", _read_adapter, (BackendError,), _contents(_ADAPTER),
           sound=[_ADAPTER]),
    Reader("gguf-base", "base.gguf", _read_base, (BackendError,), _contents(_BASE), sound=[_BASE],
           examples=1000, writes=True),
]  # fmt: skip
