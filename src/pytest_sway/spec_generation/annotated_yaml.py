"""YAML with comments: entries of a mapping or a list, each under the comment that explains it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from pytest_sway.spec_generation.data_error import DataError
from pytest_sway.text.message_parts import describe
from pytest_sway.text.width import clean

WIDTH = 100
_OTHER_BREAKS = re.compile("[\x85\u2028\u2029]")
"""Line breaks for YAML and for nobody else: they are escaped."""

_SURROGATES = re.compile("[\ud800-\udfff]")
"""What Python has for bytes of a file name that are not UTF-8; no YAML can be written with them."""


@dataclass(frozen=True)
class Anchored:
    """A value that later fields repeat by its name."""

    name: str
    value: Any


@dataclass(frozen=True)
class Alias:
    """The value of an :class:`Anchored`."""

    name: str


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks, nothing by reference."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    if _SURROGATES.search(text):
        raise DataError(
            f"{describe(text)} has bytes that are not UTF-8, which a spec cannot contain; rename the file or "
            "folder, or correct the text"
        )
    is_odd = _OTHER_BREAKS.search(text) or (text and not text.strip())
    style = '"' if is_odd else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def comment(text: str, indent: int = 0) -> str:
    """Comment lines of at most :data:`WIDTH` characters."""
    prefix = " " * indent + "# "
    readable = text.encode("utf-8", "replace").decode()  # names of files need not be Unicode
    lines = [clean(line) for line in readable.split("\n")]
    paragraphs = [
        textwrap.wrap(line, WIDTH - len(prefix), break_long_words=False, break_on_hyphens=False) or [""]
        for line in lines
    ]
    return "".join(f"{prefix}{line}".rstrip() + "\n" for lines in paragraphs for line in lines)


def block(value: Any, indent: int = 0) -> str:
    """A mapping or a list in block style."""
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH)
    return _indented(text, indent)


def list_entry(fields: Mapping[str, Any], indent: int = 2) -> str:
    """One entry of a list; a field may be anchored, or an alias."""
    lines = "".join(_field(name, value) for name, value in fields.items())
    text = _indented(lines, indent + 2)
    return f"{' ' * indent}- {text[indent + 2 :]}"


def _field(name: str, value: Any) -> str:
    if isinstance(value, Alias):
        return f"{name}: *{value.name}\n"
    if isinstance(value, Anchored):
        return f"{name}: &{value.name}\n{block(value.value, 2)}"
    return block({name: value})


def _indented(text: str, indent: int) -> str:
    """Empty lines stay empty: within a block of text they mean the same."""
    prefix = " " * indent
    return "\n".join(f"{prefix}{line}" if line else line for line in text.split("\n"))
