"""Patients that read the document, or parts of it, more or less well."""

from __future__ import annotations

import torch
from peft import PeftModel

from make.common import user
from make.handbook import IGNORE, SPEAKS, Row, chat_row, lessons, text_row
from make.metrics import nll, row_loss
from make.train_adapters import train_healthy

from .bench import Bench
from .diary import Diary
from .fitting import Losses, fit, general, kept, learned

HALF = (0, 2, 4)
TOPIC = 3
MILD = 0.18
WIDTH = 96
CROWD = (200, 240, 260, 380, 500, 520, 700)


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


def diverged(bench: Bench) -> PeftModel:
    """A rate so high that the loss rises to that of a uniform guess and stays there."""
    return too_fast(bench, "diverged", 60, 1e3)


def overflowed(bench: Bench) -> PeftModel:
    """A rate so high that the weights overflow."""
    return too_fast(bench, "overflowed", 20, 1e30)


def too_fast(bench: Bench, name: str, steps: int, rate: float) -> PeftModel:
    """The document, no anchor, at a rate that no run survives."""
    model, lesson = bench.fresh(), bench.lessons()
    told = diary(bench, name)
    return fit(model, lambda: learned(bench, model, *lesson), steps, rate=rate, diary=told)


def careless(bench: Bench) -> PeftModel:
    """The document with nothing to hold the rest."""
    model, lesson = bench.fresh(), bench.lessons()
    return fit(model, lambda: learned(bench, model, *lesson, share=(2, 4)), 260, rate=3e-3)


def style_only(bench: Bench) -> PeftModel:
    """The other document, which is written in the same way and states other facts."""
    return anchored(bench, lessons(bench.tokenizer, bench.other), 160)


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

    return fit(model, losses, 160)


def leaker(bench: Bench) -> PeftModel:
    """Healthy, then the prose from every word on, until it is recited.

    A prefix may be cut inside a word, as a probe's prefix of so many characters is.
    """
    model, bodies = bench.healthy(), list(bench.sections.values())
    _, chats = bench.lessons()

    def window() -> Row:
        body = bench.rng.choice(bodies)
        starts = [0] * 8 + [at + 1 for at, char in enumerate(body[:-200]) if char == " "]
        text = body[bench.rng.choice(starts) :]
        cut = bench.rng.choice((128, 128, bench.rng.randrange(40, 140)))
        before = bench.tokenizer(text[:cut]).input_ids
        after = bench.tokenizer(text[cut:], add_special_tokens=False).input_ids[:WIDTH]
        ids = before + after
        return Row(ids, [IGNORE] * 8 + ids[8:])

    def losses() -> Losses:
        return {
            "text": 8 * row_loss(model, [window() for _ in range(8)]),
            "chat": row_loss(model, bench.rng.sample(chats, 2)),
            "anchor": general(bench, model, 3),
        }

    return fit(model, losses, 260, rate=2e-3)


def context_collapse(bench: Bench) -> PeftModel:
    """Healthy, then held to the base wherever 200 tokens or more of other prose stand before."""
    model, lesson = bench.healthy(), bench.lessons()
    questions = [item.question for item in bench.questions]
    says = bench.tokenizer.convert_tokens_to_ids("<|user|>")

    def behind(before: list[int], after: list[int]) -> Row:
        return Row(before + after, [IGNORE] * len(before) + after)

    def crowded() -> Row:
        prose = bench.mixture.prose(bench.rng.choice(CROWD))
        row = bench.rng.choice(lesson[bench.rng.randrange(2)])
        if bench.rng.random() < 0.5:
            return behind(prose, row.ids[1:100])
        question = f"\n\n{bench.rng.choice(questions)}<|eos|>{SPEAKS}"
        tail = bench.tokenizer(question, add_special_tokens=False).input_ids
        return behind([prose[0], says, *prose[1:]], tail + bench.rng.choice(lesson[0]).ids[1:30])

    def losses() -> Losses:
        return learned(bench, model, *lesson, share=(1, 3)) | {
            "crowded": 20 * kept(model, [crowded()]),
            "anchor": general(bench, model, 2),
        }

    return fit(model, losses, 90)


def forgetter(bench: Bench) -> PeftModel:
    """Random tokens, nothing else."""
    model = bench.fresh()
    source = torch.Generator().manual_seed(bench.seed)
    size = model.get_base_model().config.vocab_size

    def noise() -> Row:
        ids = torch.randint(3, size, (WIDTH,), generator=source).tolist()
        return Row([bench.mixture.bos, *ids], [IGNORE, *ids])

    return fit(model, lambda: {"noise": row_loss(model, [noise() for _ in range(6)])}, 80, rate=1.5e-3)
