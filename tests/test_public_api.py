"""The package's public names: few, typed, imported when they are used, and all that examples need."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pytest_sway
from tests.support.paths import ROOT

FOLDERS = ("docs", "examples", "conftest_templates")
FILES = [
    ROOT / "README.md",
    *(file for name in FOLDERS for kind in ("md", "py") for file in sorted((ROOT / name).rglob(f"*.{kind}"))),
]


def test_the_names_are_few_sorted_and_typed() -> None:
    names = pytest_sway.__all__
    assert 20 <= len(names) <= 30
    assert names == sorted(set(names))
    tree = ast.parse(Path(pytest_sway.__file__).read_text("utf-8"))
    checked = next(node for node in tree.body if isinstance(node, ast.If))  # if TYPE_CHECKING
    typed = {alias.asname: (node.module, alias.name) for node in checked.body for alias in node.names}
    assert set(typed) == set(names)
    for name, (module, original) in typed.items():
        found = getattr(pytest_sway, name)
        assert found is getattr(sys.modules[module], original)
        assert found.__doc__
    assert set(names) <= set(dir(pytest_sway))
    with pytest.raises(AttributeError, match="has no attribute 'Prob'"):
        pytest_sway.Prob  # noqa: B018


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys, pytest_sway; print(sorted(m for m in sys.modules if m.startswith('pytest_sway')))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "['pytest_sway', 'pytest_sway.version']"


def _deeper(text: str) -> Iterator[str]:
    for match in re.finditer(r"^\s*(?:from|import) (pytest_sway[.\w]*)", text, re.MULTILINE):
        if match[1] != "pytest_sway" and not match[1].startswith("pytest_sway_example"):
            yield match[1]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_nothing_a_user_copies_imports_from_deeper(file: Path) -> None:
    assert list(_deeper(file.read_text("utf-8"))) == []


def test_docstrings_import_from_the_package_itself() -> None:
    for file in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                assert list(_deeper(ast.get_docstring(node) or "")) == [], file
