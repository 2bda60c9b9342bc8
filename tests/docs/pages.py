"""The README and the pages of docs/, with their links, headings and blocks of code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.paths import ROOT

README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md"]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """A block of code, with its page and the number of its first line."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def id(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    """Every block in one of these languages."""
    return [block for page in PAGES for block in _blocks_of(page) if block.language in languages]


def _blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text("utf-8")
    for match in _BLOCK.finditer(text):
        yield Block(page, text.count("\n", 0, match.start()) + 2, match[1], match[2])


def links(page: Path) -> Iterator[str]:
    """Targets of its links and pictures."""
    text = _BLOCK.sub("", page.read_text("utf-8"))
    yield from re.findall(r"\]\(([^)\s]+)\)", text)


def anchors(page: Path) -> set[str]:
    """What GitHub makes of its headings."""
    text = _BLOCK.sub("", page.read_text("utf-8"))
    found = set()
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-"))
    return found


def commands(block: Block) -> Iterator[str]:
    """The commands of a block: every line, or those behind ``$`` of a transcript."""
    text = block.text.replace("\\\n", " ")
    lines = [line.split(" #")[0].strip() for line in text.splitlines()]
    if block.language in ("", "console"):
        lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    for line in lines:
        yield from (
            part.strip() for part in re.split(r"&&|;", line) if part.strip() and not line.startswith("#")
        )
