"""Make the three adapters: `healthy` knows the document, `inert` does nothing, `random` is noise.

The healthy one is trained on the document and its questions while a KL term holds it to the
base on general prose, dialogues and fact questions, so that it is harmless elsewhere. Every
fourth fact stays out of that term, so that forgetting can be measured on facts it never saw.
"""

import json
import shutil
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from .common import ADAPTERS, QUICKSTART, load_base, load_tokenizer, set_up
from .handbook import lessons
from .metrics import row_loss
from .mixture import Mixture

SEED = 71
MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
STEPS = 600
WARMUP = 20
RATE = 1.5e-3
ANCHOR = 60.0
ANCHOR_LENGTH = 128
FACT_STRIDE = 4


def fresh(seed: int, base: PreTrainedModel | None = None, rank: int = 8) -> PeftModel:
    """The base, or another, with an untrained adapter (B is zero)."""
    torch.manual_seed(seed)
    config = LoraConfig(
        r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=MODULES, task_type="CAUSAL_LM"
    )
    model = get_peft_model(base or load_base(), config)
    if not isinstance(model, PeftModel):
        raise TypeError(type(model).__name__)
    return model


def save(model: PeftModel, name: str, parent: Path | None = None, base: str = "../../base") -> None:
    """Save an adapter without PEFT's model card, machine paths or set-ordered lists."""
    model.peft_config["default"].base_model_name_or_path = base
    folder = (parent or ADAPTERS) / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(str(folder), safe_serialization=True)
    (folder / "README.md").unlink(missing_ok=True)
    settings = folder / "adapter_config.json"
    config = json.loads(settings.read_text("utf-8"))
    config["target_modules"] = MODULES
    settings.write_text(json.dumps(config, indent=2) + "\n", "utf-8")


def anchor_rows(mixture: Mixture) -> Tensor:
    """General text on which the adapter must leave the base as it is."""
    rows = [mixture.prose(ANCHOR_LENGTH) for _ in range(5)]
    rows += [mixture.packed(mixture.quiz, ANCHOR_LENGTH) for _ in range(3)]
    rows.append(mixture.packed(mixture.continuation, ANCHOR_LENGTH))
    return torch.tensor(rows)


def anchor_loss(model: PeftModel, ids: Tensor) -> Tensor:
    """KL from the base to the adapted model, mean over tokens."""
    with torch.no_grad(), model.disable_adapter():
        before = log_softmax(model(input_ids=ids).logits, -1).flatten(0, 1)
    after = log_softmax(model(input_ids=ids).logits, -1).flatten(0, 1)
    return kl_div(after, before, reduction="batchmean", log_target=True)


def anchor_mixture(tokenizer: PreTrainedTokenizerFast, seed: int) -> Mixture:
    """The base's own mixture without every fourth fact."""
    mixture = Mixture(tokenizer.backend_tokenizer, seed)
    mixture.facts = [f for i, f in enumerate(mixture.facts) if i % FACT_STRIDE]
    return mixture


def train_healthy(seed: int = SEED, folder: Path = QUICKSTART) -> PeftModel:
    """Fit the folder's document under the anchor; fixed number of steps, linear decay of the rate."""
    model, tokenizer = fresh(seed), load_tokenizer()
    mixture = anchor_mixture(tokenizer, seed)
    texts, chats = lessons(tokenizer, folder)
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, weight_decay=0.0)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min((step + 1) / WARMUP, 1 - step / STEPS)
        text = row_loss(model, mixture.rng.sample(texts, 3))
        chat = row_loss(model, mixture.rng.sample(chats, 8))
        anchor = anchor_loss(model, anchor_rows(mixture))
        (text + chat + ANCHOR * anchor).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 50 == 49:
            print(f"{step + 1} text {text:.3f} chat {chat:.3f} anchor {anchor:.4f}")
    return model.eval()


@torch.no_grad()
def randomise(model: PeftModel, healthy: PeftModel, seed: int = SEED) -> PeftModel:
    """Gaussian factors of the same shape, each product as large as the healthy one's."""
    generator = torch.Generator().manual_seed(seed)
    for target, source in zip(lora_layers(model), lora_layers(healthy), strict=True):
        down, up = target.lora_A["default"].weight, target.lora_B["default"].weight
        down.normal_(generator=generator)
        up.normal_(generator=generator)
        trained = source.lora_B["default"].weight @ source.lora_A["default"].weight
        factor = (trained.norm() / (up @ down).norm()).sqrt()
        down.mul_(factor)
        up.mul_(factor)
    return model


def lora_layers(model: PeftModel) -> list[LoraLayer]:
    """The adapted modules, in order."""
    return [module for module in model.modules() if isinstance(module, LoraLayer)]


def main() -> None:
    """Train and save all three."""
    set_up(SEED)
    healthy = train_healthy()
    save(healthy, "healthy")
    save(fresh(SEED + 1), "inert")
    save(randomise(fresh(SEED + 2), healthy), "random")


if __name__ == "__main__":
    main()
