"""The bytes of a spec as text: UTF-8, or UTF-16 and UTF-32 with a byte order mark."""

from __future__ import annotations

import codecs
from pathlib import Path

from pytest_sway.spec.problems import Problem, SpecError

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # begins with the mark of UTF-16, so it is looked for before
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def decode(path: Path, raw: bytes) -> str:
    """The text; every line ends with a line feed.

    Raises:
        SpecError: the bytes are not valid in that encoding.
    """
    encoding = next((name for mark, name in _MARKS.items() if raw.startswith(mark)), "utf-8")
    if encoding == "utf-8" and raw[:2].count(0) == 1:
        text = "the file looks like UTF-16 without a byte order mark; save it as UTF-8"
        raise SpecError(path, [Problem(text, 1, 1)])
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise SpecError(path, [_decoding_problem(error, raw, encoding)]) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decoding_problem(error: UnicodeDecodeError, raw: bytes, encoding: str) -> Problem:
    name = encoding.removesuffix("-sig").upper()
    if name != "UTF-8":
        return Problem(
            f"the file begins with the byte order mark of {name} but is not valid {name}; save it as UTF-8",
            1,
            1,
        )
    line = raw[: error.start].count(b"\n") + 1
    return Problem(f"byte 0x{raw[error.start]:02x} is not UTF-8; save the file as UTF-8", line, 1)
