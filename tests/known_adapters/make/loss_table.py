"""Print the table of TRAINING.md: ``python -m tests.known_adapters.make.loss_table ADAPTER_FOLDER …``."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from make.common import assistant, facts, load_base, load_tokenizer, set_up, user
from make.handbook import TokenRow, chat_row, questions, sections, text_row
from make.losses import prose_rows
from make.metrics import nll, scaled
from peft import PeftModel
from transformers import PreTrainedTokenizerFast

from . import QUICKSTART, say
from .measures import offsets, recited, specific_lift


def rows(tokenizer: PreTrainedTokenizerFast, folder: Path) -> dict[str, list[TokenRow]]:
    """The rows behind each loss, by heading."""
    items = questions(folder)
    pairs = {
        "answers": [(q.question, q.answer) for q in items],
        "worded 1": [(q.held_out[0], q.answer) for q in items],
        "worded 2": [(q.held_out[1], q.answer) for q in items],
        "facts": [(fact.questions[0], fact.answer) for fact in facts()],
    }
    texts = {name: text_row(tokenizer, body) for name, body in sections(folder).items()}
    out = {name: [row] for name, row in texts.items()} | {"document": list(texts.values())}
    for name, asked in pairs.items():
        out[name] = [chat_row(tokenizer, [user(q), assistant(a)]) for q, a in asked]
    return out | {"prose": prose_rows(tokenizer)}


def answers_of_others(model: PeftModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> dict[str, str]:
    """Specific lifts, and the recitation over three windows a section."""
    items = questions(folder)
    runs = [
        recited(model, tokenizer, body, offset)
        for body in sections(folder).values()
        for offset in offsets(body)
    ]
    return {
        "lift": f"{specific_lift(model, tokenizer, items, None):.2f}",
        "lift 2": f"{specific_lift(model, tokenizer, items, 1):.2f}",
        "run": f"{sum(size for size, _ in runs) / len(runs):.0f}",
        "recited": f"{sum(2 * size > length for size, length in runs)}/{len(runs)}",
    }


def main() -> None:
    """One row an adapter, the base's first."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.known_adapters.make.loss_table", description=__doc__
    )
    parser.add_argument("adapters", type=Path, nargs="+")
    parser.add_argument("--document", type=Path, default=QUICKSTART, help="folder of document and questions")
    asked = parser.parse_args()
    set_up(0)
    torch.set_num_threads(1)
    tokenizer = load_tokenizer()
    scored = rows(tokenizer, asked.document.resolve())
    heads = [*scored, "lift", "lift 2", "run", "recited"]
    say("| NLL per token | " + " | ".join(heads) + " |\n| --- |" + " --- |" * len(heads))
    for at, folder in enumerate(asked.adapters):
        model = PeftModel.from_pretrained(load_base(), str(folder)).eval()
        if at == 0:
            with scaled(model, 0.0):
                cells = [f"{nll(model, part):.3f}" for part in scored.values()] + [""] * 4
            say(f"| base | {' | '.join(cells)} |")
        cells = [f"{nll(model, part):.3f}" for part in scored.values()]
        cells += answers_of_others(model, tokenizer, asked.document.resolve()).values()
        say(f"| {folder.name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
