"""The bodies of instruction and preference sections: ``###`` headers with a text below each."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_sway.dlm.errors import DlmError
from pytest_sway.dlm.records import DlmSection
from pytest_sway.document import QA, Triple
from pytest_sway.text.message_parts import describe

_ASKED, _ANSWER = "### Q", "### A"
_PROBE = "### Q !probe"
"""Header of a question that dlm asks in its evaluations; it is trained on as any other."""
_PREFERENCE = ("### Prompt", "### Chosen", "### Rejected")


def read_pairs(section: DlmSection) -> list[QA]:
    """The questions and answers of an instruction section.

    Raises:
        DlmError: a header or a text is missing, with its line in the file.
    """
    groups = _read_groups(section, (_ASKED, _ANSWER))
    return [QA(asked, answer) for asked, answer in groups]


def read_triples(section: DlmSection) -> list[Triple]:
    """The preferences of a preference section.

    Raises:
        DlmError: as for :func:`read_pairs`.
    """
    groups = _read_groups(section, _PREFERENCE)
    return [Triple(prompt, chosen, rejected) for prompt, chosen, rejected in groups]


def _read_groups(section: DlmSection, headers: Sequence[str]) -> list[list[str]]:
    """The texts below the headers, which come in their order, again and again.

    A text ends with a blank line or the next header, as in dlm: two paragraphs are an error there too.
    """
    body = _Body(section, headers)
    groups: list[list[str]] = []
    while body.skip_blank():
        groups.append([body.text_below(header) for header in headers])
    if not groups:
        raise DlmError(f"the {section.type} section has no header {headers[0]}", section.line)
    return groups


class _Body:
    """The lines of a section, read once from the first to the last."""

    def __init__(self, section: DlmSection, headers: Sequence[str]) -> None:
        self._section, self._headers = section, headers
        self._lines = section.content.splitlines()
        self._at = 0

    def skip_blank(self) -> bool:
        """Go to the next line with text; whether there is one."""
        while self._at < len(self._lines) and not self._lines[self._at].strip():
            self._at += 1
        return self._at < len(self._lines)

    def text_below(self, header: str) -> str:
        """The text below a header, which must stand here."""
        if self._header() != header:
            rest = self._lines[self._at :]
            found = describe(rest[0]) if rest else "the end of the section"
            raise self._error(
                f"found {found}, expected the header {header} on its own line; the text below a header ends "
                "at the first blank line"
            )
        self._at += 1
        begin = self._at
        while self._header() == "" and self._lines[self._at].strip():
            self._at += 1
        text = "\n".join(self._lines[begin : self._at]).strip()
        if not text:
            raise self._error(f"there is no text below the header {header}")
        if self._at < len(self._lines) and not self._lines[self._at].strip():
            self._at += 1
        return text

    def _header(self) -> str | None:
        """The header in this line; empty for another line, None at the end."""
        if self._at >= len(self._lines):
            return None
        line = self._lines[self._at].strip()
        if line == _PROBE and _ASKED in self._headers:
            return _ASKED
        return line if line in self._headers else ""

    def _error(self, message: str) -> DlmError:
        return DlmError(message, self._section.content_line + self._at)
