"""A document's text as passages: what stands under one heading, or some paragraphs."""

from __future__ import annotations

import re
from collections.abc import Iterator

MOST_CHARS = 2000
"""Of a passage: what ``section_internalization`` reads of one by default."""
_HEADING = re.compile(r"#{1,6}[ \t]+(.+?)[ \t#]*$")
_FENCE = re.compile(r"(```|~~~)")
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_SENTENCE = re.compile(r"[.!?…。！？][\"'”’»)\]」』]*\s")


def cut_passages(text: str, *, is_markdown: bool) -> Iterator[dict[str, str]]:
    """Passages as rows with ``text``, and in Markdown with ``section``, the heading above.

    Args:
        text: of the document.
        is_markdown: whether ``#`` begins a heading; front matter is left out.
    """
    if not is_markdown:
        yield from ({"text": passage} for passage in _join(text))
        return
    for heading, body in _parts(_FRONT_MATTER.sub("", text)):
        for passage in _join(body):
            yield {"section": heading, "text": passage} if heading else {"text": passage}


def shortened(text: str, most: int = MOST_CHARS) -> str:
    """The text, or its beginning up to the last paragraph or sentence end within ``most`` characters."""
    text = text.strip()
    if len(text) <= most:
        return text
    kept = text[:most]
    at = kept.rfind("\n\n")
    if at < most // 2:
        at = max((match.end() for match in _SENTENCE.finditer(kept)), default=0)
    if at < most // 2:
        at = kept.rfind(" ")
    return (kept[:at] if at > 0 else kept).strip()


def _parts(text: str) -> Iterator[tuple[str, str]]:
    """(heading, text below it); code blocks hold no headings."""
    heading, lines, fence = "", list[str](), ""
    for line in text.split("\n"):
        if mark := _FENCE.match(line.lstrip()):
            fence = "" if fence == mark[1] else fence or mark[1]
        found = None if fence else _HEADING.fullmatch(line)
        if found is None:
            lines.append(line)
            continue
        yield heading, "\n".join(lines)
        heading, lines = found[1], []
    yield heading, "\n".join(lines)


def _join(text: str) -> Iterator[str]:
    """Paragraphs, joined until they are long enough, cut where they are too long."""
    kept = ""
    for paragraph in re.split(r"\n[^\S\n]*\n", text):
        paragraph = paragraph.strip()
        if not paragraph:
            continue
        if kept and len(kept) + len(paragraph) > MOST_CHARS:
            yield kept
            kept = ""
        kept = f"{kept}\n\n{paragraph}" if kept else paragraph
        while len(kept) > MOST_CHARS:
            first = shortened(kept)
            yield first
            kept = kept[len(first) :].strip()
    if kept:
        yield kept
