"""Which forms of adapters each engine serves in process; docs/adapters.md has the table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.support.mlx_models import save_mlx_adapter
from tests.support.peft_adapters import CONVERTED_LORA, FULL_WEIGHTS, PLAIN_LORA, save_adapter

ENGINES = ("hf fp32", "hf nf4", "hf int8", "mlx fp32", "mlx 4 bit")
_QUANTIZED = "these weights are quantized"
_MORE = "uses more than LoRA or DoRA"
_OTHER = "has no counterpart in mlx-lm"
_TYPE = "peft_type IA3"


def _refused(quantized: str, mlx: str = "") -> dict[str, str]:
    """Why each engine refuses a form, by a part of the message; engines that serve it are left out."""
    why = {"hf nf4": quantized, "hf int8": quantized, "mlx fp32": mlx, "mlx 4 bit": mlx}
    return {engine: reason for engine, reason in why.items() if reason}


def _peft(name: str) -> Callable[[Path], Path]:
    config = {**PLAIN_LORA, **CONVERTED_LORA, **FULL_WEIGHTS}[name]
    return lambda folder: save_adapter(folder, config)


FORMS: dict[str, tuple[Callable[[Path], Path], dict[str, str]]] = {
    "LoRA": (_peft("plain"), {}),
    "rsLoRA": (_peft("rslora"), {}),
    "LoRA, rank and alpha patterns": (_peft("patterns"), {}),
    "LoRA of one layer": (_peft("one_layer"), {}),
    "LoRA, embedding": (_peft("embedding"), {"mlx 4 bit": "the base model is quantized"}),
    "DoRA": (_peft("dora"), _refused(_QUANTIZED)),
    "DoRA, rsLoRA and rank patterns": (_peft("dora_rslora_patterns"), _refused(_QUANTIZED)),
    "DoRA, embedding": (
        _peft("dora_embedding"),
        {**_refused(_QUANTIZED, "which is not a linear layer"), "mlx 4 bit": "the base model is quantized"},
    ),
    "PiSSA": (_peft("pissa"), _refused(_QUANTIZED, "changed the weights of the base model")),
    "modules_to_save": (_peft("saved_head"), _refused(_QUANTIZED, _MORE)),
    "lora_bias": (_peft("lora_bias"), _refused(_QUANTIZED, _MORE)),
    "trainable_token_indices": (_peft("tokens"), _refused(_QUANTIZED, _MORE)),
    "IA3": (_peft("ia3"), _refused(_QUANTIZED, _OTHER)),
    "LoHa": (_peft("loha"), _refused(_QUANTIZED, _OTHER)),
    "mlx-lm LoRA": (
        lambda folder: save_mlx_adapter(folder, keys=["self_attn.q_proj", "mlp.down_proj"]),
        {},
    ),
    "mlx-lm DoRA": (
        lambda folder: save_mlx_adapter(folder, kind="dora", keys=["self_attn.v_proj"]),
        _refused(_QUANTIZED),
    ),
}
"""How each form is made, and which engines refuse it."""
