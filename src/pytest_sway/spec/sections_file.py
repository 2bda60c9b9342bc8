"""``sections:`` and ``controls:`` of a spec: lists, or the path of a YAML or JSON file that holds one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pytest_sway.document import QA, Control, Document, Section, Triple
from pytest_sway.spec.adapter_paths import located
from pytest_sway.spec.environment_variables import expand
from pytest_sway.spec.errors import Path_, Problem, SpecError, no_text
from pytest_sway.spec.validation import problems_of
from pytest_sway.spec.yaml_source import Source, read_list
from pytest_sway.text.message_parts import describe, field_name

M = TypeVar("M", bound=BaseModel)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _QA(_Strict):
    prompt: str = Field(min_length=1)
    gold: str = Field(min_length=1)


class _Triple(_Strict):
    prompt: str = Field(min_length=1)
    chosen: str = Field(min_length=1)
    rejected: str = Field(min_length=1)


class _Section(_Strict):
    id: str = Field(min_length=1)
    kind: Literal["prose", "instruction", "preference"] = "prose"
    content: str = ""
    probes: tuple[_QA, ...] = ()
    preferences: tuple[_Triple, ...] = ()
    tags: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _filled(self) -> _Section:
        wanted = {"prose": "content", "instruction": "probes", "preference": "preferences"}[self.kind]
        there = self.content.strip() if wanted == "content" else getattr(self, wanted)
        if not there:
            raise ValueError(f"a section of kind {self.kind} needs {wanted}:")
        return self

    def made(self) -> Section:
        return Section(
            self.id,
            self.kind,
            self.content.strip(),
            tuple(QA(qa.prompt, qa.gold) for qa in self.probes),
            tuple(Triple(t.prompt, t.chosen, t.rejected) for t in self.preferences),
            self.tags,
        )


class _Control(_Strict):
    id: str = Field(min_length=1)
    content: str = Field(min_length=1)


def document_of(source: Source) -> tuple[Document, list[Problem]]:
    """The document that a spec carries or names, and what is wrong with it."""
    sections, problems = _entries(source, "sections", _Section)
    controls, wrong = _entries(source, "controls", _Control)
    made = Document(
        tuple(section.made() for section in sections),
        tuple(Control(control.id, control.content.strip()) for control in controls),
    )
    return made, [*problems, *wrong]


def _entries(source: Source, key: str, model: type[M]) -> tuple[list[M], list[Problem]]:
    """The valid entries under ``key``; problems of a named file say which file."""
    value = source.value.get(key)
    if value is None:
        return [], []
    place = source.place((key,))
    if not isinstance(value, str):
        return _checked(source, key, value, model)
    try:
        value = expand(value)
    except ValueError as error:
        return [], [Problem(f"{key}: found {describe(value)}: {error}", *place)]
    found = located(value, (source.path.parent, Path()))
    if not os.path.isfile(found):  # noqa: PTH113 - unlike Path.is_file it raises for no name
        told = f"there is no file {describe(value)}, neither beside the spec nor in the working directory"
        return [], [Problem(f"{key}: {told}", *place)]
    try:
        there = read_list(found, key)
    except SpecError as error:
        return [], [Problem(f"{key}: {line}", *place) for line in str(error).splitlines()]
    entries, problems = _checked(there, key, there.value[key], model)
    return entries, [
        Problem(f"{key}: {found.name}:{p.line}:{p.column}: {p.message}", *place) for p in problems
    ]


def _checked(source: Source, key: str, value: Any, model: type[M]) -> tuple[list[M], list[Problem]]:
    if not isinstance(value, list):
        told = f"{key}: found {describe(value)}, expected a list, or the path of a file that holds one"
        return [], [Problem(told, *source.place((key,)))]
    entries: list[M] = []
    problems: list[Problem] = []
    for index, item in enumerate(value):
        path: Path_ = (key, index)
        if model is _Control and not isinstance(item, str | dict):
            found = no_text(item, source.written.get(path))
            problems.append(Problem(f"{field_name(path)}: {found}", *source.place(path)))
            continue
        entry = {"id": f"{key[:-1]} {index + 1}", "content": item} if _is_text(model, item) else item
        try:
            entries.append(model.model_validate(entry))
        except ValidationError as error:
            problems += problems_of(error, source, path, model)
    return entries, [*problems, *_duplicates(source, key, value, entries)]


def _is_text(model: type[BaseModel], item: Any) -> bool:
    """Whether a control was written as its text alone."""
    return model is _Control and isinstance(item, str)


def _duplicates(source: Source, key: str, value: Sequence[Any], entries: Sequence[Any]) -> Iterator[Problem]:
    """Entries with the id or the content of an earlier one."""
    if len(entries) < len(value):  # what is wrong already is told first
        return
    ids: set[str] = set()
    contents: dict[str, str] = {}
    for index, entry in enumerate(entries):
        where = field_name((key, index))
        place = source.place((key, index))
        if entry.id in ids:
            yield Problem(f"{where}.id: {entry.id!r} stands there before; choose another", *place)
        text = " ".join(entry.content.split())
        if text and text in contents:
            told = f"{where}.content: the same text as {contents[text]!r}; a text counts once, remove one"
            yield Problem(told, *place)
        ids.add(entry.id)
        contents.setdefault(text, entry.id)
