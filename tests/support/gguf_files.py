"""The quickstart's base as people have models of llama.cpp: one file, with its tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from transformers import AutoConfig, AutoTokenizer

from pytest_sway.backends.gguf import model_writer
from pytest_sway.backends.gguf.tensor_layout import layout_of
from pytest_sway.backends.hf.base_model.checkpoint import read_checkpoint
from tests.support.peft_adapters import BASE


def quickstart_file(path: Path, *, quantized: bool = False) -> Path:
    """The base in fp32, or its matrices in 8 bits (Q8_0) where their rows are of whole blocks."""
    config = AutoConfig.from_pretrained(BASE)
    layout = layout_of(config, str(BASE))
    writer = gguf.GGUFWriter(path, layout.name)
    model_writer._add_config(writer, config)
    _write_tokenizer(writer, AutoTokenizer.from_pretrained(BASE))
    for key, tensor in model_writer._tensors(read_checkpoint(BASE)):
        name = layout.tensor_name(key)
        assert name is not None
        values = np.ascontiguousarray(layout.ordered(key, tensor))
        if quantized and values.ndim > 1 and values.shape[-1] % 32 == 0:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name, gguf.quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_tokenizer(writer: gguf.GGUFWriter, tokenizer: Any) -> None:
    content = json.loads((BASE / "tokenizer.json").read_text("utf-8"))
    special = {one["id"] for one in content["added_tokens"]}
    count = len(tokenizer)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokenizer.convert_ids_to_tokens(range(count)))
    kinds = (gguf.TokenType.CONTROL, gguf.TokenType.NORMAL)
    writer.add_token_types([kinds[token not in special] for token in range(count)])
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in content["model"]["merges"]]
    writer.add_token_merges(merges)
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_add_bos_token(True)
    writer.add_chat_template(tokenizer.chat_template)
