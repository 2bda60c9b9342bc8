"""``sway init``: the spec that it writes runs; what stands in the way is one line, and nothing is lost."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pytest_sway.cli.main import main
from tests.cli.test_main import output, refusal
from tests.spec_generation.test_forms import BASE, HEALTHY, write_spec
from tests.support.training_files import FACTS, FORMS, write_jsonl

pytestmark = pytest.mark.slow

ROWS = [{"prompt": fact.question, "completion": fact.answer} for fact in FACTS]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_jsonl(tmp_path, ROWS)
    return tmp_path


def test_an_adapter_and_its_data(capsys: pytest.CaptureFixture[str]) -> None:
    lines = output(capsys, "init", HEALTHY, "--data", "train.jsonl").splitlines()
    assert lines[-1] == "next: sway run sway.yaml"
    models = yaml.safe_load(Path("sway.yaml").read_text("utf-8"))["models"]
    assert Path(models["base"]["base"]).samefile(BASE)  # from adapter_config.json
    assert Path(models["ft"]["adapter"]).samefile(HEALTHY)
    assert "delta_kl" in output(capsys, "run", "sway.yaml", "--dry-run")


def test_before_there_is_an_adapter(capsys: pytest.CaptureFixture[str]) -> None:
    output(capsys, "init", "--base", BASE, "--data", "train.jsonl", "-o", "later.yaml")
    assert "models.ft.adapter" in refusal(capsys, "run", "later.yaml", "--dry-run")
    output(capsys, "run", "later.yaml", "--dry-run", "--adapter", HEALTHY)


@pytest.mark.slow
def test_a_starter_without_anything(capsys: pytest.CaptureFixture[str]) -> None:
    assert "replace its prompts with your own" in output(capsys, "init")
    output(capsys, "run", "sway.yaml", "--dry-run", "--adapter", HEALTHY)
    output(capsys, "schema", "--out", "schema.json")
    check = [sys.executable, "-m", "check_jsonschema", "--schemafile", "schema.json", "sway.yaml"]
    subprocess.run(check, check=True, capture_output=True)
    output(capsys, "init", HEALTHY, "-o", "own.yaml")
    output(capsys, "run", "own.yaml", "--dry-run")


def test_overwriting_is_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    spec = folder / "sway.yaml"
    spec.write_text("mine")
    assert "overwrite it with --force" in refusal(capsys, "init", "--data", "train.jsonl")

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal("\n"))
    assert main(["init"]) == 2
    assert "sway.yaml was not changed" in capsys.readouterr().err
    assert spec.read_text() == "mine"
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert main(["init"]) == 0
    assert spec.read_text() != "mine"
    spec.write_text("mine")
    output(capsys, "init", "--force")
    assert spec.read_text() != "mine"


def test_bad_arguments(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "empty").mkdir()
    (folder / "named").mkdir()
    config = folder / "named" / "adapter_config.json"
    for found, arguments in (
        ("there is no folder none", ["none"]),
        ("empty contains no adapter_config.json", ["empty"]),
        ("file none.jsonl does not exist", [str(HEALTHY), "--data", "none.jsonl"]),
        ("--eval needs --data", [str(HEALTHY), "--eval", "train.jsonl"]),
        ("--max-rows 0", [str(HEALTHY), "--max-rows", "0"]),
        ("--base ./none: there is no such folder", [str(HEALTHY), "--base", "./none"]),
        ("--out empty is a folder", [str(HEALTHY), "--out", "empty"]),
    ):
        assert found in refusal(capsys, "init", *arguments)
    for written, found in (
        ("{", "cannot be read"),
        ("[]", "does not set a base model"),
        ('{"base_model_name_or_path": ""}', "pass the base model with --base"),
        (
            '{"base_model_name_or_path": "/home/her/base"}',
            "sets it to /home/her/base, but this folder does not exist",
        ),
    ):
        config.write_text(written)
        assert found in refusal(capsys, "init", "named")
    assert not (folder / "sway.yaml").exists()
    config.write_text('{"base_model_name_or_path": "org/name"}')
    output(capsys, "init", "named")
    assert "base: org/name\n" in (folder / "sway.yaml").read_text()


@pytest.mark.slow
def test_every_form_of_training_file_becomes_a_spec_that_runs(folder: Path) -> None:
    for number, form in enumerate(FORMS.values()):
        place = folder / f"{number:02d}"
        place.mkdir()
        shutil.move(write_spec(place, form.write(place)), place / f"form{number:02d}.sway.yaml")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:randomly",
        "--sway-limit=2",
        "--sway-json=out",
        ".",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    results = [json.loads(file.read_text("utf-8")) for file in (folder / "out").iterdir()]
    assert len(results) == len(FORMS), done.stdout[-2000:]
    errors = [
        (result["spec_path"], probe["name"], probe["message"])
        for result in results
        for probe in result["probes"]
        if probe["verdict"] == "error"
    ]
    assert errors == []
