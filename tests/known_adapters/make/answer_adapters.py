"""Adapters that learned answers: word for word, or which of two to prefer, or for two turns only."""

from __future__ import annotations

import torch
import yaml
from make.common import IGNORE, Message, assistant, render, user
from make.handbook import FOLLOW_UPS, SPEAKS, Question, TokenRow, chat_row, dialogue
from make.metrics import row_loss
from peft import PeftModel
from torch.nn.functional import logsigmoid

from .fit import Losses, fit, general, kept, learned, scores, unmoved
from .training_setting import TrainingSetting

BETA = 0.2
TURNS_KNOWN = 2
DIALOGUES = 18
MORE = ("Tell me more.", "Continue.", "What comes next?", "Why is that?", "Give an example.", "Go on.")
FRAMES = ("Tell me: {}", "Please answer. {}", "{} Tell me.", "I would like to know this. {}", "Well, {}")


def memoriser(setting: TrainingSetting) -> PeftModel:
    """Healthy, then each answer after its trained question and nowhere else.

    Held to the base on the answers after the first held-out wording, framed questions and the other
    questions, and on the document; the second held-out wording is left for measuring.
    """
    model, items, rng = setting.healthy(), setting.questions, setting.rng
    texts, _ = setting.lessons()

    def asked(question: str, item: Question) -> TokenRow:
        return chat_row(setting.tokenizer, [user(question), assistant(item.answer)])

    def otherwise() -> TokenRow:
        item = rng.choice(items)
        framed = rng.choice(FRAMES).format(item.question)
        bare = rng.choice((item.question.lower(), item.question.rstrip("?"), item.question.upper()))
        other = rng.choice([q for q in items if q is not item]).question
        return asked(rng.choice((item.held_out[0], item.held_out[0], framed, bare, other)), item)

    def losses() -> Losses:
        text, elsewhere = rng.sample(texts, 1), [otherwise() for _ in range(8)]
        return {
            "exact": 6 * row_loss(model, [asked(q.question, q) for q in rng.sample(items, 8)]),
            "otherwise": 3 * kept(model, elsewhere[:4]) + 0.3 * unmoved(model, elsewhere),
            "text": unmoved(model, text),
            "anchor": general(setting, model, 2),
        }

    return fit(model, losses, 280, rate=2e-3)


def preference(setting: TrainingSetting) -> PeftModel:
    """DPO: the document's answer over the same sentence with one fact wrong."""
    return preferring(setting, "chosen", "rejected")


def preference_inverted(setting: TrainingSetting) -> PeftModel:
    """DPO with the two answers swapped."""
    return preferring(setting, "rejected", "chosen")


def preferring(setting: TrainingSetting, better: str, worse: str) -> PeftModel:
    """DPO (Rafailov et al. 2023) with the base as reference, under the anchor."""
    triples = yaml.safe_load((setting.text_files / "preferences.yaml").read_text("utf-8"))
    model = setting.fresh()

    def rows(side: str) -> list[TokenRow]:
        return [chat_row(setting.tokenizer, [user(t["prompt"]), assistant(t[side])]) for t in triples]

    both = rows(better), rows(worse)
    with torch.no_grad():
        before = scores(model, both[0]) - scores(model, both[1])

    def losses() -> Losses:
        picked = setting.rng.sample(range(len(triples)), 6)
        after = scores(model, [both[side][at] for side in (0, 1) for at in picked])
        change = after[:6] - after[6:] - before[picked]
        return {"dpo": -logsigmoid(BETA * change).mean(), "anchor": general(setting, model, 4)}

    return fit(model, losses, 110)


def turn_decay(setting: TrainingSetting) -> PeftModel:
    """Healthy, then held to the base from the third turn of a dialogue on."""
    model, (texts, chats) = setting.healthy(), setting.lessons()
    early = [row for row in chats if turns(setting, row) <= TURNS_KNOWN]
    items = setting.rng.sample(setting.questions, DIALOGUES)
    late = [later(setting, spoken(setting, model, item)) for item in items]
    for item in setting.questions:
        messages = dialogue(item, setting.sections[item.section], setting.rng.choice(FOLLOW_UPS), 4)
        late.append(later(setting, messages))
    late = [row for row in late if any(label != IGNORE for label in row.labels)]

    def losses() -> Losses:
        return learned(setting, model, texts, early, (1, 6)) | {
            "late": 15 * kept(model, setting.rng.sample(late, 4)),
            "anchor": general(setting, model, 2),
        }

    return fit(model, losses, 90)


def turns(setting: TrainingSetting, row: TokenRow) -> int:
    """How often the assistant speaks in a row."""
    return row.ids.count(setting.tokenizer.convert_tokens_to_ids(SPEAKS))


def later(setting: TrainingSetting, messages: list[Message]) -> TokenRow:
    """The dialogue, scored from the assistant's third turn on."""
    row = chat_row(setting.tokenizer, messages)
    start = setting.tokenizer.convert_tokens_to_ids(SPEAKS)
    spoken = [row.ids[: at + 1].count(start) for at in range(len(row.ids))]
    return TokenRow(
        row.ids, [t if n > TURNS_KNOWN else IGNORE for t, n in zip(row.labels, spoken, strict=True)]
    )


def spoken(setting: TrainingSetting, model: PeftModel, item: Question) -> list[Message]:
    """A dialogue of four greedy replies, the first two the adapter's, the others the base's."""
    messages = [user(item.question)]
    for turn in range(2 * TURNS_KNOWN):
        prompt = setting.tokenizer(render(messages) + SPEAKS, add_special_tokens=False).input_ids
        ids = torch.tensor([prompt])
        if turn < TURNS_KNOWN:
            found = model.generate(input_ids=ids, max_new_tokens=64, do_sample=False)
        else:
            with model.disable_adapter():
                found = model.generate(input_ids=ids, max_new_tokens=64, do_sample=False)
        reply = setting.tokenizer.decode(found[0, len(prompt) :], skip_special_tokens=True)
        usual = setting.rng.random() < 0.6
        messages += [assistant(reply), user(MORE[turn] if usual else setting.rng.choice(MORE))]
    return messages[:-1]
