"""YAML text to plain values and their positions, safely: nothing is executed, nothing can explode.

A file is read whole only up to a limit; its events are counted before anything is built; aliases are
followed, but what they expand to is counted too; only YAML's own scalar types exist.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pytest_sway.dlm.yaml_limits import MOST_NUMBER_CHARS, NUMBER_TAGS
from pytest_sway.regular_files import read_regular
from pytest_sway.spec.encoding import decode
from pytest_sway.spec.problems import FieldPath, Problem, SpecError
from pytest_sway.spec.unquoted_words import yaml_reading
from pytest_sway.text.message_parts import describe

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 40
MAX_VALUES = 200_000

SourceLocation = tuple[int, int]
_ESCAPE = re.compile(r'"[^"]*\\')
"""A backslash in double quotes."""
_NO_BREAK = "\u00a0"
"""What web pages and chats write instead of a space."""
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass
class Source:
    """The file's value, and the line and column of each part, from 1."""

    path: Path
    value: dict[str, Any]
    values: dict[FieldPath, SourceLocation] = field(default_factory=dict)
    keys: dict[FieldPath, SourceLocation] = field(default_factory=dict)
    written: dict[FieldPath, str] = field(default_factory=dict)
    """The characters in the file where YAML does not read a text: ``no``, ``12:30``, ``2024-01-01``."""

    @property
    def roots(self) -> tuple[Path, Path]:
        """Where relative paths are looked up: beside the file, then in the working directory."""
        return self.path.parent, Path()

    def locate(self, path: FieldPath, *, key: bool = False) -> SourceLocation:
        """Line and column of a key or a value, or of the nearest part around it that exists."""
        table = {**self.values, **self.keys} if key else self.values
        while path and path not in table:
            path = path[:-1]
        return table.get(path, (1, 1))


def read_spec(path: Path) -> Source:
    """The file as a mapping.

    Raises:
        SpecError: no file, too large, no Unicode, not YAML, not a mapping, a duplicate key, a tag, an
            alias bomb.
    """
    value, builder = _read_value(path, (), "the keys models and suite")
    if not isinstance(value, dict):
        message = f"found {describe(value)}, expected a mapping with the keys models and suite"
        raise SpecError(path, [Problem(message, *builder.values[()])])
    return Source(path, value, builder.values, builder.keys, builder.written)


def compose(text: str) -> yaml.Node | None:
    """The nodes of a spec that :func:`read_spec` has read, with their places in its text."""
    node: yaml.Node | None = yaml.compose(text, Loader=_Loader)
    return node


def read_list(path: Path, key: str) -> Source:
    """A file that holds a list, or a mapping with a list under ``key``, as the mapping.

    Raises:
        SpecError: as :func:`read_spec`, and for any other content.
    """
    value, builder = _read_value(path, (key,), "a list")
    if isinstance(value, dict) and key in value:
        return read_spec(path)
    if not isinstance(value, list):
        message = f"found {describe(value)}, expected a list, or a mapping with the key {key}"
        raise SpecError(path, [Problem(message, *builder.values[key,])])
    return Source(path, {key: value}, builder.values, builder.keys, builder.written)


def _read_value(path: Path, root: FieldPath, wanted: str) -> tuple[Any, _Builder]:
    """A file's value, its positions noted below ``root``."""
    text = _read_text(path)
    try:
        node = _compose(path, text)
    except yaml.MarkedYAMLError as error:
        raise SpecError(path, [_yaml_problem(error, text)]) from None
    except yaml.YAMLError as error:
        raise SpecError(path, [Problem(f"not YAML: {' '.join(str(error).split())}")]) from None
    if node is None:
        raise SpecError(path, [Problem(f"the file is empty; it needs {wanted}", 1, 1)])
    builder = _Builder(path)
    value = builder.build(node, root)
    if builder.problems:
        raise SpecError(path, builder.problems)
    return value, builder


def _read_text(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            limit = f"{size / 1e6:.1f} MB; the limit for a spec is {MAX_BYTES // 1024 // 1024} MiB"
            raise SpecError(path, [Problem(f"the file is too large: {limit}")])
        return decode(path, read_regular(path, MAX_BYTES))
    except FileNotFoundError:
        raise SpecError(path, [Problem(f"there is no file {path}")]) from None
    except OSError as error:
        raise SpecError(path, [Problem(f"cannot be read: {error.strerror}")]) from None


def _compose(path: Path, text: str) -> yaml.Node | None:
    """The node tree, built only once its events have been counted."""
    try:
        _check_size(path, text, _Loader)
        return yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError:
        # libyaml looks ahead and has a limit of its own; the Python parser comes to ours before
        with suppress(yaml.YAMLError):
            _check_size(path, text, yaml.SafeLoader)
        raise


def _check_size(path: Path, text: str, loader: Any) -> None:
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=loader)):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH or count > 4 * MAX_VALUES:
            what = f"nested deeper than {MAX_DEPTH}" if depth > MAX_DEPTH else "too many values"
            raise SpecError(path, [Problem(what, *_position(event))])


