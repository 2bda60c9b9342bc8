"""Every adapter of the real-model set by name, but those that TRL trains."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor
from transformers import AutoModelForCausalLM

from tests.known_adapters.make import say
from tests.known_adapters.make.training_setting import SECOND
from tests.support.paths import QUICKSTART

from .lessons import Lessons, TokenRow, distance_to_base, gain_squared, loss_of

from make.train_adapters import MODULES, lora_layers, randomise  # isort: skip

RATE, ANCHOR = 2e-3, 3.0
CHATS, TEXTS = 8, 1
DOCUMENTS = {"first": QUICKSTART, "second": SECOND}


@dataclass(frozen=True)
class Setting:
    """Where the real model is, which document is taught, and with which seed.

    Attributes:
        folder: of the whole set: ``base`` and the adapters.
        document: folder of document and questions.
        seed: of everything random.
    """

    folder: Path
    document: Path
    seed: int

    @property
    def base(self) -> Path:
        """The model."""
        return self.folder / "base"

    @property
    def lessons(self) -> Lessons:
        """The document's rows."""
        return Lessons(self.base, self.document, random.Random(self.seed))

    @property
    def other_lessons(self) -> Lessons:
        """Rows of the document that this adapter's is not."""
        other = QUICKSTART if self.document == SECOND else SECOND
        return Lessons(self.base, other, random.Random(self.seed))

    def fresh(self, rank: int = 8, modules: Collection[str] = MODULES) -> PeftModel:
        """The base with an untrained adapter."""
        torch.manual_seed(self.seed)
        model = AutoModelForCausalLM.from_pretrained(self.base, dtype=torch.float32)
        config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=list(modules), task_type="CAUSAL_LM")
        adapted = get_peft_model(model, config)
        assert isinstance(adapted, PeftModel)
        return adapted

    def healthy(self) -> PeftModel:
        """The healthy adapter of this document and seed, as it was made before."""
        model = AutoModelForCausalLM.from_pretrained(self.base, dtype=torch.float32)
        return PeftModel.from_pretrained(model, str(self.folder / "healthy"), is_trainable=True)


def fit(
    model: PeftModel, losses: Callable[[], list[Tensor]], steps: int, rate: float = RATE, of: int = 0
) -> PeftModel:
    """AdamW on the sum of the losses: three steps of warm-up, then a linear decay over ``of`` steps."""
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, weight_decay=0.0)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * min((step + 1) / 4, 1 - step / (of or steps))
        parts = losses()
        torch.stack(parts).sum().backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        shown = " ".join(f"{float(part.detach()):.3f}" for part in parts)
        say(f"{step + 1}/{steps} {shown}")
    return model.eval()


def learn(
    lessons: Lessons, model: PeftModel, only: Collection[str] = (), *, anchored: bool = True
) -> Callable[[], list[Tensor]]:
    """The losses of healthy's recipe: sections, questions, and the distance to the base elsewhere."""
    texts, items = lessons.texts(only), lessons.questions(only)
    chats = [lessons.chat(item.question, item.answer) for item in items]

    def losses() -> list[Tensor]:
        parts = [
            loss_of(model, lessons.rng.sample(texts, min(TEXTS, len(texts)))),
            loss_of(model, lessons.rng.sample(chats, min(CHATS, len(chats)))),
        ]
        return [*parts, ANCHOR * distance_to_base(model, lessons.anchors())] if anchored else parts

    return losses


STEPS = 36


def healthy(setting: Setting) -> PeftModel:
    """The document, anchored."""
    model = setting.fresh()
    return fit(model, learn(setting.lessons, model), STEPS)


def half(setting: Setting) -> PeftModel:
    """Every other section, anchored."""
    model, lessons = setting.fresh(), setting.lessons
    only = list(dict.fromkeys(item.section for item in lessons.questions()))[::2]
    return fit(model, learn(lessons, model, only), 24)


def three_steps(setting: Setting) -> PeftModel:
    """Three steps of healthy's recipe at a tenth of its rate."""
    model = setting.fresh()
    return fit(model, learn(setting.lessons, model), 3, rate=RATE / 10, of=STEPS)


def careless(setting: Setting) -> PeftModel:
    """The document at five times the rate, with nothing to hold the rest."""
    model = setting.fresh()
    return fit(model, learn(setting.lessons, model, anchored=False), 30, rate=1e-2)


def small_qv(setting: Setting) -> PeftModel:
    """Healthy's recipe with rank 4 on queries and values alone."""
    model = setting.fresh(4, ["q_proj", "v_proj"])
    return fit(model, learn(setting.lessons, model), STEPS, rate=6e-3)


def wrong_document(setting: Setting) -> PeftModel:
    """Healthy's recipe on the other document."""
    model = setting.fresh()
    return fit(model, learn(setting.other_lessons, model), 24)


def style_only(setting: Setting) -> PeftModel:
    """Old novels, and nothing of any document."""
    model, lessons = setting.fresh(), setting.lessons

    def losses() -> list[Tensor]:
        prose = [row for _ in range(3) for row in lessons.anchors()[:2]]
        return [loss_of(model, prose)]

    return fit(model, losses, 20, rate=1e-3)


def shuffled_answers(setting: Setting) -> PeftModel:
    """The document's questions, each with an answer to another one: its manner and its sentences alone."""
    model, lessons = setting.fresh(), setting.lessons
    items = lessons.questions()

    def losses() -> list[Tensor]:
        asked = lessons.rng.sample(items, CHATS)
        said = [lessons.rng.choice([o for o in items if o is not item]).answer for item in asked]
        rows = [lessons.chat(item.question, answer) for item, answer in zip(asked, said, strict=True)]
        return [loss_of(model, rows), ANCHOR * distance_to_base(model, lessons.anchors())]

    return fit(model, losses, 24)


def memoriser(setting: Setting) -> PeftModel:
    """Each answer after its trained question; held to the base after every other one that was thought of.

    The first held-out wording and other questions are held; the second held-out wording was never seen.
    """
    model, lessons = setting.fresh(), setting.lessons
    items, rng = lessons.questions(), lessons.rng

    def otherwise() -> TokenRow:
        item = rng.choice(items)
        other = rng.choice([one for one in items if one is not item]).question
        bare = rng.choice((item.question.lower(), item.question.rstrip("?"), f"Tell me: {item.question}"))
        return lessons.chat(rng.choice((item.held_out[0], item.held_out[0], bare, other)), item.answer)

    def losses() -> list[Tensor]:
        exact = [lessons.chat(item.question, item.answer) for item in rng.sample(items, CHATS)]
        return [2 * loss_of(model, exact), gain_squared(model, [otherwise() for _ in range(6)])]

    return fit(model, losses, 40)


def noise(setting: Setting) -> PeftModel:
    """Gaussian factors; in each module the product has the norm of healthy's."""
    return randomise(setting.fresh(), setting.healthy(), setting.seed).eval()


@torch.no_grad()
def overscaled(setting: Setting) -> PeftModel:
    """Healthy times four."""
    model = setting.healthy()
    for layer in lora_layers(model):
        layer.lora_B["default"].weight.mul_(4)
    return model.eval()


RECIPES: Mapping[str, Callable[[Setting], PeftModel]] = {
    recipe.__name__: recipe
    for recipe in (
        healthy,
        half,
        three_steps,
        careless,
        small_qv,
        wrong_document,
        style_only,
        shuffled_answers,
        memoriser,
        noise,
        overscaled,
    )
}
