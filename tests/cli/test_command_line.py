"""What all commands share: dlm-sway's arguments with their defaults, completion, colours."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_sway.cli.colour import coloured
from pytest_sway.cli.main import build_parser
from tests.cli.test_main import output

REQUIRED = object()
DLM_SWAY: dict[str, dict[str, object]] = {
    "run": {
        "spec": REQUIRED,
        "json": None,
        "markdown": None,
        "weights": None,
        "dry_run": False,
        "trace": None,
    },
    "gate": {"spec": REQUIRED, "junit": None, "threshold": None, "weights": None},
    "check": {"adapter": REQUIRED, "base": None, "prompts": None},
    "diff": {"spec": REQUIRED, "a": REQUIRED, "b": REQUIRED},
    "doctor": {"json": False},
    "report": {"result": REQUIRED, "format": "terminal", "out": None},
    "compare": {"results": REQUIRED, "format": "terminal", "fail_on_regression": 0.0},
    "trace": {"trace": REQUIRED, "format": "terminal", "slowest": 10},
    "list-probes": {"json": False},
    "autogen": {"dlm": REQUIRED},
    "mine": {
        "spec": REQUIRED,
        "out": None,
        "top_k": 10,
        "n_candidates": 50,
        "from_corpus": None,
        "seed": 0,
    },
    "pack": {
        "spec": REQUIRED,
        "out": None,
        "include_golden": None,
        "include_null_cache": True,
        "max_size_mb": 50.0,
    },
    "unpack": {"pack": REQUIRED, "out": "."},
    "serve": {
        "host": "127.0.0.1",
        "port": 8787,
        "max_loaded_models": 2,
        "api_key": None,
        "log_level": "info",
    },
    "convert-adapter": {"source": REQUIRED, "destination": REQUIRED, "target": "mlx", "overwrite": False},
}
"""Commands of dlm-sway that there are here too: each argument with its default (peer-facts, E.1)."""
SHORT = {"run": {"-j", "-m"}}
FORMATS = {
    "report": {"terminal", "md", "markdown", "junit", "json", "html"},
    "compare": {"terminal", "md", "markdown", "json"},
    "trace": {"terminal", "md", "json"},
}


def arguments(command: str) -> dict[str, argparse.Action]:
    parser = build_parser()
    (commands,) = (one for one in parser._actions if isinstance(one, argparse._SubParsersAction))
    return {action.dest: action for action in commands.choices[command]._actions}


@pytest.mark.parametrize("command", DLM_SWAY)
def test_every_argument_of_dlm_sway_is_there_with_its_default(command: str) -> None:
    found = arguments(command)
    for name, default in DLM_SWAY[command].items():
        assert name in found
        if default is REQUIRED:
            assert found[name].required
        else:
            assert found[name].default == default
    strings = {string for action in found.values() for string in action.option_strings}
    assert strings >= SHORT.get(command, set())
    if command in FORMATS:
        assert set(found["format"].choices or ()) >= FORMATS[command]


def test_the_kinds_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    found = {row["kind"]: row for row in json.loads(output(capsys, "list-probes", "--json"))}
    assert found["delta_kl"]["claim"] == "effect"
    assert found["samples"]["category"] == "baseline"
    assert len(found) == 18


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "tcsh"])
def test_completion(capsys: pytest.CaptureFixture[str], shell: str) -> None:
    script = output(capsys, "completion", shell)
    for word in ("check", "convert-adapter", "fail-on-regression", "max-rows"):
        assert word in script or shell == "tcsh"
    assert "sway" in script


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_commands_options_and_files(tmp_path: Path) -> None:
    ask = """
source <("$0" -m pytest_sway completion bash)
for words in "sway ch" "sway rank --h" "sway run sw"; do
  COMP_WORDS=($words); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
  _shtab_sway sway "${COMP_WORDS[COMP_CWORD]}" ""; echo "${COMPREPLY[@]}"
done
"""
    (tmp_path / "sway.yaml").write_text("")
    run = subprocess.run(
        ["bash", "-c", ask, sys.executable], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert run.stdout.split("\n")[:3] == ["check", "--help --html", "sway.yaml"]


@pytest.mark.parametrize(
    ("environment", "is_terminal", "expected"),
    [
        ({}, False, "noise"),
        ({}, True, "\x1b[1;31mnoise\x1b[0m"),
        ({"NO_COLOR": "1"}, True, "noise"),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, "noise"),
        ({"FORCE_COLOR": "1"}, False, "\x1b[1;31mnoise\x1b[0m"),
        ({"TERM": "dumb"}, True, "noise"),
    ],
)
def test_colours(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], is_terminal: bool, expected: str
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    assert coloured("noise", "red") == expected
