"""The commands and programs of README and docs/getting-started.md, executed on the quickstart's models."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import README, blocks, commands
from tests.support.paths import QUICKSTART, ROOT
from tests.support.training_files import facts

START = ROOT / "docs" / "getting-started.md"
SHELL = [block for block in blocks("sh") if block.page == START]


def _run(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """A command of a page, with the program of this environment."""
    parts = shlex.split(command)
    program = {"sway": ["-m", "pytest_sway"], "pytest": ["-m", "pytest"], "python": []}[parts[0]]
    return subprocess.run(
        [sys.executable, *program, *parts[1:]], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_from_an_adapter_to_a_verdict(tmp_path: Path) -> None:
    shutil.copytree(QUICKSTART / "adapters" / "healthy", tmp_path / "run" / "adapter")
    shutil.copytree(QUICKSTART / "base", tmp_path / "base")  # adapter_config.json names ../../base
    rows = [{"prompt": fact.question, "completion": fact.answer} for fact in facts(24)]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for command in commands(SHELL[0]):
        found = _run(tmp_path, command)
        assert found.returncode == 0, f"{command}: {found.stdout}{found.stderr}"


@pytest.mark.nightly  # .ci/run runs the first of them as the README's
@pytest.mark.parametrize("command", list(commands(SHELL[1])))
def test_the_adapters_of_the_quickstart(command: str) -> None:
    found = _run(ROOT, f"{command} -p no:cacheprovider")
    is_healthy = "--sway-adapter" not in command
    assert found.returncode == (0 if is_healthy else 1), found.stdout


@pytest.mark.slow
@pytest.mark.parametrize("page", [README, START], ids=lambda page: page.stem)
def test_programs(page: Path, tmp_path: Path) -> None:
    base = {"kind": "hf", "base": str(QUICKSTART / "base")}
    adapter = str(QUICKSTART / "adapters" / "healthy")
    prompts = ["The master of the works is", "The furnace is called the", "The oil is kept in a stone"]
    spec = {
        "models": {"base": base, "ft": {**base, "adapter": adapter}},
        "suite": [
            {"name": "null", "kind": "null_adapter"},
            {"name": "moved", "kind": "delta_kl", "prompts": prompts},
        ],
    }
    (tmp_path / "sway.yaml").write_text(json.dumps(spec))
    programs = [block.text for block in blocks("python") if block.page == page and "def test_" in block.text]
    assert programs
    for number, text in enumerate(programs):
        (tmp_path / f"test_{number}.py").write_text(text)
    found = _run(
        tmp_path, "pytest -p no:cacheprovider -q " + " ".join(f"test_{n}.py" for n in range(len(programs)))
    )
    outcome = re.findall(r"(\d+) (passed|failed|error)", found.stdout)
    assert outcome, found.stdout
    assert "error" not in {name for _, name in outcome}, found.stdout
