"""The files of docs/extending.md are written to a project and run as the page says."""

from __future__ import annotations

import ast
import json
import re
from typing import Any

import pytest

from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "extending.md").read_text("utf-8")
FILES = dict(re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```\n", PAGE, flags=re.DOTALL))


@pytest.fixture
def page(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with the files of the page; pytest finds its modules through its own pytest.ini."""
    for name, text in FILES.items():
        file = pytester.path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, "utf-8")
    return pytester


def run(page: pytest.Pytester, spec: str) -> dict[str, dict[str, Any]]:
    page.runpytest(spec, "--sway-json=out.json")
    found = json.loads((page.path / "out.json").read_text())
    return {probe["name"]: probe for probe in found["probes"]}


def test_every_marked_file_is_found() -> None:
    assert PAGE.count("<!-- file: ") == len(FILES) == 10


def test_the_class_has_as_many_lines_as_the_page_says() -> None:
    source = FILES["my_backend.py"]
    (backend,) = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
    lines = source.splitlines()[backend.lineno - 1 : backend.end_lineno]
    assert "## Thirty lines" in PAGE
    assert sum(bool(line.strip()) for line in lines) <= 30


def test_the_first_backend_gives_verdicts(page: pytest.Pytester) -> None:
    probes = run(page, "sway.yaml")
    assert {name: probe["verdict"] for name, probe in probes.items()} == {
        "changed": "pass",
        "learned": "pass",
    }
    assert probes["changed"]["raw"] > 0.02
    assert probes["changed"]["null"] is None


def test_null_adapters_of_its_own(page: pytest.Pytester) -> None:
    probes = run(page, "nulls.sway.yaml")
    assert {probe["verdict"] for probe in probes.values()} == {"pass"}, probes
    assert (probes["changed"]["null"]["family"], probes["changed"]["null"]["n"] >= 8) == (
        "norm_matched",
        True,
    )
    assert probes["changed"]["z_score"] > 3
    assert probes["changed"]["raw"] == pytest.approx(run(page, "sway.yaml")["changed"]["raw"])


@pytest.mark.parametrize("folder", ["with_fixture", "with_hook"])
def test_the_fixture_and_the_hook_serve_it(page: pytest.Pytester, folder: str) -> None:
    """Without them the entry point could not be imported."""
    spec = FILES["nulls.sway.yaml"].replace("my_nulls:", "no_such_module:")
    (page.path / folder / "sway.yaml").write_text(spec)
    probes = run(page, f"{folder}/sway.yaml")
    assert {probe["verdict"] for probe in probes.values()} == {"pass"}, probes


def test_a_backend_of_dlm_sway(page: pytest.Pytester) -> None:
    page.makepyfile(my_views="from tests.support.differential_model import AllViews as MyBackend\n")
    (page.path / "adapter.txt").write_text("1.0")
    probes = run(page, "views.sway.yaml")
    assert {probe["verdict"] for probe in probes.values()} == {"pass"}, probes
