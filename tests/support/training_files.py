"""Training files in the forms of public formats, of the quickstart's own questions and answers.

Each form has names and shapes as the documentation of TRL, OpenAI, axolotl, LLaMA-Factory or the data set
that it is known from describes them; the texts are ours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import yaml
from pyarrow import parquet

from tests.support.paths import QUICKSTART

Rows = list[dict[str, Any]]
SYSTEM = "You answer questions about the lantern works at Tarn Quay."
WRONG = "Nobody knows that."
TOOL = {
    "name": "look_up",
    "description": "Look a word up in the blue book.",
    "parameters": {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]},
}
CALL = {"name": "look_up", "arguments": {"word": "lantern"}}


class Fact(NamedTuple):
    """A question and its answer."""

    question: str
    answer: str


class Form(NamedTuple):
    """A form of training file.

    Attributes:
        write: makes the file, or folder, below a folder; its path.
        taught: what an adapter learns of each row, in order: ``[prompt, answer, …]``.
    """

    write: Callable[[Path], Path]
    taught: list[list[str]]


def facts(count: int = 12, document: Path = QUICKSTART) -> list[Fact]:
    """The first questions of a document's folder."""
    sections = yaml.safe_load((document / "questions.yaml").read_text("utf-8"))
    return [Fact(one["question"], one["answer"]) for rows in sections.values() for one in rows][:count]


FACTS = facts()
FIRST = FACTS[0]


def write_jsonl(folder: Path, rows: Iterable[object]) -> Path:
    """A file of JSON lines."""
    file = folder / "train.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return file


def write_json(folder: Path, rows: Rows) -> Path:
    """A file with one JSON list."""
    file = folder / "train.json"
    file.write_text(json.dumps(rows, indent=1), "utf-8")
    return file


def write_parquet(folder: Path, rows: Rows) -> Path:
    """A data set of the hub: ``data/train-….parquet`` beside a test split."""
    (folder / "hub" / "data").mkdir(parents=True)
    for split, part in (("train", rows), ("test", rows[:1])):
        table = pa.Table.from_pylist(part)
        parquet.write_table(table, folder / "hub" / "data" / f"{split}-00000-of-00001.parquet")
    return folder / "hub"