class _Builder:
    """Builds values from nodes, noting positions and counting what aliases expand to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values: dict[FieldPath, SourceLocation] = {}
        self.keys: dict[FieldPath, SourceLocation] = {}
        self.written: dict[FieldPath, str] = {}
        self.problems: list[Problem] = []
        self._scalars = yaml.constructor.SafeConstructor()
        self._tags: Any = yaml.resolver.Resolver()
        self._open: list[yaml.Node] = []
        self._built = 0

    def build(self, node: yaml.Node, path: FieldPath) -> Any:
        self.values[path] = _position(node)
        self._built += 1  # what is merged has the same paths again and again, so these are not counted
        if self._built > MAX_VALUES:
            what = f"the YAML aliases expand to more than {MAX_VALUES} values"
            raise SpecError(self.path, [Problem(what, *_position(node))])
        if any(node is open_node for open_node in self._open):
            raise SpecError(self.path, [Problem("an alias contains itself", *_position(node))])
        if isinstance(node, yaml.ScalarNode):
            return self._value(node, path)
        self._open.append(node)
        try:
            if isinstance(node, yaml.SequenceNode):
                self._check_tag(node, "tag:yaml.org,2002:seq")
                return [self.build(child, (*path, i)) for i, child in enumerate(node.value)]
            return self._mapping(node, path)
        finally:
            self._open.pop()

    def _mapping(self, node: yaml.Node, path: FieldPath) -> dict[str, Any]:
        self._check_tag(node, "tag:yaml.org,2002:map")
        result: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                merged = {**self._merge(value_node, path), **merged}
        self.values[path] = _position(node)  # merging noted the position of the anchor
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self._scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                self._problem(_key_message(key, key_node), key_node)
                continue
            if key in result:
                self._problem(f"duplicate key {key!r}", key_node)
            self.keys[*path, key] = _position(key_node)
            result[key] = self.build(value_node, (*path, key))
        return {**merged, **result}

    def _merge(self, node: yaml.Node, path: FieldPath) -> dict[str, Any]:
        """What ``<<: *name`` (or a list of them) brings in; what stands in the mapping wins."""
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for part in parts:
            if isinstance(part, yaml.MappingNode):
                merged = {**self.build(part, path), **merged}
            else:
                self._problem("<<: needs a mapping", part)
        return merged

    def _value(self, node: yaml.ScalarNode, path: FieldPath) -> Any:
        value = self._scalar(node)
        if isinstance(value, str):
            self.written.pop(path, None)  # what is merged here is written elsewhere
        else:
            self.written[path] = node.value
        return value

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        if node.tag in NUMBER_TAGS and len(node.value) > MOST_NUMBER_CHARS:
            self._problem(
                f"the number {describe(node.value)} is longer than {MOST_NUMBER_CHARS:,} characters; if it "
                "is a string, put it in quotes",
                node,
            )
            return None
        try:
            return self._scalars.construct_object(node)
        except Exception:  # a tag's own constructor may raise anything on a value that is not its
            plain = not node.style and node.tag == self._tags.resolve(
                yaml.ScalarNode, node.value, (True, False)
            )
            hint = "; if it is a string, put it in quotes" if plain else ""
            self._problem(f"the value {describe(node.value)} (tag {node.tag}) is not allowed{hint}", node)
            return None

    def _check_tag(self, node: yaml.Node, expected: str) -> None:
        if node.tag != expected:
            self._problem(f"the tag {node.tag} is not allowed; write plain YAML", node)

    def _problem(self, message: str, node: yaml.Node) -> None:
        self.problems.append(Problem(message, *_position(node)))


def _position(node: yaml.Node | yaml.Event) -> SourceLocation:
    mark = node.start_mark
    return (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)


def _key_message(key: Any, node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return (
            "found a mapping as a key, expected a string. {{ name }} templates are not supported; write "
            "'${NAME}' instead"
        )
    if not isinstance(node, yaml.ScalarNode):
        return "found a list as a key, expected a string"
    reading = yaml_reading(key)
    return f"found the key {node.value}, which YAML reads as {reading}. Put it in quotes: {node.value!r}"


def _yaml_problem(error: yaml.MarkedYAMLError, content: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    text = " ".join(filter(None, [error.context, error.problem]))
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
    lines = content.split("\n")
    here = lines[line - 1] if 0 < line <= len(lines) else ""
    if here[column - 1 : column] == "\t":
        text = "found a tab. Use spaces to indent YAML"
    elif number := next((i for i in (line, line - 1) if i > 0 and _NO_BREAK in "".join(lines[i - 1 : i])), 0):
        column = lines[number - 1].index(_NO_BREAK) + 1
        text, line = (
            f"{text}. Line {number} contains a no-break space (U+00A0); replace it with a normal space",
            number,
        )
    elif here[column - 2 : column] == "${":
        text = "inside { }, put a string that contains braces in quotes: '${NAME}'"
    elif _ESCAPE.search(here):
        text = (
            f"{text}. A backslash in double quotes begins an escape sequence. Write a path in single quotes, "
            "or with / instead of backslashes"
        )
    return Problem(f"not YAML: {text}", line, column)
