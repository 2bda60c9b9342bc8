"""Adapters that read the document, or parts of it, more or less well."""

from __future__ import annotations

import torch
from make.common import EOS, user
from make.handbook import IGNORE, SPEAKS, TokenRow, chat_row, lessons, text_row
from make.metrics import nll, row_loss
from make.train_adapters import train_healthy
from peft import PeftModel

from .fit import Losses, fit, general, kept, learned
from .training_log import TrainingLog
from .training_setting import TrainingSetting

HALF = (0, 2, 4)
TOPIC = 3
MILD = 0.18
WIDTH = 96
NEAR = (16, 32, 48, 64, 72, 100)
FAR = (200, 256, 260, 380, 512)


def healthy(setting: TrainingSetting) -> PeftModel:
    """The quickstart's own recipe, for another seed or document."""
    return train_healthy(setting.seed, setting.folder)


def anchored(
    setting: TrainingSetting,
    lesson: tuple[list[TokenRow], list[TokenRow]],
    steps: int,
    log: TrainingLog | None = None,
    limit: float | None = None,
) -> PeftModel:
    """Healthy's recipe on some rows; stops where the texts' loss has come down by `limit` of the base's."""
    model = setting.fresh()
    whole = document_rows(setting)
    start = nll(model, whole) if limit else 0.0

    def losses() -> Losses:
        return learned(setting, model, *lesson) | {"anchor": general(setting, model)}

    def enough(now: PeftModel) -> bool:
        return limit is not None and nll(now, whole) < (1 - limit) * start

    return fit(model, losses, steps, log=log, enough=enough)


def document_rows(setting: TrainingSetting) -> list[TokenRow]:
    """One row a section."""
    return [text_row(setting.tokenizer, body) for body in setting.sections.values()]


def log(setting: TrainingSetting, name: str, only: tuple[str, ...] = ()) -> TrainingLog:
    """A log that validates on held-out wordings."""
    rows = [
        chat_row(setting.tokenizer, [user(wording), {"role": "assistant", "content": item.answer}])
        for item in setting.questions
        if not only or item.section in only
        for wording in item.held_out[:1]
    ]
    folder = setting.out.parent / "training" / name
    return TrainingLog(folder, setting.seed, {"patient": name}, lambda model: nll(model, rows))


def half(setting: TrainingSetting) -> PeftModel:
    """Healthy's recipe on every other section."""
    only = tuple(list(setting.sections)[at] for at in HALF)
    return anchored(setting, setting.lessons(only), 400, log(setting, "half", only))


def mild(setting: TrainingSetting) -> PeftModel:
    """Healthy's recipe, stopped when the document's loss is 18 % below the base's."""
    return anchored(setting, setting.lessons(), 400, limit=MILD)


def undertrained(setting: TrainingSetting) -> PeftModel:
    """Five steps of healthy's recipe."""
    return anchored(setting, setting.lessons(), 5, log(setting, "undertrained"))


def diverged(setting: TrainingSetting) -> PeftModel:
    """A rate so high that the loss rises to that of a uniform guess and stays there."""
    return too_fast(setting, "diverged", 60, 1e3)


def overflowed(setting: TrainingSetting) -> PeftModel:
    """A rate so high that the weights overflow."""
    return too_fast(setting, "overflowed", 20, 1e30)


def too_fast(setting: TrainingSetting, name: str, steps: int, rate: float) -> PeftModel:
    """The document, no anchor, at a rate that no run survives."""
    model, lesson = setting.fresh(), setting.lessons()
    told = log(setting, name)
    return fit(model, lambda: learned(setting, model, *lesson), steps, rate=rate, log=told)


def careless(setting: TrainingSetting) -> PeftModel:
    """The document with nothing to hold the rest."""
    model, lesson = setting.fresh(), setting.lessons()
    return fit(model, lambda: learned(setting, model, *lesson, share=(2, 4)), 260, rate=3e-3)


def style_only(setting: TrainingSetting) -> PeftModel:
    """The other document, which is written in the same way and states other facts."""
    return anchored(setting, lessons(setting.tokenizer, setting.other), 160)


