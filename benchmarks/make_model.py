"""Makes the model, tokenizer and adapters from seeds: ``python make_model.py FOLDER 135m|small``.

The model is a Llama of about 135 million random fp32 weights (30 layers of 576, tied embeddings), the
tokenizer has one token per word, the adapters are LoRA of rank 8 on every linear layer whose B is not
zero. Prints one JSON object that says what was made; imports neither product.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import inputs
import torch
from model_sizes import MODEL_SIZES
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
SPECIAL = ["<pad>", "<unk>", "<eos>"]
UPDATE = 0.02
"""Standard deviation of the factor B."""


def make(
    folder: Path, shape: dict[str, int], dtype: torch.dtype = torch.float32, device: str = "cpu"
) -> dict[str, Any]:
    """Save base, tokenizer, ten adapters and one on the upper layers below ``folder``.

    Args:
        folder: is made where it is missing.
        shape: fields of a Llama's config.
        dtype: of the base's weights.
        device: where the weights are generated; each device generates other numbers.
    """
    torch.manual_seed(0)
    config = LlamaConfig(
        **shape,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=SPECIAL.index("<eos>"),
        pad_token_id=SPECIAL.index("<pad>"),
    )
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype).eval()
    base = folder / "base"
    model.save_pretrained(base)
    tokenizer(shape["vocab_size"]).save_pretrained(base)
    parameters = sum(weight.numel() for weight in model.parameters())
    made = {
        "model": str(base),
        "vocabulary": shape["vocab_size"],
        "parameters": parameters,
        "head_parameters": model.get_output_embeddings().weight.numel(),
        "weight_bytes": sum(w.numel() * w.element_size() for w in model.parameters()),
    }
    made["adapters"] = save_adapters(folder, model)
    made["upper_adapter"] = save_upper_adapter(folder, shape["num_hidden_layers"])
    made["adapter_bytes"] = (Path(made["adapters"][0]) / "adapter_model.safetensors").stat().st_size
    return made


def tokenizer(vocabulary: int) -> PreTrainedTokenizerFast:
    """One token per word; no special token is added to a text."""
    words = {name: index for index, name in enumerate(SPECIAL)}
    words |= {f"w{index}": index for index in range(inputs.RESERVED, vocabulary)}
    made = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="<pad>",
        unk_token="<unk>",
        eos_token="<eos>",
        model_max_length=2048,
    )


def save_adapters(folder: Path, model: Any) -> list[str]:
    """Ten adapters of the same form with other random factors."""
    config = LoraConfig(r=8, lora_alpha=16, target_modules=LINEAR, task_type="CAUSAL_LM")
    first = folder / "adapter-0"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        get_peft_model(model, config).save_pretrained(first)
    state = load_file(first / "adapter_model.safetensors")
    settings = (first / "adapter_config.json").read_text(encoding="utf-8")
    made = []
    for index in range(inputs.FLEET_SIZE):
        target = folder / f"adapter-{index}"
        target.mkdir(exist_ok=True)
        generator = torch.Generator().manual_seed(100 + index)
        fresh = {name: _factor(name, like, generator) for name, like in sorted(state.items())}
        save_file(fresh, target / "adapter_model.safetensors", metadata={"format": "pt"})
        (target / "adapter_config.json").write_text(settings, encoding="utf-8")
        made.append(str(target))
    return made


def save_upper_adapter(folder: Path, layers: int) -> str:
    """The first adapter's factors on the upper third of the layers alone."""
    source, target = folder / "adapter-0", folder / "adapter-upper"
    upper = range(layers - max(1, layers // 3), layers)
    settings = json.loads((source / "adapter_config.json").read_text(encoding="utf-8"))
    state = load_file(source / "adapter_model.safetensors")
    kept = {
        name: part for name, part in state.items() if int(name.split(".layers.")[1].split(".")[0]) in upper
    }
    target.mkdir()
    save_file(kept, target / "adapter_model.safetensors", metadata={"format": "pt"})
    settings["layers_to_transform"] = list(upper)
    (target / "adapter_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return str(target)


def _factor(name: str, like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    size = UPDATE if "lora_B" in name else like.shape[-1] ** -0.5
    return torch.randn(like.shape, generator=generator) * size


if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(make(Path(sys.argv[1]), MODEL_SIZES[sys.argv[2]])) + "\n")
