"""``sway compare`` of a history, and as a page."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pytest_sway.cli.main import main
from tests.cli.test_main import output, refusal
from tests.support.saved_results import DLM_SWAY_RESULT


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Three results; their names are in another order than their dates."""
    folder = tmp_path / "results"
    folder.mkdir()
    content = json.loads(DLM_SWAY_RESULT.read_text("utf-8"))
    for name, day, overall in (("a", 3, 0.2), ("b", 1, 0.9), ("c", 2, 0.5)):
        content["finished_at"] = f"2026-11-0{day}T00:00:00+00:00"
        content["score"]["overall"] = overall
        (folder / f"{name}.json").write_text(json.dumps(content), "utf-8")
    return folder


def test_a_folder_by_its_dates(capsys: pytest.CaptureFixture[str], history: Path) -> None:
    found = json.loads(output(capsys, "compare", history, "--format", "json"))
    assert found["labels"] == ["b", "c", "a"]
    assert found["composite_series"] == [0.9, 0.5, 0.2]
    assert main(["compare", str(history), "--fail-on-regression", "0.1"]) == 1


def test_what_is_no_result_is_left_out_by_name(capsys: pytest.CaptureFixture[str], history: Path) -> None:
    (history / "other.json").write_text("{}")
    assert main(["compare", str(history), "--format", "json"]) == 0
    found = capsys.readouterr()
    assert json.loads(found.out)["labels"] == ["b", "c", "a"]
    assert "note: skipped:" in found.err
    assert "other.json" in found.err


def test_a_result_is_not_replaced(capsys: pytest.CaptureFixture[str], history: Path) -> None:
    files = [history / "a.json", history / "b.json"]
    assert "would overwrite an input file" in refusal(capsys, "compare", *files, "--out", files[0])
    assert "would overwrite" in refusal(capsys, "report", files[0], "--format", "md", "--out", files[0])


def test_without_dates_the_names_decide(capsys: pytest.CaptureFixture[str], history: Path) -> None:
    content = json.loads((history / "c.json").read_text("utf-8"))
    del content["finished_at"]
    (history / "c.json").write_text(json.dumps(content))
    assert json.loads(output(capsys, "compare", history, "--format", "json"))["labels"] == ["a", "b", "c"]


def test_an_empty_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "contains no results (*.json)" in refusal(capsys, "compare", tmp_path)


def test_a_page(capsys: pytest.CaptureFixture[str], history: Path, tmp_path: Path) -> None:
    hostile = history / "<script>alert(1)<.json"
    shutil.copy(history / "a.json", hostile)
    assert not output(capsys, "compare", history, "--format", "html", "--out", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert page.count('class="plot"') == 2
    assert "<script>alert(1)" not in page.split("let plotly")[0].replace("\\u003c", "<")[:20_000]
    assert "pass a file name with --out" in refusal(capsys, "compare", history, "--format", "html")


@pytest.mark.parametrize(("form", "begins"), [("terminal", "  1  b"), ("md", "# sway"), ("json", "{")])
def test_into_a_file(
    capsys: pytest.CaptureFixture[str], history: Path, tmp_path: Path, form: str, begins: str
) -> None:
    assert not output(capsys, "compare", history, "--format", form, "--out", tmp_path / "a")
    assert (tmp_path / "a").read_text("utf-8").startswith(begins)
