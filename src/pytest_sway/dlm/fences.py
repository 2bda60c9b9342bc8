"""The body of a ``.dlm`` file as sections: what stands between its ``::instruction::`` lines."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import get_args

from pytest_sway.dlm.errors import DlmError
from pytest_sway.dlm.markers import ATTRIBUTE, ATTRIBUTES, without_markers
from pytest_sway.dlm.records import ADAPTER_NAME, MEDIA, DlmSection, SectionType

_PLAIN = re.compile(r"::([A-Za-z0-9_#-]+)::")
_WITH_ATTRIBUTES = re.compile(rf"::([a-z][a-z0-9_]*)({ATTRIBUTES})\s*::")
_CODE = "```"
_TYPES: tuple[SectionType, ...] = get_args(SectionType)
_REQUIRED = {"image": {"path"}, "audio": {"path", "transcript"}}
_ALLOWED = {"image": {"path", "alt"}, "audio": {"path", "transcript"}}


@dataclass
class _OpenSection:
    """A section whose end has not been read yet."""

    type: SectionType
    line: int
    adapter: str = ""
    media_path: str = ""
    lines: list[str] = field(default_factory=list)

    def close(self) -> DlmSection | None:
        """The section; None for prose of white space alone."""
        lines = without_markers(self.type, self.lines, self.line)
        content = "\n".join(lines)
        if self.type == "prose" and not content.strip():
            return None
        content_line = self.line + 1 + len(self.lines) - len(lines)
        return DlmSection(self.type, content, self.line, content_line, self.adapter, self.media_path)


def read_sections(body: str, first_line: int) -> list[DlmSection]:
    """The sections of a body.

    A line that is a fence as a whole begins a section, but not between two lines that begin with three
    backticks.

    Args:
        body: with line feeds as line ends.
        first_line: of the file in which the body begins, from 1.

    Raises:
        DlmError: an unknown fence, or a code block that does not end.
    """
    if body.startswith("\n"):
        body, first_line = body[1:], first_line + 1
    body = body.removesuffix("\n")
    current, is_code = _OpenSection("prose", first_line), False
    sections: list[DlmSection | None] = []
    for number, text in enumerate(body.split("\n") if body else [], start=first_line):
        opened = None
        if text.startswith(_CODE):
            is_code = not is_code
        elif not is_code:
            opened = _fence(text, number)
        if opened is None:
            current.lines.append(text)
        else:
            sections.append(current.close())
            current = opened
    if is_code:
        raise DlmError("a code block (```) in this section is not closed", current.line)
    sections.append(current.close())
    return [section for section in sections if section is not None]


def _fence(text: str, line: int) -> _OpenSection | None:
    """The section that a line begins; None for any other line."""
    if found := _WITH_ATTRIBUTES.fullmatch(text):
        return _media(found[1], found[2], line)
    if found := _PLAIN.fullmatch(text):
        name, has_adapter, adapter = found[1].partition("#")
        section = _type(name, line)
        if has_adapter and not ADAPTER_NAME.fullmatch(adapter):
            raise DlmError(f"found {text}, expected an adapter name after #, such as #tone", line)
        if section in MEDIA:
            raise DlmError(f'found {text}, expected a file path, as in ::{section} path="…"::', line)
        return _OpenSection(section, line, adapter)
    return None


def _type(name: str, line: int) -> SectionType:
    for known in _TYPES:
        if name == known:
            return known
    raise DlmError(f"::{name}:: is not a section type; expected one of {', '.join(_TYPES)}", line)


def _media(name: str, text: str, line: int) -> _OpenSection:
    section = _type(name, line)
    if section not in MEDIA:
        raise DlmError(f"::{name} …:: does not accept attributes", line)
    pairs = ATTRIBUTE.findall(text)
    attributes = dict(pairs)
    if len(attributes) < len(pairs):
        raise DlmError(f"::{name} …:: has a duplicate attribute", line)
    if wrong := sorted(attributes.keys() - _ALLOWED[name]):
        allowed = " and ".join(sorted(_ALLOWED[name]))
        raise DlmError(f"::{name} …:: accepts only the attributes {allowed}; found {wrong[0]}", line)
    if missing := sorted(_REQUIRED[name] - attributes.keys()):
        raise DlmError(f"::{name} …:: does not have the required attribute {missing[0]}", line)
    if not all(value.isascii() for value in attributes.values()):
        raise DlmError(f"::{name} …:: accepts only ASCII text in its attributes", line)
    return _OpenSection(section, line, media_path=attributes["path"])
