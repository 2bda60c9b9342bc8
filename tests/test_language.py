"""Names and prose hold to the glossary: none of the words that only this project would understand."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PACKAGES = ("src/pytest_sway", "tests", "benchmarks", "examples", "conftest_templates")
FILES = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))

LIST = ROOT / "tests/support/private_words.txt"
NAMES = frozenset(
    word for line in LIST.read_text("utf-8").splitlines() if not line.startswith("#") for word in line.split()
)
PROSE = re.compile(
    r"\b(riding|drawn|undisturbed|wards?|patients?|planted|rivals?|rooms?|the contract)\b", re.IGNORECASE
)


def defined(file: Path) -> Iterator[str]:
    """Names of the module, its classes and its functions, without leading underscores."""
    yield file.stem
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name.lstrip("_")


def prose(file: Path) -> Iterator[tuple[int, str]]:
    """Comments and docstrings, with their lines."""
    with file.open("rb") as stream:
        for token in tokenize.tokenize(stream.readline):
            is_docstring = token.type == tokenize.STRING and token.line.lstrip().startswith(('"""', 'r"""'))
            if token.type == tokenize.COMMENT or is_docstring:
                yield token.start[0], token.string


@pytest.mark.parametrize("package", PACKAGES)
def test_no_name_is_a_private_word(package: str) -> None:
    files = [file for file in FILES if file.is_relative_to(ROOT / package)]
    assert files
    used = {f"{file.relative_to(ROOT)}: {name}" for file in files for name in defined(file) if name in NAMES}
    assert sorted(used) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_private_word_in_prose(package: str) -> None:
    files = [file for file in FILES if file.is_relative_to(ROOT / package)]
    lines = [
        f"{file.relative_to(ROOT)}:{line}: {word[0]}"
        for file in files
        for line, text in prose(file)
        for word in PROSE.finditer(text)
    ]
    assert lines == []
