"""Turns before a question: whoever asks it asks it behind them, in a chat as turns, else as paragraphs."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_sway.backends.fake import FakeBackend
from pytest_sway.document import QA, Document, Section, Triple
from pytest_sway.engine.engine import Engine
from pytest_sway.probes.adapter_revert import AdapterRevert
from pytest_sway.probes.base import Probe, ProbeContext
from pytest_sway.probes.paraphrase_invariance import ParaphraseInvariance
from pytest_sway.probes.preference_flip import PreferenceFlip
from pytest_sway.probes.section_internalization import SectionInternalization
from pytest_sway.probes.tool_use_fidelity import ToolUseFidelity
from pytest_sway.requests import (
    Completion,
    CompletionScore,
    Generate,
    Generation,
    Prompt,
    Request,
    ToolPrompt,
    Turn,
    View,
    Views,
)

BASE, TUNED = View("b"), View("b", "a")
BEFORE = (Turn("system", "Be brief."), Turn("user", "Hello."), Turn("assistant", "Hello."))
WRITTEN = [{"role": turn.role, "content": turn.content} for turn in BEFORE]
TOOL = {"name": "look_up", "parameters": {"type": "object", "properties": {}}}
CASES = [
    {"prompt": f"Who {n}?", "gold": f"He {n}.", "paraphrases": [f"Tell me {n}."], "context": WRITTEN}
    for n in "ab"
]
DOCUMENT = Document(
    (
        Section("answers", "instruction", probes=tuple(QA(f"Who {n}?", f"He {n}.", BEFORE) for n in "ab")),
        Section("taste", "preference", preferences=(Triple("Who c?", "He.", "She.", BEFORE),)),
    )
)
PROBES = [
    SectionInternalization(),
    PreferenceFlip(),
    ParaphraseInvariance(cases=CASES),
    AdapterRevert(cases=CASES),
]


class Vectors:
    """Golds lie in one direction, all other texts in another."""

    def embed(self, texts: list[str], model: str) -> list[tuple[float, ...]]:
        return [(1.0, 0.0) if text.startswith("He ") else (0.0, 1.0) for text in texts]


def prompts(probe: Probe[Any], *capabilities: str) -> list[Prompt]:
    """Every prompt that a probe asks, but those of controls."""
    seen: list[Prompt] = []

    def answer(request: Request[Any]) -> Any:
        assert isinstance(request, Completion | Generate)
        if request.prompt:
            seen.append(request.prompt)
        if isinstance(request, Generate):
            return Generation("He.", (1, 2))
        words = len(request.completion.split())
        return CompletionScore(-2.0 * words, words, -1.8 * words)

    context = ProbeContext(capabilities=frozenset(capabilities), document=DOCUMENT)
    engine = Engine(FakeBackend(answer), embedder=Vectors())
    engine.run(probe.with_context(context), Views(BASE, TUNED, TUNED))
    assert seen
    return [one for one in seen if "Who" in str(one) or "Tell" in str(one)]


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.kind)
def test_in_a_chat_they_are_turns(probe: Probe[Any]) -> None:
    asked = prompts(probe, "chat_template")
    assert asked
    for prompt in asked:
        assert isinstance(prompt, tuple)
        assert prompt[: len(BEFORE)] == BEFORE
        assert [turn.role for turn in prompt[len(BEFORE) :]] == ["user"]


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.kind)
def test_without_a_template_they_are_paragraphs(probe: Probe[Any]) -> None:
    for prompt in prompts(probe):
        assert isinstance(prompt, str)
        assert prompt.startswith("Be brief.\n\nHello.\n\nHello.\n\n")


def test_the_system_message_of_a_tool_case() -> None:
    case = {"prompt": "Who?", "system": "Be brief.", "tool_spec": TOOL, "gold_tool_name": "look_up"}
    probe = ToolUseFidelity(cases=[case])
    for prompt in prompts(probe, "chat_template", "tools"):
        assert isinstance(prompt, ToolPrompt)
        assert prompt.turns == (Turn("system", "Be brief."), Turn("user", "Who?"))
    for prompt in prompts(probe):
        assert str(prompt).startswith("Be brief.\n\nTools:\n")
