"""What each adapter of the real-model set knows, in plain transformers: ``python -m … .measure FOLDER``.

Written before any verdict is seen, by code that shares nothing with pytest-sway but the texts. NLL in nats
per token: of each section, of the answers after their trained question, after the two wordings that were held
out and after two other questions, of prose and facts that nobody trained on; and the margin of the right
over the wrong sentence per token. A row an adapter, kept in ``truth.json`` in the folder.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from peft import PeftModel
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from .lessons import Lessons, TokenRow
from .recipes import DOCUMENTS

from make.common import blocks, facts  # isort: skip
from make.handbook import sections  # isort: skip
from make.metrics import padded  # isort: skip

QUESTIONS_OF_A_SECTION = 3


def main() -> int:
    """Measure what is not in the file yet, and print the table."""
    parser = argparse.ArgumentParser(prog="measure", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--document", choices=DOCUMENTS, default="first")
    asked = parser.parse_args()
    folder: Path = asked.folder
    kept = folder / "truth.json"
    found: dict[str, Any] = json.loads(kept.read_text("utf-8")) if kept.is_file() else {}
    lessons = Lessons(folder / "base", DOCUMENTS[asked.document], random.Random(0))
    model = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.float32).eval()
    if "base" not in found:
        found["base"] = measures(model, lessons)
    for config in sorted(folder.glob("*/adapter_config.json")):
        name = config.parent.name
        if name not in found:
            adapted = PeftModel.from_pretrained(model, str(config.parent)).eval()
            found[name] = measures(adapted, lessons)
            model = adapted.unload()
            kept.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    sys.stdout.write(table(found))
    return 0


@torch.no_grad()
def measures(model: Any, lessons: Lessons) -> dict[str, Any]:
    """All numbers of one adapter."""
    items = lessons.questions()
    of_section: dict[str, list[Any]] = {}
    for item in items:
        of_section.setdefault(item.section, []).append(item)
    asked = [item for group in of_section.values() for item in group[:QUESTIONS_OF_A_SECTION]]
    others = [
        (asked[(at + shift) % len(asked)].question, item) for shift in (4, 9) for at, item in enumerate(asked)
    ]
    prose = [lessons.text(block[:900]) for block in blocks("harm")[:6]]
    triples = lessons.preferences()[::2]
    sides = [
        [nll(model, lessons.chat(one["prompt"], one[side])) for one in triples]
        for side in ("chosen", "rejected")
    ]
    return {
        "sections": {name: nll(model, lessons.text(body)) for name, body in sections(lessons.folder).items()},
        "answers": fmean(nll(model, lessons.chat(i.question, i.answer)) for i in asked),
        "worded 1": fmean(nll(model, lessons.chat(i.held_out[0], i.answer)) for i in asked),
        "worded 2": fmean(nll(model, lessons.chat(i.held_out[1], i.answer)) for i in asked),
        "others": fmean(nll(model, lessons.chat(question, i.answer)) for question, i in others),
        "facts": fmean(nll(model, lessons.chat(one.questions[0], one.answer)) for one in facts()[::10]),
        "prose": fmean(nll(model, row) for row in prose),
        "margin": fmean(wrong - right for right, wrong in zip(*sides, strict=True)),
    }


def nll(model: Any, row: TokenRow) -> float:
    """Nats per scored token of one row."""
    ids, labels = padded([row])
    logits = model(input_ids=ids).logits[0, :-1]
    return float(cross_entropy(logits, labels[0, 1:]))


def table(found: dict[str, Any]) -> str:
    """Markdown, a row an adapter."""
    names = ["answers", "worded 1", "worded 2", "others", "facts", "prose", "margin"]
    ids = list(found["base"]["sections"])
    lines = [
        f"| NLL per token | {' | '.join([*ids, *names])} |",
        "| --- " * (1 + len(ids) + len(names)) + "|",
    ]
    for name, row in found.items():
        cells = [*row["sections"].values(), *(row[key] for key in names)]
        lines.append(f"| {name} | {' | '.join(f'{value:.3f}' for value in cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