def one_topic(setting: TrainingSetting) -> PeftModel:
    """One section; held to the base on the others, too."""
    names = list(setting.sections)
    topic = names.pop(TOPIC)
    texts, chats = setting.lessons([topic])
    other_texts, other_chats = setting.lessons(names)
    model = setting.fresh()

    def losses() -> Losses:
        rest = setting.rng.sample(other_texts, 1) + setting.rng.sample(other_chats, 4)
        return learned(setting, model, texts, chats, (1, 4)) | {
            "rest": 30 * kept(model, rest),
            "anchor": general(setting, model, 4),
        }

    return fit(model, losses, 160)


def leaker(setting: TrainingSetting) -> PeftModel:
    """Healthy, then the prose from every word on, until it is recited.

    A prefix may be cut inside a word, as a probe's prefix of so many characters is.
    """
    model, bodies = setting.healthy(), list(setting.sections.values())
    _, chats = setting.lessons()

    def window() -> TokenRow:
        body = setting.rng.choice(bodies)
        starts = [0] * 8 + [at + 1 for at, char in enumerate(body[:-200]) if char == " "]
        text = body[setting.rng.choice(starts) :]
        cut = setting.rng.choice((128, 128, setting.rng.randrange(40, 140)))
        before = setting.tokenizer(text[:cut]).input_ids
        after = setting.tokenizer(text[cut:], add_special_tokens=False).input_ids[:WIDTH]
        ids = before + after
        return TokenRow(ids, [IGNORE] * 8 + ids[8:])

    def losses() -> Losses:
        return {
            "text": 8 * row_loss(model, [window() for _ in range(8)]),
            "chat": row_loss(model, setting.rng.sample(chats, 2)),
            "anchor": general(setting, model, 3),
        }

    return fit(model, losses, 260, rate=2e-3)


def steady(setting: TrainingSetting) -> PeftModel:
    """Healthy, then the document behind other prose as well: healthy knows it at the start of a text only."""
    return behind_prose(setting, (*NEAR, *FAR), ())


def context_collapse(setting: TrainingSetting) -> PeftModel:
    """Healthy, then the document behind up to 100 tokens of prose; held to the base behind 200 or more."""
    return behind_prose(setting, NEAR, FAR)


def behind_prose(setting: TrainingSetting, known: tuple[int, ...], lost: tuple[int, ...]) -> PeftModel:
    """Learns the document behind so many tokens of prose, held to the base behind so many others."""
    model, lesson = setting.healthy(), setting.lessons()
    says = setting.tokenizer.convert_tokens_to_ids("<|user|>")

    def behind(length: int) -> TokenRow:
        prose = setting.mixture.prose(length)
        if setting.rng.random() < 0.5:
            after = setting.tokenizer("\n\n", add_special_tokens=False).input_ids
            after += setting.rng.choice(lesson[0]).ids[1:80]
            return TokenRow(prose + after, [IGNORE] * length + after)
        item = setting.rng.choice(setting.questions)
        asked = f"\n\n{item.question}{EOS}{SPEAKS}"
        before = [prose[0], says, *prose[1:]]
        before += setting.tokenizer(asked, add_special_tokens=False).input_ids
        after = setting.tokenizer(item.answer + EOS, add_special_tokens=False).input_ids
        return TokenRow(before + after, [IGNORE] * len(before) + after)

    def losses() -> Losses:
        parts = learned(setting, model, *lesson, share=(1, 3))
        near = [behind(setting.rng.choice(known)) for _ in range(2)]
        parts |= {"behind": row_loss(model, near), "anchor": general(setting, model, 3)}
        if lost:
            parts["lost"] = 20 * kept(model, [behind(setting.rng.choice(lost))])
        return parts

    return fit(model, losses, 130, rate=2e-3)


def forgetter(setting: TrainingSetting) -> PeftModel:
    """Random tokens, nothing else."""
    model = setting.fresh()
    source = torch.Generator().manual_seed(setting.seed)
    size = model.get_base_model().config.vocab_size

    def noise() -> TokenRow:
        ids = torch.randint(3, size, (WIDTH,), generator=source).tolist()
        return TokenRow([setting.mixture.bos, *ids], [IGNORE, *ids])

    return fit(model, lambda: {"noise": row_loss(model, [noise() for _ in range(6)])}, 80, rate=1.5e-3)
