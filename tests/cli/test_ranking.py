"""``sway rank``: the right checkpoint of a run is named; bad input is one line, before any measuring."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pytest_sway.cli.main import main
from tests.cli.test_main import refusal
from tests.known_adapters.expected_verdicts import adapter_folders
from tests.support.paths import QUICKSTART
from tests.support.training_files import facts, write_jsonl

BASE = QUICKSTART / "base"
ASKED = "null or sections or wordings or facts or prose"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_jsonl(tmp_path, [{"prompt": fact.question, "completion": fact.answer} for fact in facts(100)])
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["none-*"], "no folder matches the pattern none-*"),
        (["none"], "folder none does not exist"),
        (["."], "sway rank needs two or more checkpoint folders"),
        ([".", "."], "sway rank needs two or more checkpoint folders"),
        ([".", ".."], "no spec was found; pass a spec with --spec SPEC"),
        ([".", "..", "--spec", "none.yaml"], "file none.yaml does not exist"),
        ([".", "..", "--spec", "a", "--data", "b"], "mutually exclusive"),
        ([".", "..", "--base", "org/name"], "--base needs --data"),
        ([".", "..", "--data", "train.jsonl"], "contains no adapter_config.json"),
        ([".", "..", "--html", "/dev/null/a.html"], "is not writable"),
    ],
)
def test_bad_arguments(capsys: pytest.CaptureFixture[str], arguments: list[str], found: str) -> None:
    assert found in refusal(capsys, "rank", *arguments)


def test_checkpoints_that_are_one(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    for name in ("best", "checkpoint-9"):
        shutil.copytree(adapter_folders()["healthy"], folder / name)
    assert main(["rank", "best", "checkpoint-9", "--data", "train.jsonl"]) == 2
    note, error = capsys.readouterr().err.splitlines()
    assert "contains the same adapter as" in note
    assert "with different adapters" in error


@pytest.mark.slow
def test_a_run_of_known_adapters(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """Made to look like a run: too little, learned, learned at the price of harm."""
    known = adapter_folders()
    for step, name in ((5, "undertrained"), (400, "healthy"), (1000, "careless")):
        shutil.copytree(known[name], folder / f"checkpoint-{step}")
    arguments = ["--data", "train.jsonl", "--base", str(BASE), "--json", "rank.json", "--html", "rank.html"]
    assert main(["rank", "checkpoint-*", *arguments, "--", "-k", ASKED]) == 0
    capsys.readouterr()
    content = json.loads((folder / "rank.json").read_text("utf-8"))
    assert [one["label"] for one in content["checkpoints"]] == [
        "checkpoint-5",
        "checkpoint-400",
        "checkpoint-1000",
    ]
    assert content["harm_begins"] == "checkpoint-1000"
    assert [one["harm"] for one in content["checkpoints"]] == [[], [], ["facts", "prose"]]
    assert (folder / "rank.html").read_text("utf-8").count('class="plot"') == 2
