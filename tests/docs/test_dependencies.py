"""docs/dependencies.md lists what pyproject.toml requires, with the same bounds."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
REQUIRED = {
    "Required": PROJECT["dependencies"],
    **{f"Extra `{name}`": found for name, found in PROJECT["optional-dependencies"].items() if name != "dev"},
}


def rows(heading: str) -> list[list[str]]:
    """Cells of the first table under a heading, without its head."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0].strip()
    table = section.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table]


@pytest.mark.parametrize("heading", REQUIRED)
def test_the_page_lists_what_is_required(heading: str) -> None:
    found = rows(heading)
    assert [row[0].strip("`") for row in found] == REQUIRED[heading]
    assert all(row[1] and row[2] for row in found)


def test_no_other_extra_is_listed() -> None:
    headings = set(re.findall(r"^## (Extra .+)$", PAGE, re.MULTILINE))
    assert headings == set(REQUIRED) - {"Required"}
