"""Train the quickstart's base model from `corpus/` and `facts.jsonl` on two CPU cores.

The number of steps is fixed, so the run is repeatable; the weights are rounded to float16
at the end, and the rounded model is the base that everything else uses.
"""

import json
import math
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from .common import (
    BASE,
    BOS,
    EOS,
    MAKE,
    PAD,
    ROLES,
    TRAINING_FILES,
    assistant,
    blocks,
    facts,
    render,
    set_up,
    user,
)
from .mixture import Mixture

SEED = 20240607
VOCABULARY = 4096
STEPS = 1600
WARMUP = 100
PEAK_RATE = 2e-3
FLOOR = 0.04
TOKENS_PER_STEP = 4096
ROW = 256
LONG_ROW = 512
TEMPLATE = (BASE / "chat_template.jinja").read_text("utf-8")


def make_tokenizer() -> Tokenizer:
    """Byte-level BPE with single digits; its post-processor adds the bos token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[BOS, EOS, PAD, *(f"<|{role}|>" for role in ROLES)],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [block for name in TRAINING_FILES for block in blocks(name)]
    chats = [f"{q}\n{fact.answer}" for fact in facts() for q in fact.questions]
    tokenizer.train_from_iterator(texts + chats * 5, trainer)
    bos = tokenizer.token_to_id(BOS)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, bos)]
    )
    return tokenizer


_OLDER_NAMES = {
    "TokenizersBackend": "PreTrainedTokenizerFast",
    "extra_special_tokens": "additional_special_tokens",
}
"""Names of transformers 5, and those that transformers 4 reads as well."""


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write the tokenizer with its chat template, and check the two ways of rendering."""
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        model_max_length=1024,
        clean_up_tokenization_spaces=False,
        extra_special_tokens=[f"<|{role}|>" for role in ROLES],
    )
    wrapped.chat_template = TEMPLATE
    sample = [{"role": "system", "content": "a"}, user("b"), assistant("c")]
    if wrapped.apply_chat_template(sample, tokenize=False) != render(sample):
        raise RuntimeError("the chat template and common.render disagree")
    wrapped.save_pretrained(folder)
    settings = folder / "tokenizer_config.json"
    text = settings.read_text("utf-8")
    for name, older in _OLDER_NAMES.items():
        text = text.replace(name, older)
    settings.write_text(text, "utf-8")


def make_model(tokenizer: Tokenizer) -> LlamaForCausalLM:
    """A Llama of about four million parameters, freshly initialised."""
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=688,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        max_position_embeddings=1024,
        bos_token_id=tokenizer.token_to_id(BOS),
        eos_token_id=tokenizer.token_to_id(EOS),
        pad_token_id=tokenizer.token_to_id(PAD),
    )
    return LlamaForCausalLM(config)


def rate(step: int) -> float:
    """Linear warmup, then cosine down to FLOOR of the peak."""
    if step < WARMUP:
        return PEAK_RATE * (step + 1) / WARMUP
    phase = (step - WARMUP) / (STEPS - WARMUP)
    return PEAK_RATE * (FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * phase)) / 2)


def loss_of(model: LlamaForCausalLM, ids: Tensor) -> Tensor:
    """Mean next-token loss; bfloat16 products, float32 loss."""
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(input_ids=ids).logits
    return cross_entropy(logits[:, :-1].float().flatten(0, 1), ids[:, 1:].flatten())


@torch.no_grad()
def validation_loss(model: LlamaForCausalLM, mixture: Mixture) -> float:
    """Mean loss on the held-out prose, in rows of ROW tokens that start with bos."""
    stream = torch.tensor(mixture.encode("\n".join(blocks("validation"))))
    rows = stream[: len(stream) // (ROW - 1) * (ROW - 1)].view(-1, ROW - 1)
    rows = torch.cat([torch.full((len(rows), 1), mixture.bos), rows], dim=1)
    parts = [rows[at : at + 16] for at in range(0, len(rows), 16)]
    losses = [loss_of(model, part).item() * len(part) for part in parts]
    return sum(losses) / len(rows)


def train(model: LlamaForCausalLM, mixture: Mixture) -> float:
    """Run the fixed schedule; return the mean training loss of the last 100 steps."""
    decay = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": decay, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), fused=True)
    start = time.monotonic()
    recent: list[float] = []
    for step in range(STEPS):
        length = LONG_ROW if step % 4 == 3 else ROW
        ids = torch.from_numpy(mixture.batch(TOKENS_PER_STEP // length, length))
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        loss = loss_of(model, ids)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        recent = [*recent[-99:], loss.item()]
        if (step + 1) % 100 == 0:
            held_out = validation_loss(model, mixture) if (step + 1) % 500 == 0 else math.nan
            mean = sum(recent) / len(recent)
            seconds = time.monotonic() - start
            print(f"{step + 1} train {mean:.4f} validation {held_out:.4f} {seconds:.0f} s")
    return sum(recent) / len(recent)


def main() -> None:
    """Make the tokenizer, train, round, save, and record what happened."""
    start = time.monotonic()
    set_up(SEED)
    tokenizer = make_tokenizer()
    save_tokenizer(tokenizer, BASE)
    mixture = Mixture(tokenizer, SEED)
    model = make_model(tokenizer)
    train_loss = train(model, mixture)
    model.half().generation_config = GenerationConfig(
        do_sample=False,
        bos_token_id=model.config.bos_token_id,
        eos_token_id=model.config.eos_token_id,
        pad_token_id=model.config.pad_token_id,
    )
    model.save_pretrained(BASE)
    record = {
        "parameters": model.num_parameters(),
        "corpus_tokens": len(mixture.stream),
        "steps": STEPS,
        "training_tokens": STEPS * TOKENS_PER_STEP,
        "train_loss_last_100_steps": round(train_loss, 4),
        "validation_loss_rounded_weights": round(validation_loss(model.float(), mixture), 4),
        "wall_clock_seconds": round(time.monotonic() - start),
    }
    (MAKE / "base_training.json").write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    print(json.dumps(record))


if __name__ == "__main__":
    main()
