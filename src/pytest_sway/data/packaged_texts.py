"""Reads the packaged data; each file once, and only when it is asked for.

What stands in the files and where it comes from: ``PROVENANCE.md`` beside this module. Every loader raises
``ValueError`` with the file and the line where a file is not what it should be.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, TypeVar, get_origin, get_type_hints

import yaml

FOLDER = files(__package__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fact:
    """A question with exactly one right answer.

    Attributes:
        kind: what it is about; facts of one kind are a cluster, not independent samples.
        prompt: the question.
        gold: the answer, a full sentence.
    """

    kind: str
    prompt: str
    gold: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of prose in whole sentences, 900-1400 characters; a line of it is a paragraph.

    Attributes:
        work: where it was taken from; passages of one work are a cluster, not independent samples.
        author: who wrote or spoke it.
        year: when it was first published or spoken.
        text: the passage.
    """

    work: str
    author: str
    year: int
    text: str


@dataclass(frozen=True, slots=True)
class ToolCase:
    """A request, the tool that is offered for it and the one call that is right.

    Attributes:
        prompt: the request.
        tool_spec: ``name``, ``description`` and ``parameters`` (a JSON schema with ``required``), as
            JSON values.
        gold_tool_name: name of the tool that is to be called.
        gold_arguments: arguments that it is to be called with, as JSON values.
    """

    prompt: str
    tool_spec: Mapping[str, Any]
    gold_tool_name: str
    gold_arguments: Mapping[str, Any]


@cache
def facts() -> tuple[Fact, ...]:
    """The 200 facts of ``facts.jsonl``; kinds alternate, so that any first part is spread over them."""
    return _read_json_lines("facts.jsonl", Fact)


@cache
def passages() -> tuple[Passage, ...]:
    """The 24 passages of ``prose.jsonl``; the first 12 hold each old work twice and 4 modern texts."""
    return _read_json_lines("prose.jsonl", Passage)


@cache
def synonyms() -> Mapping[str, str]:
    """Common English words in lower case, each with a word that can stand for it."""
    name, pairs = "synonyms.tsv", dict[str, str]()
    for number, line in _numbered_lines(name):
        word, *others = line.split("\t")
        if len(others) != 1 or not word.strip() or not others[0].strip():
            raise _data_error(name, number, f"found {line!r}, expected a word, a tab and its synonym")
        if word in pairs:
            raise _data_error(name, number, f"{word!r} already has a synonym on an earlier line")
        pairs[word] = others[0]
    return MappingProxyType(pairs)


@cache
def elicitation() -> tuple[str, ...]:
    """The 12 prompts that make a model write a few sentences in its own style."""
    return tuple(line for _, line in _numbered_lines("elicitation.txt"))


@cache
def tool_cases() -> tuple[ToolCase, ...]:
    """The 12 tool cases of ``tools.yaml``; their mappings are shared by all callers: copy before changing."""
    name = "tools.yaml"
    return tuple(_build_record(name, number, row, ToolCase) for number, row in _read_yaml_rows(name))


def _read_yaml_rows(name: str) -> list[tuple[int, Any]]:
    """The values of the list that the file is, each with the number of its first line."""
    text = _read_text(name)
    number, rows = 1, []
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        for node in root.value if isinstance(root, yaml.SequenceNode) else ():
            number = node.start_mark.line + 1
            rows.append((number, loader.construct_object(node, deep=True)))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _data_error(name, mark.line + 1 if mark else number, f"not YAML: {error.problem}") from None
    except Exception as error:  # a tag's own constructor may raise anything on a value that is not its
        raise _data_error(name, number, f"not YAML: {' '.join(str(error).split())}") from None
    if not rows:
        raise _data_error(name, number, "expected a list of tool cases")
    return rows


def _read_json_lines(name: str, kind: type[T]) -> tuple[T, ...]:
    rows = []
    for number, line in _numbered_lines(name):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise _data_error(name, number, f"not JSON: {error.msg} (column {error.colno})") from None
        rows.append(_build_record(name, number, row, kind))
    return tuple(rows)


def _build_record(name: str, number: int, row: object, kind: type[T]) -> T:
    """``row`` as a ``kind``, if it has exactly its fields, each of its type and none of them empty."""
    hints = get_type_hints(kind)
    if not isinstance(row, dict) or set(row) != set(hints):
        found = ", ".join(map(str, row)) if isinstance(row, dict) else repr(row)
        raise _data_error(name, number, f"found {found or 'nothing'}; expected the fields {', '.join(hints)}")
    for field, hint in hints.items():
        value, wanted = row[field], get_origin(hint) or hint
        if not isinstance(value, wanted) or not value:
            what = f"{field} is {value!r}, expected a non-empty {wanted.__name__}"
            raise _data_error(name, number, what)
    return kind(**row)


def _numbered_lines(name: str) -> list[tuple[int, str]]:
    """The file's lines that are not blank, each with its number from 1."""
    lines = enumerate(_read_text(name).split("\n"), start=1)
    return [(number, line) for number, line in lines if line.strip()]


def _read_text(name: str) -> str:
    data = FOLDER.joinpath(name).read_bytes()
    try:
        return data.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise _data_error(name, line, f"byte 0x{data[error.start]:02x} is not UTF-8") from None


def _data_error(name: str, line: int, what: str) -> ValueError:
    return ValueError(f"pytest_sway/data/{name}:{line}: {what}")
