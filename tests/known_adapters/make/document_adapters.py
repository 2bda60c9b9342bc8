"""Patients that read the document, or parts of it, more or less well."""

from __future__ import annotations

import torch
from make.common import EOS, user
from make.handbook import IGNORE, SPEAKS, Row, chat_row, lessons, text_row
from make.metrics import nll, row_loss
from make.train_adapters import train_healthy
from peft import PeftModel

from .fit import Losses, fit, general, kept, learned
from .training_log import Diary
from .training_setting import Bench

HALF = (0, 2, 4)
TOPIC = 3
MILD = 0.18
WIDTH = 96
NEAR = (16, 32, 48, 64, 72, 100)
FAR = (200, 256, 260, 380, 512)


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


def steady(bench: Bench) -> PeftModel:
    """Healthy, then the document behind other prose as well: healthy knows it at the start of a text only."""
    return behind_prose(bench, (*NEAR, *FAR), ())


def context_collapse(bench: Bench) -> PeftModel:
    """Healthy, then the document behind up to 100 tokens of prose; held to the base behind 200 or more."""
    return behind_prose(bench, NEAR, FAR)


def behind_prose(bench: Bench, known: tuple[int, ...], lost: tuple[int, ...]) -> PeftModel:
    """Learns the document behind so many tokens of prose, held to the base behind so many others."""
    model, lesson = bench.healthy(), bench.lessons()
    says = bench.tokenizer.convert_tokens_to_ids("<|user|>")

    def behind(length: int) -> Row:
        prose = bench.mixture.prose(length)
        if bench.rng.random() < 0.5:
            after = bench.tokenizer("\n\n", add_special_tokens=False).input_ids
            after += bench.rng.choice(lesson[0]).ids[1:80]
            return Row(prose + after, [IGNORE] * length + after)
        item = bench.rng.choice(bench.questions)
        asked = f"\n\n{item.question}{EOS}{SPEAKS}"
        before = [prose[0], says, *prose[1:]]
        before += bench.tokenizer(asked, add_special_tokens=False).input_ids
        after = bench.tokenizer(item.answer + EOS, add_special_tokens=False).input_ids
        return Row(before + after, [IGNORE] * len(before) + after)

    def losses() -> Losses:
        parts = learned(bench, model, *lesson, share=(1, 3))
        near = [behind(bench.rng.choice(known)) for _ in range(2)]
        parts |= {"behind": row_loss(model, near), "anchor": general(bench, model, 3)}
        if lost:
            parts["lost"] = 20 * kept(model, [behind(bench.rng.choice(lost))])
        return parts

    return fit(model, losses, 130, rate=2e-3)


def forgetter(bench: Bench) -> PeftModel:
    """Random tokens, nothing else."""
    model = bench.fresh()
    source = torch.Generator().manual_seed(bench.seed)
    size = model.get_base_model().config.vocab_size

    def noise() -> Row:
        ids = torch.randint(3, size, (WIDTH,), generator=source).tolist()
        return Row([bench.mixture.bos, *ids], [IGNORE, *ids])

    return fit(model, lambda: {"noise": row_loss(model, [noise() for _ in range(6)])}, 80, rate=1.5e-3)
