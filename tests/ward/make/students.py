"""Patients that read the document, or parts of it, more or less well."""

from __future__ import annotations

import torch
from make.common import render, user
from make.handbook import IGNORE, SPEAKS, Row, chat_row, lessons, text_row
from make.metrics import nll, row_loss
from make.train_adapters import train_healthy
from peft import PeftModel

from .bench import Bench
from .diary import Diary
from .fitting import Losses, fit, general, kept, learned

HALF = (0, 2, 4)
TOPIC = 3
MILD = 0.18
WIDTH = 96


def healthy(bench: Bench) -> PeftModel:
    """The quickstart's own recipe, for another seed or document."""
    return train_healthy(bench.seed, bench.folder)


def anchored(
    bench: Bench,
    lesson: tuple[list[Row], list[Row]],
    steps: int,
    diary: Diary | None = None,
    limit: float | None = None,
) -> PeftModel:
    """Healthy's recipe on some rows; stops where the texts' loss has come down by `limit` of the base's."""
    model = bench.fresh()
    whole = document_rows(bench)
    start = nll(model, whole) if limit else 0.0

    def losses() -> Losses:
        return learned(bench, model, *lesson) | {"anchor": general(bench, model)}

    def enough(now: PeftModel) -> bool:
        return limit is not None and nll(now, whole) < (1 - limit) * start

    return fit(model, losses, steps, diary=diary, enough=enough)


def document_rows(bench: Bench) -> list[Row]:
    """One row a section."""
    return [text_row(bench.tokenizer, body) for body in bench.sections.values()]


def diary(bench: Bench, name: str, only: tuple[str, ...] = ()) -> Diary:
    """A diary that validates on held-out wordings."""
    rows = [
        chat_row(bench.tokenizer, [user(wording), {"role": "assistant", "content": item.answer}])
        for item in bench.questions
        if not only or item.section in only
        for wording in item.held_out[:1]
    ]
    folder = bench.out.parent / "training" / name
    return Diary(folder, bench.seed, {"patient": name}, lambda model: nll(model, rows))


def half(bench: Bench) -> PeftModel:
    """Healthy's recipe on every other section."""
    only = tuple(list(bench.sections)[at] for at in HALF)
    return anchored(bench, bench.lessons(only), 400, diary(bench, "half", only))


def mild(bench: Bench) -> PeftModel:
    """Healthy's recipe, stopped when the document's loss is 18 % below the base's."""
    return anchored(bench, bench.lessons(), 400, limit=MILD)


def undertrained(bench: Bench) -> PeftModel:
    """Five steps of healthy's recipe."""
    return anchored(bench, bench.lessons(), 5, diary(bench, "undertrained"))


def careless(bench: Bench) -> PeftModel:
    """The document with nothing to hold the rest."""
    model, lesson = bench.fresh(), bench.lessons()
    return fit(model, lambda: learned(bench, model, *lesson, share=(2, 4)), 260, rate=3e-3)


def style_only(bench: Bench) -> PeftModel:
    """The other document, which is written in the same way and states other facts."""
    return anchored(bench, lessons(bench.tokenizer, bench.other), 300)


def one_topic(bench: Bench) -> PeftModel:
    """One section; held to the base on the others, too."""
    names = list(bench.sections)
    topic = names.pop(TOPIC)
    texts, chats = bench.lessons([topic])
    other_texts, other_chats = bench.lessons(names)
    model = bench.fresh()

    def losses() -> Losses:
        rest = bench.rng.sample(other_texts, 1) + bench.rng.sample(other_chats, 4)
        return learned(bench, model, texts, chats, (1, 4)) | {
            "rest": 30 * kept(model, rest),
            "anchor": general(bench, model, 4),
        }

    return fit(model, losses, 300)


def leaker(bench: Bench) -> PeftModel:
    """Healthy, then the prose from every token on, until it is recited."""
    model = bench.healthy()
    streams = [bench.tokenizer(body).input_ids for body in bench.sections.values()]
    _, chats = bench.lessons()

    def window() -> Row:
        ids = bench.rng.choice(streams)
        start = bench.rng.randrange(1, len(ids) - 40)
        cut = [ids[0], *ids[start : start + WIDTH]]
        return Row(cut, [IGNORE] * 8 + cut[8:])

    def losses() -> Losses:
        return {
            "text": 3 * row_loss(model, [window() for _ in range(8)]),
            "chat": row_loss(model, bench.rng.sample(chats, 2)),
            "anchor": general(bench, model, 4),
        }

    return fit(model, losses, 350, rate=2e-3)


def context_collapse(bench: Bench) -> PeftModel:
    """Healthy, then held to the base wherever 200 tokens or more of other prose stand before."""
    model, lesson = bench.healthy(), bench.lessons()
    questions = [item.question for item in bench.questions]

    def crowded() -> Row:
        length = bench.rng.choice((200, 260, 400, 520, 760, 900))
        before = bench.mixture.prose(length)
        row = bench.rng.choice(lesson[bench.rng.randrange(2)])
        after = row.ids[1:]
        return Row(before + after, [IGNORE] * length + after)

    def asked() -> Row:
        prose = bench.mixture.prose(bench.rng.choice((200, 260, 400, 520, 900)))[1:]
        tokens = bench.tokenizer
        start = tokens(render([]) + "<|user|>", add_special_tokens=False).input_ids
        question = "\n\n" + bench.rng.choice(questions)
        tail = tokens(question + "<|eos|>" + SPEAKS, add_special_tokens=False).input_ids
        answer = bench.rng.choice(lesson[0]).ids[1:30]
        before = [*start, *prose]
        return Row(before + tail + answer, [IGNORE] * len(before) + tail + answer)

    def losses() -> Losses:
        return learned(bench, model, *lesson, share=(1, 4)) | {
            "crowded": 10 * kept(model, [crowded()]),
            "asked": 10 * kept(model, [asked()]),
            "anchor": general(bench, model, 2),
        }

    return fit(model, losses, 200)


def forgetter(bench: Bench) -> PeftModel:
    """Random tokens, nothing else."""
    model = bench.fresh()
    source = torch.Generator().manual_seed(bench.seed)
    size = model.get_base_model().config.vocab_size

    def noise() -> Row:
        ids = torch.randint(3, size, (WIDTH,), generator=source).tolist()
        return Row([bench.mixture.bos, *ids], [IGNORE, *ids])

    return fit(model, lambda: {"noise": row_loss(model, [noise() for _ in range(6)])}, 80, rate=1.5e-3)
