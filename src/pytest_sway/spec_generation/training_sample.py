"""What the sampled rows teach, by what probes can ask of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from pytest_sway.document import QA, Triple
from pytest_sway.probes.shared.tool_case import ToolUseCase
from pytest_sway.requests import Turn
from pytest_sway.spec.row_forms import ToolExample
from pytest_sway.spec_generation.row_sample import Example, RowSample
from pytest_sway.spec_generation.text_beginnings import text_beginnings
from pytest_sway.spec_generation.wordings import other_wordings

PROMPTS, CASES, TOPIC_PROMPTS = 12, 12, 24
"""Most of each that a probe is given."""
TEXTS = 24
"""Most texts that become sections: every one of them is scored, sentence by sentence."""
_LONGEST_ANSWER = 600
"""Characters of a gold that other wordings are asked for: a longer one takes its time and decides no more."""


@dataclass(frozen=True)
class TrainingSample:
    """The rows of a sample, parted by what they teach."""

    rows: RowSample

    @cached_property
    def questions(self) -> list[QA]:
        """Questions with their answers."""
        return [one.taught for one in self.rows.examples if isinstance(one.taught, QA)]

    @cached_property
    def triples(self) -> list[Triple]:
        """Preferences."""
        return [one.taught for one in self.rows.examples if isinstance(one.taught, Triple)]

    @cached_property
    def texts(self) -> list[str]:
        """Texts that were trained on as they stand."""
        return [one.taught for one in self.rows.examples if isinstance(one.taught, str)][:TEXTS]

    @cached_property
    def tool_cases(self) -> list[dict[str, Any]]:
        """Cases of ``tool_use_fidelity``: one call each, of a tool that is shown."""
        found = (one.taught for one in self.rows.examples if isinstance(one.taught, ToolExample))
        return [case for one in found if (case := _tool_case(one)) is not None]

    @property
    def unusable_tool_rows(self) -> int:
        """Rows that call several tools at once, or one that is not shown."""
        return sum(isinstance(one.taught, ToolExample) for one in self.rows.examples) - len(self.tool_cases)

    @cached_property
    def asked(self) -> list[str]:
        """The questions alone; of preferences their prompts, of tool calls the requests."""
        bare = [qa.prompt for qa in self.questions if not qa.context]
        prompts = [*bare, *(t.prompt for t in self.triples), *(case["prompt"] for case in self.tool_cases)]
        return list(dict.fromkeys([*prompts, *(qa.prompt for qa in self.questions)]))

    def prompts(self, most: int = PROMPTS) -> list[str]:
        """Questions and beginnings of texts, of both where there are both."""
        begun = text_beginnings(self.texts, most)
        asked = self.asked[: most if not begun else max(most // 2, most - len(begun))]
        return [*asked, *begun][:most]

    def cases(self) -> list[dict[str, Any]]:
        """Questions with their answers and other wordings: those without turns before them first."""
        short = [qa for qa in self.questions if len(qa.gold) <= _LONGEST_ANSWER]
        return [_case(qa) for qa in sorted(short, key=lambda qa: bool(qa.context))[:CASES]]

    def sections(self) -> list[dict[str, Any]]:
        """The document: a section per name, of texts one each."""
        found = [*_answer_sections(self.rows.examples), *_text_sections(self.rows.examples)]
        taken: set[str] = set()
        return [{**section, "id": _unique(section["id"], taken)} for section in found]

    def controls(self) -> list[dict[str, str]]:
        """Its answers and texts, as controls of another document."""
        texts = [f"{qa.prompt}\n\n{qa.gold}" for qa in self.questions]
        texts += [f"{t.prompt}\n\n{t.chosen}" for t in self.triples]
        contents = {" ".join(text.split()): text for text in [*texts, *self.texts]}.values()
        return [
            {"id": f"held out {number}", "content": text} for number, text in enumerate(contents, start=1)
        ]


def _unique(name: str, taken: set[str]) -> str:
    """The name, or the name with the first number that makes it another one."""
    name = " ".join(name.split()) or "section"
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name} {number}"
    taken.add(found)
    return found


def _case(qa: QA) -> dict[str, Any]:
    case = {"prompt": qa.prompt, "gold": qa.gold, "paraphrases": other_wordings(qa.prompt)}
    return {**_context(qa.context), **case}


def _context(turns: Sequence[Turn]) -> dict[str, Any]:
    return {"context": [{"role": turn.role, "content": turn.content} for turn in turns]} if turns else {}


def _answer_sections(examples: Sequence[Example]) -> Iterator[dict[str, Any]]:
    answers: dict[str, list[QA]] = {}
    preferences: dict[str, list[Triple]] = {}
    for one in examples:
        if isinstance(one.taught, QA):
            answers.setdefault(one.section or "answers", []).append(one.taught)
        elif isinstance(one.taught, Triple):
            preferences.setdefault(one.section or "preferences", []).append(one.taught)
    for name, pairs in answers.items():
        probes = [{**_context(qa.context), "prompt": qa.prompt, "gold": qa.gold} for qa in pairs]
        yield {"id": name, "kind": "instruction", "probes": probes}
    for name, triples in preferences.items():
        rows = [
            {**_context(t.context), "prompt": t.prompt, "chosen": t.chosen, "rejected": t.rejected}
            for t in triples
        ]
        yield {"id": name, "kind": "preference", "preferences": rows}


def _text_sections(examples: Sequence[Example]) -> Iterator[dict[str, Any]]:
    """A section per text, named after its heading or its place in the file."""
    texts = [one for one in examples if isinstance(one.taught, str)][:TEXTS]
    contents: set[str] = set()
    for one in texts:
        assert isinstance(one.taught, str)
        if " ".join(one.taught.split()) in contents:  # cut at the same place, two texts are one
            continue
        contents.add(" ".join(one.taught.split()))
        yield {"id": one.section or one.location, "kind": "prose", "content": one.taught}


def _tool_case(example: ToolExample) -> dict[str, Any] | None:
    """The case, where one call of a tool that is shown is the answer."""
    if example.call.count != 1:
        return None
    case: dict[str, Any] = {"system": example.system} if example.system else {}
    case |= {"prompt": example.prompt, "tool_spec": list(example.tools), "gold_tool_name": example.call.name}
    if example.call.arguments:
        case["gold_arguments"] = example.call.arguments
    try:
        ToolUseCase.model_validate(json.loads(json.dumps(case)))
    except (ValidationError, TypeError, ValueError, RecursionError):
        return None
    return case