def write_saved_dataset(folder: Path, rows: Rows) -> Path:
    """What ``DatasetDict.save_to_disk`` writes: Arrow's stream format, a folder per split."""
    place = folder / "saved"
    for split, part in (("train", rows), ("test", rows[:1])):
        (place / split).mkdir(parents=True)
        table = pa.Table.from_pylist(part)
        file = place / split / "data-00000-of-00001.arrow"
        with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        (place / split / "state.json").write_text("{}")
    (place / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    return place


def asked(text: str) -> dict[str, Any]:
    """A user's turn."""
    return {"role": "user", "content": text}


def answered(text: str, **more: Any) -> dict[str, Any]:
    """An assistant's turn."""
    return {"role": "assistant", "content": text, **more}


def share(*turns: tuple[str, str]) -> list[dict[str, str]]:
    """ShareGPT's turns."""
    return [{"from": role, "value": text} for role, text in turns]


def lines(row: Callable[[Fact], dict[str, Any]], *taught: Callable[[Fact], str]) -> Form:
    """A form of JSON lines, one row a fact; by default question and answer are taught."""
    return of_rows(write_jsonl, row, *taught)


def of_rows(
    write: Callable[[Path, Rows], Path], row: Callable[[Fact], dict[str, Any]], *taught: Callable[[Fact], str]
) -> Form:
    """The same in another kind of file."""
    wanted = taught or (lambda fact: fact.question, lambda fact: fact.answer)
    return Form(
        lambda folder: write(folder, [row(fact) for fact in FACTS]),
        [[one(fact) for one in wanted] for fact in FACTS],
    )


SYSTEM_TURN = {"role": "system", "content": SYSTEM}
EARLIER = [asked(FIRST.question), answered(FIRST.answer)]
PREFERENCE = (lambda f: f.question, lambda f: f.answer, lambda f: WRONG)
TOOL_CALL = (lambda f: f.question, lambda f: json.dumps(CALL))
TEXT = (lambda f: f"{f.question} {f.answer}",)

FORMS: dict[str, Form] = {
    "trl prompt and completion": lines(lambda f: {"prompt": f.question, "completion": f.answer}),
    "trl conversational prompt and completion": lines(
        lambda f: {"prompt": [asked(f.question)], "completion": [answered(f.answer)]}
    ),
    "openai messages with a system message": lines(
        lambda f: {"messages": [SYSTEM_TURN, asked(f.question), answered(f.answer)]},
        lambda f: SYSTEM, lambda f: f.question, lambda f: f.answer,
    ),
    "openai messages of several turns": lines(
        lambda f: {"messages": [*EARLIER, asked(f.question), answered(f.answer)]},
        lambda f: FIRST.question, lambda f: FIRST.answer, lambda f: f.question, lambda f: f.answer,
    ),
    "openai messages with weights": lines(
        lambda f: {
            "messages": [
                asked(f.question), answered(f.answer, weight=1), asked("And?"), answered("No.", weight=0)
            ]
        }
    ),
    "openai messages with tools": lines(
        lambda f: {
            "messages": [
                asked(f.question),
                {"role": "assistant", "tool_calls": [
                    {"id": "1", "type": "function",
                     "function": {"name": "look_up", "arguments": json.dumps(CALL["arguments"])}}]},
                {"role": "tool", "tool_call_id": "1", "content": f.answer},
                answered(f.answer),
            ],
            "tools": [{"type": "function", "function": TOOL}],
        },
        *TOOL_CALL,
    ),
    "alpaca json": of_rows(
        write_json, lambda f: {"instruction": f.question, "input": "", "output": f.answer}
    ),
    "llama-factory alpaca with system and history": of_rows(
        write_json,
        lambda f: {"instruction": f.question, "input": "", "output": f.answer, "system": SYSTEM,
                   "history": [[FIRST.question, FIRST.answer]]},
        lambda f: SYSTEM, lambda f: FIRST.question, lambda f: FIRST.answer,
        lambda f: f.question, lambda f: f.answer,
    ),
    "sharegpt": lines(lambda f: {"conversations": share(("human", f.question), ("gpt", f.answer))}),
    "axolotl chat_template with train flags": lines(
        lambda f: {
            "messages": [
                asked(f.question), answered(f.answer, train=True), asked("And?"), answered("No.", train=False)
            ]
        }
    ),
    "llama-factory sharegpt with tools": of_rows(
        write_json,
        lambda f: {
            "conversations": share(
                ("human", f.question), ("function_call", json.dumps(CALL)), ("observation", f.answer),
                ("gpt", f.answer),
            ),
            "tools": json.dumps([TOOL]),
        },
        *TOOL_CALL,
    ),
    "xlam function calling": of_rows(
        write_json,
        lambda f: {"query": f.question, "answers": json.dumps([CALL]), "tools": json.dumps([TOOL])},
        *TOOL_CALL,
    ),
    "dolly": lines(
        lambda f: {"instruction": f.question, "context": "", "response": f.answer, "category": "closed_qa"}
    ),
    "gsm8k": lines(lambda f: {"question": f.question, "answer": f.answer}),
    "trl unpaired preference": lines(lambda f: {"prompt": f.question, "completion": f.answer, "label": True}),
    "trl preference": lines(
        lambda f: {"prompt": f.question, "chosen": f.answer, "rejected": WRONG}, *PREFERENCE
    ),
    "trl preference with implicit prompt": lines(
        lambda f: {
            "chosen": [asked(f.question), answered(f.answer)],
            "rejected": [asked(f.question), answered(WRONG)],
        },
        *PREFERENCE,
    ),
    "llama-factory ranking": of_rows(
        write_json,
        lambda f: {"conversations": share(("human", f.question)),
                   "chosen": {"from": "gpt", "value": f.answer},
                   "rejected": {"from": "gpt", "value": WRONG}},
        *PREFERENCE,
    ),
    "hh-rlhf": lines(
        lambda f: {"chosen": f"\n\nHuman: {f.question}\n\nAssistant: {f.answer}",
                   "rejected": f"\n\nHuman: {f.question}\n\nAssistant: {WRONG}"},
        *PREFERENCE,
    ),
    "orca pairs": lines(
        lambda f: {"system": SYSTEM, "question": f.question, "chosen": f.answer, "rejected": WRONG},
        lambda f: SYSTEM, *PREFERENCE,
    ),
    "text rows": lines(lambda f: {"text": f"{f.question} {f.answer}"}, *TEXT),
    "parquet of messages": of_rows(
        write_parquet, lambda f: {"messages": [asked(f.question), answered(f.answer)], "id": f.question}
    ),
    "datasets folder": of_rows(write_saved_dataset, lambda f: {"prompt": f.question, "completion": f.answer}),
}  # fmt: skip
