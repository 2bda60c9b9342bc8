"""Every test that .github/SECURITY.md names exists, and its links lead somewhere."""

from __future__ import annotations

import ast
import re

import pytest

from tests.docs.pages import anchors, links
from tests.support.paths import ROOT

POLICY = ROOT / ".github" / "SECURITY.md"
TEXT = POLICY.read_text("utf-8")
TESTS = sorted(set(re.findall(r"`(tests/[^`]+)`", TEXT)))


def test_what_is_not_trusted_is_attacked() -> None:
    """No line of its first table is without a test."""
    table = TEXT.partition("## What is not trusted")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 8
    assert not [row for row in rows if set(row) - set("|- ") and "`tests/" not in row.rsplit("|", 2)[1]]


@pytest.mark.parametrize("test", TESTS)
def test_the_test_exists(test: str) -> None:
    name, _, function = test.partition("::")
    defined = ast.walk(ast.parse((ROOT / name).read_text("utf-8")))
    assert not function or function in {node.name for node in defined if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("target", links(POLICY))
def test_links_lead_somewhere(target: str) -> None:
    name, _, anchor = target.partition("#")
    page = (POLICY.parent / name).resolve()
    assert page.is_file()
    assert not anchor or anchor in anchors(page)
