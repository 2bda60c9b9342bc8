"""The files of docs/extending.md are written to a project and run as the page says."""

from __future__ import annotations

import json
import re
import runpy
from types import SimpleNamespace
from typing import Any

import numpy as np
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
    """The probes of a spec that passes its gate."""
    page.runpytest(spec, "--sway-json=out.json")
    result = json.loads((page.path / "out.json").read_text())
    assert result["gate"]["status"] == "passed", result["gate"]
    probes = {probe["name"]: probe for probe in result["probes"]}
    assert {probe["verdict"] for probe in probes.values()} == {"pass"}, probes
    return probes


def test_every_marked_file_is_found() -> None:
    assert PAGE.count("<!-- file: ") == len(FILES) == 11


def test_the_first_backend_has_as_many_lines_as_the_page_says() -> None:
    assert "## About thirty lines" in PAGE
    assert sum(bool(line.strip()) for line in FILES["my_backend.py"].splitlines()) <= 32


def test_the_first_backend_gives_verdicts(page: pytest.Pytester) -> None:
    probes = run(page, "sway.yaml")
    assert [*probes] == ["changed", "learned"]
    assert probes["changed"]["raw"] > 0.02
    assert probes["changed"]["null"] is None


def test_null_adapters_of_its_own(page: pytest.Pytester) -> None:
    changed = run(page, "nulls.sway.yaml")["changed"]
    assert changed["null"]["family"] == "norm_matched"
    assert changed["null"]["n"] >= 8
    assert changed["z_score"] > 3
    assert changed["raw"] == pytest.approx(run(page, "sway.yaml")["changed"]["raw"])


@pytest.mark.parametrize("folder", ["with_fixture", "with_hook"])
def test_the_fixture_and_the_hook_serve_it(page: pytest.Pytester, folder: str) -> None:
    """Without them the entry point could not be imported."""
    spec = FILES["nulls.sway.yaml"].replace("my_nulls:", "no_such_module:")
    (page.path / folder / "sway.yaml").write_text(spec)
    run(page, f"{folder}/sway.yaml")


def test_a_backend_of_dlm_sway(page: pytest.Pytester) -> None:
    """The same model in the other protocol: the same divergence, and nulls as large as its update."""
    changed = run(page, "views.sway.yaml")["changed"]
    assert changed["z_score"] > 3
    assert changed["raw"] == pytest.approx(run(page, "sway.yaml")["changed"]["raw"])
    update = runpy.run_path(str(page.path / "my_views.py"))["MyBackend"](
        SimpleNamespace(base=page.path / "base.txt"), page.path / "kiln.txt"
    ).update
    assert "init_scale: 0.1}" in FILES["views.sway.yaml"]
    assert np.sqrt(np.mean(update**2)) == pytest.approx(0.1, rel=0.1)
