"""The generation settings of an evaluation."""

from __future__ import annotations

from typing import Any

import transformers


def evaluation_config(model: Any, tokenizer: Any) -> transformers.GenerationConfig:
    """A model's special tokens and nothing else of its own: sampling is the probe's to choose.

    Args:
        model: whose own generation config names the tokens.
        tokenizer: of the model; names the end of a text where the model does not.
    """
    own = model.generation_config
    return transformers.GenerationConfig(
        bos_token_id=own.bos_token_id,
        eos_token_id=own.eos_token_id or tokenizer.eos_token_id,
        pad_token_id=0 if tokenizer.pad_token_id is None else tokenizer.pad_token_id,
    )
