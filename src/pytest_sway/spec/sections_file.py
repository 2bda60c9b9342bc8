"""``sections:`` and ``controls:`` of a spec: lists, or the path of a YAML, JSON or JSONL file of them.

``sections:`` may also hold the rows that an adapter was trained on
(:mod:`pytest_sway.spec.training_rows`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError, model_validator

from pytest_sway.document import QA, Control, Document, Section, Triple
from pytest_sway.spec.context_turns import ContextTurn, to_turns
from pytest_sway.spec.environment_variables import expand
from pytest_sway.spec.path_lookup import find_path, is_file
from pytest_sway.spec.problems import FieldPath, Problem, SpecError
from pytest_sway.spec.schema import StrictModel
from pytest_sway.spec.training_rows import SUFFIXES, is_training_row, read_json_lines, sections_of_rows
from pytest_sway.spec.unquoted_words import text_expected_message
from pytest_sway.spec.validation_errors import validation_problems
from pytest_sway.spec.yaml_source import Source, read_list
from pytest_sway.text.message_parts import describe, field_name

M = TypeVar("M", bound=BaseModel)
E = TypeVar("E")


class _QA(StrictModel):
    prompt: str = Field(min_length=1)
    gold: str = Field(min_length=1)
    context: tuple[ContextTurn, ...] = ()


class _Triple(StrictModel):
    prompt: str = Field(min_length=1)
    chosen: str = Field(min_length=1)
    rejected: str = Field(min_length=1)
    context: tuple[ContextTurn, ...] = ()


class _Section(StrictModel):
    id: str = Field(min_length=1)
    kind: Literal["prose", "instruction", "preference"] = "prose"
    content: str = ""
    probes: tuple[_QA, ...] = ()
    preferences: tuple[_Triple, ...] = ()
    tags: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _filled(self) -> _Section:
        wanted = {"prose": "content", "instruction": "probes", "preference": "preferences"}[self.kind]
        content = self.content.strip() if wanted == "content" else getattr(self, wanted)
        if not content:
            raise ValueError(f"a section of kind {self.kind} needs the field {wanted}")
        return self

    def to_section(self) -> Section:
        return Section(
            self.id,
            self.kind,
            self.content.strip(),
            tuple(QA(qa.prompt, qa.gold, to_turns(qa.context)) for qa in self.probes),
            tuple(Triple(t.prompt, t.chosen, t.rejected, to_turns(t.context)) for t in self.preferences),
            self.tags,
        )


class _Control(StrictModel):
    id: str = Field(min_length=1)
    content: str = Field(min_length=1)


def read_document(source: Source) -> tuple[Document, list[Problem]]:
    """The document that a spec carries or names, and what is wrong with it."""
    sections, problems = _read_sections(source)
    controls, wrong = _read_entries(source, "controls", _Control)
    document = Document(
        tuple(sections),
        tuple(Control(control.id, control.content.strip()) for control in controls),
    )
    return document, [*problems, *wrong]


def _read_sections(source: Source) -> tuple[list[Section], list[Problem]]:
    """The sections, or those that the rows of a data set make up."""

    def read(where: Source, value: Any) -> tuple[list[Section], list[Problem]]:
        if isinstance(value, list) and value and is_training_row(value[0]):
            return sections_of_rows(where, "sections", value, where.path.stem)
        found, problems = _validate(where, "sections", value, _Section)
        return [section.to_section() for section in found], problems

    return _read_named(source, "sections", read)


def _read_entries(source: Source, key: str, model: type[M]) -> tuple[list[M], list[Problem]]:
    """The valid entries under ``key``."""
    return _read_named(source, key, lambda where, value: _validate(where, key, value, model))


def _read_named(
    source: Source, key: str, read: Callable[[Source, Any], tuple[list[E], list[Problem]]]
) -> tuple[list[E], list[Problem]]:
    """What ``read`` makes of the value of ``key``, or of the file that it names; its problems say which."""
    value = source.value.get(key)
    if value is None:
        return [], []
    position = source.locate((key,))
    if not isinstance(value, str):
        return read(source, value)
    try:
        value = expand(value)
    except ValueError as error:
        return [], [Problem(f"{key}: found {describe(value)}: {error}", *position)]
    file = find_path(value, source.roots)
    if not is_file(file):
        message = f"there is no file {describe(value)} next to the spec or in the working directory"
        return [], [Problem(f"{key}: {message}", *position)]
    try:
        named = read_json_lines(file, key) if file.suffix in SUFFIXES else read_list(file, key)
    except SpecError as error:
        return [], [Problem(f"{key}: {line}", *position) for line in str(error).splitlines()]
    entries, problems = read(named, named.value[key])
    return entries, [
        Problem(f"{key}: {file.name}:{p.line}:{p.column}: {p.message}", *position) for p in problems
    ]


def _validate(source: Source, key: str, value: Any, model: type[M]) -> tuple[list[M], list[Problem]]:
    if not isinstance(value, list):
        message = f"{key}: found {describe(value)}, expected a list, or the path of a file that contains one"
        return [], [Problem(message, *source.locate((key,)))]
    entries: list[M] = []
    problems: list[Problem] = []
    for index, item in enumerate(value):
        path: FieldPath = (key, index)
        if model is _Control and not isinstance(item, str | dict):
            message = text_expected_message(item, source.written.get(path))
            problems.append(Problem(f"{field_name(path)}: {message}", *source.locate(path)))
            continue
        entry = {"id": f"{key[:-1]} {index + 1}", "content": item} if _is_text(model, item) else item
        try:
            entries.append(model.model_validate(entry))
        except ValidationError as error:
            problems += validation_problems(error, source, path, model)
    return entries, [*problems, *_find_duplicates(source, key, value, entries)]


def _is_text(model: type[BaseModel], item: Any) -> bool:
    """Whether a control was written as plain text."""
    return model is _Control and isinstance(item, str)


def _find_duplicates(
    source: Source, key: str, value: Sequence[Any], entries: Sequence[Any]
) -> Iterator[Problem]:
    """Entries with the id or the content of an earlier one."""
    if len(entries) < len(value):  # what is wrong with single entries is reported first
        return
    ids: set[str] = set()
    contents: dict[str, str] = {}
    for index, entry in enumerate(entries):
        where = field_name((key, index))
        position = source.locate((key, index))
        if entry.id in ids:
            yield Problem(f"{where}.id: {entry.id!r} is used more than once; choose another id", *position)
        text = " ".join(entry.content.split())
        if text and text in contents:
            message = (
                f"{where}.content: this is the same text as {contents[text]!r}. Remove one of the two, "
                "because each text is used only once"
            )
            yield Problem(message, *position)
        ids.add(entry.id)
        contents.setdefault(text, entry.id)
