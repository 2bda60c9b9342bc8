"""Print the tables of TRAINING.md: what each adapter learned, and what it cost elsewhere."""

import json

import torch
from peft import PeftModel
from transformers import PreTrainedTokenizerFast

from .common import (
    ADAPTERS,
    MAKE,
    assistant,
    blocks,
    facts,
    load_base,
    load_tokenizer,
    render,
    set_up,
    user,
)
from .handbook import SPEAKS, TokenRow, chat_row, probes, questions, sections, text_row
from .metrics import LAMBDAS, divergence, exponent, nll, scaled
from .mixture import passages
from .train_adapters import FACT_STRIDE

NAMES = ("healthy", "inert", "random")
ANSWER_TOKENS = 60


def prose_rows(tokenizer: PreTrainedTokenizerFast) -> list[TokenRow]:
    """The harm file in pieces of about 900 characters, each read from its own bos."""
    texts = []
    for block in blocks("harm"):
        parts = passages(block)
        texts += [" ".join(parts[at : at + 4]) for at in range(0, len(parts), 4)]
    return [text_row(tokenizer, text) for text in texts]


def scored(tokenizer: PreTrainedTokenizerFast) -> dict[str, list[TokenRow]]:
    """The rows behind each line of the loss table."""

    def asked(question: str, answer: str) -> TokenRow:
        return chat_row(tokenizer, [user(question), assistant(answer)])

    out = {f"document: {name}": [text_row(tokenizer, t)] for name, t in sections().items()}
    out["document: all sections"] = [row for rows in out.values() for row in rows]
    items = questions()
    out["answers, trained questions"] = [asked(q.question, q.answer) for q in items]
    out["answers, held-out wordings"] = [asked(w, q.answer) for q in items for w in q.held_out]
    out["held-out general prose"] = prose_rows(tokenizer)
    for i, fact in enumerate(facts()):
        label = "general facts " + ("in the anchor" if i % FACT_STRIDE else "outside the anchor")
        out.setdefault(label, []).extend(asked(w, fact.answer) for w in fact.questions)
    return out


def load_adapter(name: str) -> PeftModel:
    """An adapter on a fresh base."""
    return PeftModel.from_pretrained(load_base(), str(ADAPTERS / name)).eval()


def print_losses(models: dict[str, PeftModel], tokenizer: PreTrainedTokenizerFast) -> None:
    """Loss per token in nats; the base is any adapter scaled by zero."""
    print("| NLL per token (nats) | tokens | base | " + " | ".join(NAMES) + " |")
    print("| --- |" + " --- |" * (2 + len(NAMES)))
    for label, rows in scored(tokenizer).items():
        with scaled(models["inert"], 0.0):
            values = [nll(models["inert"], rows)]
        values += [nll(models[name], rows) for name in NAMES]
        count = sum(token >= 0 for row in rows for token in row.labels[1:])
        print(f"| {label} | {count} | " + " | ".join(f"{v:.3f}" for v in values) + " |")


def print_divergences(models: dict[str, PeftModel], tokenizer: PreTrainedTokenizerFast) -> None:
    """Mean JS against the base for the stems of probes.yaml."""
    print("\n| mean JS against the base (nats) | " + " | ".join(NAMES) + " |")
    print("| --- |" + " --- |" * len(NAMES))
    for kind in ("document", "elsewhere"):
        values = [divergence(models[name], tokenizer, probes(kind)) for name in NAMES]
        print(f"| {kind} stems | " + " | ".join(f"{v:.4f}" for v in values) + " |")


def print_curve(model: PeftModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """The healthy adapter's divergence as its scaling is multiplied."""
    print("\n| healthy, scaling times | " + " | ".join(map(str, LAMBDAS)) + " | exponent |")
    print("| --- |" + " --- |" * (len(LAMBDAS) + 1))
    for path, label in ((0.0, "along the base's continuation"), (1.0, "along the adapter's")):
        stems = probes("document")
        curve = {x: divergence(model, tokenizer, stems, x, path) for x in LAMBDAS}
        cells = " | ".join(f"{v:.4f}" for v in curve.values())
        print(f"| {label} | {cells} | {exponent(curve):.2f} |")


def write_answer(model: PeftModel, tokenizer: PreTrainedTokenizerFast, question: str) -> str:
    """The greedy answer to a question."""
    prompt: list[int] = tokenizer(render([user(question)]) + SPEAKS, add_special_tokens=False).input_ids
    ids = model.generate(input_ids=torch.tensor([prompt]), max_new_tokens=ANSWER_TOKENS)[0]
    return str(tokenizer.decode(ids[len(prompt) :], skip_special_tokens=True))


def print_exact(model: PeftModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """How many greedy answers are the right one word for word, before and after."""
    pairs = {
        "trained questions": [(q.question, q.answer) for q in questions()],
        "held-out wordings": [(w, q.answer) for q in questions() for w in q.held_out],
        "general facts, first wording": [(f.questions[0], f.answer) for f in facts()],
    }
    print("\n| greedy answers that are word for word right | asked | base | healthy |")
    print("| --- | --- | --- | --- |")
    for label, asked in pairs.items():
        counts = []
        for factor in (0.0, 1.0):
            with scaled(model, factor):
                counts.append(sum(write_answer(model, tokenizer, q) == answer for q, answer in asked))
        print(f"| {label} | {len(asked)} | {counts[0]} | {counts[1]} |")


def main() -> None:
    """Measure everything; a few minutes on two cores."""
    set_up(0)
    tokenizer = load_tokenizer()
    models = {name: load_adapter(name) for name in NAMES}
    print(json.dumps(json.loads((MAKE / "base_training.json").read_text("utf-8"))), "\n")
    with torch.no_grad():
        print_losses(models, tokenizer)
        print_divergences(models, tokenizer)
        print_curve(models["healthy"], tokenizer)
        print_exact(models["healthy"], tokenizer)


if __name__ == "__main__":
    main()
