"""``sway check``: what its makers know of an adapter, in plain words, without a spec."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.test_main import output, refusal
from tests.known_adapters.expected_verdicts import adapter_folders
from tests.support.paths import QUICKSTART
from tests.support.training_files import facts, write_jsonl

ADAPTERS, BASE = QUICKSTART / "adapters", QUICKSTART / "base"


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["none"], "there is no folder none; pass an adapter folder"),
        (["."], "contains no adapter_config.json"),
        ([ADAPTERS / "healthy", "--base", "./none"], "--base ./none: there is no such folder"),
        ([ADAPTERS / "healthy", "--prompts", "none.txt"], "none.txt cannot be read"),
        ([ADAPTERS / "healthy", "--data", "none.jsonl"], "file none.jsonl does not exist"),
        ([ADAPTERS / "healthy", "--json", "/dev/null/a.json"], "is not writable"),
        ([ADAPTERS / "healthy", "--json", ""], "--json is empty"),
    ],
)
def test_bad_arguments(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[object],
    found: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert found in refusal(capsys, "check", *arguments)
    assert list(tmp_path.iterdir()) == []


def test_what_is_read_is_not_replaced(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data = write_jsonl(tmp_path, [{"prompt": "Who?", "completion": "Me."}])
    before = data.read_bytes()
    found = refusal(capsys, "check", ADAPTERS / "healthy", "--data", data, "--json", data)
    assert "would overwrite an input file" in found
    assert "is a folder; pass a file" in refusal(capsys, "check", ADAPTERS / "healthy", "--json", tmp_path)
    found = refusal(capsys, "init", ADAPTERS / "healthy", "--data", data, "--out", data, "--force")
    assert "would overwrite an input file" in found
    assert data.read_bytes() == before


def test_prompts_that_are_none(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("\n \n")
    found = refusal(capsys, "check", ADAPTERS / "healthy", "--prompts", tmp_path / "prompts.txt")
    assert "is empty; write one prompt per line" in found
    (tmp_path / "prompts.txt").write_bytes(b"\xff")
    found = refusal(capsys, "check", ADAPTERS / "healthy", "--prompts", tmp_path / "prompts.txt")
    assert found.endswith("cannot be read: not UTF-8")


@pytest.mark.slow
def test_an_adapter_whose_weights_are_missing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    shutil.copy(ADAPTERS / "healthy" / "adapter_config.json", tmp_path)
    found = refusal(capsys, "check", tmp_path, "--base", BASE)
    assert "adapter_model.safetensors" in found
    assert "check.sway.yaml" not in found


@pytest.mark.slow
def test_the_quickstart_adapters(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    lines = output(capsys, "check", ADAPTERS / "healthy", "--json", tmp_path / "a.json").splitlines()
    assert lines[0] == f"base model, from adapter_config.json: {BASE}"
    assert lines[1] == "The adapter learned something, and its effect is clear, and no harm was found."
    assert "next: sway check" in lines[-1]
    content = json.loads((tmp_path / "a.json").read_text("utf-8"))
    assert content["check"]["level"] == "good"
    assert content["schema_version"] == 1
    assert {probe["name"] for probe in content["probes"]} == {"null_baseline", "own_words", "facts", "prose"}
    for name, title in (("inert", "The adapter does nothing"), ("random", "The adapter is noise")):
        assert output(capsys, "check", ADAPTERS / name, "--quiet").startswith(title)


@pytest.mark.slow
def test_known_adapters_and_their_data(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = [{"prompt": fact.question, "completion": fact.answer} for fact in facts(100)]
    data = write_jsonl(tmp_path, rows)
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("".join(f"{row['prompt']}\n" for row in rows[:8]), "utf-8")
    damage = "The adapter does damage: it makes the model worse at general facts"
    for name, title, arguments in (
        ("healthy", "The adapter learned its training answers, and no harm was found", ["--data", data]),
        ("memoriser", "The adapter memorised: it knows a training answer only if", ["--data", data]),
        ("careless", f"{damage} and ordinary prose.", []),
        ("overscaled", damage, ["--prompts", prompts]),
    ):
        found = output(capsys, "check", adapter_folders()[name], "--base", BASE, *arguments)
        assert found.startswith(title), (name, found)
        assert ("if they are rephrased" in " ".join(found.split())) is ("--data" in arguments)
