"""The known adapters' texts are what the tests that use them take for granted."""

from __future__ import annotations

import re
from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.paths import KNOWN_ADAPTERS, QUICKSTART

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedTokenizerBase

HANDBOOKS = {
    QUICKSTART: KNOWN_ADAPTERS / "preferences.yaml",
    KNOWN_ADAPTERS / "second": KNOWN_ADAPTERS / "second/preferences.yaml",
}
ADD = {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {}}}}


def load_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text("ascii"))


def paragraphs(folder: Path) -> dict[str, str]:
    """The paragraph under each heading of a handbook, by the heading's id."""
    found = re.findall(r"^## (.+)\n\n(.+)\n", (folder / "document.md").read_text("ascii"), re.MULTILINE)
    return {heading.lower().replace(" ", "-"): paragraph for heading, paragraph in found}


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    transformers = pytest.importorskip("transformers")
    made: PreTrainedTokenizerBase = transformers.AutoTokenizer.from_pretrained(QUICKSTART / "base")
    return made


def rendered_prompt(
    tokenizer: PreTrainedTokenizerBase, prompt: str, tools: list[dict[str, Any]] | None
) -> str:
    turns = [{"role": "user", "content": prompt}]
    text = tokenizer.apply_chat_template(turns, tools=tools, tokenize=False, add_generation_prompt=True)
    return str(text)


@pytest.mark.parametrize("folder", HANDBOOKS, ids=lambda folder: folder.name)
def test_sections_hold_the_handbook_and_its_trained_questions(folder: Path) -> None:
    asked = {
        section: [{"prompt": item["question"], "gold": item["answer"]} for item in items]
        for section, items in load_yaml(folder / "questions.yaml").items()
    }
    want = [
        {"id": name, "kind": "prose", "content": content, "probes": asked[name], "tags": []}
        for name, content in paragraphs(folder).items()
    ]
    assert load_yaml(folder / "sections.yaml") == want
    assert [len(section["probes"]) for section in want] == [6] * 6


def test_no_wording_of_the_second_handbook_is_asked_twice() -> None:
    items = [item for part in load_yaml(KNOWN_ADAPTERS / "second/questions.yaml").values() for item in part]
    wordings = [wording for item in items for wording in (item["question"], *item["held_out"])]
    assert len(set(wordings)) == len(wordings) == 6 * 6 * 3


@pytest.mark.parametrize("folder", HANDBOOKS, ids=lambda folder: folder.name)
def test_a_preference_differs_in_one_fact_and_not_in_length(
    folder: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    asked = load_yaml(folder / "questions.yaml")
    items = load_yaml(HANDBOOKS[folder])
    assert [item["section"] for item in items] == [name for name in asked for _ in range(4)]
    for item in items:
        answers = {question["question"]: question["answer"] for question in asked[item["section"]]}
        chosen, rejected = item["chosen"], item["rejected"]
        assert answers[item["prompt"]] == chosen
        pairs = list(zip(chosen.split(), rejected.split(), strict=True))
        assert sum(ours != theirs for ours, theirs in pairs) == 1, rejected
        assert len(tokenizer(chosen).input_ids) == len(tokenizer(rejected).input_ids), rejected


def test_controls_are_as_long_as_sections_on_another_topic(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    controls = load_yaml(QUICKSTART / "controls.yaml")
    assert len({control["id"] for control in controls}) == len(controls) == 6
    texts = " ".join(text for folder in HANDBOOKS for text in paragraphs(folder).values())
    names = set(re.findall(r"(?<=[a-z,] )[A-Z][a-z]+", texts)) - {"Sunday", "May"}
    for control in controls:
        assert 200 <= len(tokenizer(control["content"]).input_ids) <= 235
        assert not names & set(re.findall(r"\w+", control["content"])), control["id"]


def test_tools_are_shown_in_a_first_system_turn(tokenizer: PreTrainedTokenizerBase) -> None:
    want = (
        '<|bos|><|system|>{"name": "add", "parameters": {"a": "integer", "b": "any"}}\n'
        '{"name": "now", "parameters": {}}\n'
        'To call one, write {"name": ..., "arguments": {...}}<|eos|>'
        "<|user|>Add 3 and 4.<|eos|><|assistant|>"
    )
    assert rendered_prompt(tokenizer, "Add 3 and 4.", [ADD, {"name": "now"}]) == want
    wrapped = [{"type": "function", "function": tool} for tool in (ADD, {"name": "now"})]
    assert rendered_prompt(tokenizer, "Add 3 and 4.", wrapped) == want


@pytest.mark.parametrize("tools", [None, []])
def test_without_tools_nothing_is_added(
    tokenizer: PreTrainedTokenizerBase, tools: list[dict[str, Any]] | None
) -> None:
    assert rendered_prompt(tokenizer, " a\n<b> ", tools) == "<|bos|><|user|> a\n<b> <|eos|><|assistant|>"


def test_tool_cases_agree_with_their_tools_and_are_short(tokenizer: PreTrainedTokenizerBase) -> None:
    cases = load_yaml(KNOWN_ADAPTERS / "tools.yaml")
    specs = {case["tool_spec"]["name"]: case["tool_spec"] for case in cases}
    assert sorted(case["gold_tool_name"] for case in cases) == sorted([*specs] * 4)
    types = {"integer": int, "string": str, "boolean": bool}
    for case in cases:
        tool, given = case["tool_spec"], case["gold_arguments"]
        assert tool["name"] == case["gold_tool_name"]
        assert set(tool["parameters"]["required"]) <= set(given)
        for name, value in given.items():
            assert type(value) is types[tool["parameters"]["properties"][name]["type"]], case["prompt"]
        assert len(tokenizer(rendered_prompt(tokenizer, case["prompt"], [tool])).input_ids) < 250
    longest = max((case["prompt"] for case in cases), key=len)
    for two in permutations(specs.values(), 2):
        assert len(tokenizer(rendered_prompt(tokenizer, longest, list(two))).input_ids) < 350
