"""Workflows under actionlint and zizmor, the Dockerfile under hadolint."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.paths import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTIONLINT = os.environ.get("SWAY_ACTIONLINT", "")
LINT = """
const [module, ...files] = process.argv.slice(1)
const { createLinter } = await import(module)
const { readFileSync } = await import('node:fs')
const lint = await createLinter()
console.log(JSON.stringify(files.flatMap((file) => lint(readFileSync(file, 'utf8'), file))))
"""
needs_actionlint = pytest.mark.skipif(
    not ACTIONLINT, reason="SWAY_ACTIONLINT names no actionlint (.ci/actionlint)"
)


def lint(*files: Path) -> list[dict[str, Any]]:
    command = ["node", "--input-type=module", "-e", LINT, ACTIONLINT, *map(str, files)]
    found: list[dict[str, Any]] = json.loads(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
    )
    return found


@needs_actionlint
def test_actionlint() -> None:
    assert lint(*WORKFLOWS) == []


@needs_actionlint
def test_actionlint_sees_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_text(
        "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps: [{run: ok, shel: bash}]\n"
    )
    (fault,) = lint(tmp_path / "bad.yml")
    assert "shel" in fault["message"]


def audit(folder: Path) -> subprocess.CompletedProcess[str]:
    """Ask zizmor, without a network, for what is unsafe in workflows, actions and dependabot's settings."""
    command = [str(Path(sys.executable).parent / "zizmor"), "--offline", "--quiet", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_zizmor() -> None:
    done = audit(ROOT / ".github")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        (r"@[0-9a-f]{40} # v\S+", "@v1", "unpinned-uses"),
        (r"\bcontents: read\b", "contents: write", "excessive-permissions"),
        (r"persist-credentials: false", "fetch-depth: 0", "artipacked"),
        (r'bash "\$SCRIPT"', "bash ${{ github.head_ref }}", "template-injection"),
    ],
)
def test_zizmor_sees_what_is_unsafe(tmp_path: Path, old: str, new: str, name: str) -> None:
    text, count = re.subn(old, new, (ROOT / ".github/workflows/nightly.yml").read_text("utf-8"))
    assert count
    (tmp_path / ".github" / "workflows").mkdir(parents=True)
    (tmp_path / ".github" / "workflows" / "nightly.yml").write_text(text)
    done = audit(tmp_path)
    assert done.returncode != 0
    assert f"[{name}]" in done.stdout


def test_no_expression_stands_in_a_script() -> None:
    """Values reach a shell through its environment alone."""
    for file in WORKFLOWS:
        for job in yaml.safe_load(file.read_text("utf-8"))["jobs"].values():
            scripts = " ".join(step.get("run", "") for step in job.get("steps", []))
            assert "${{" not in scripts, file.name


def test_lanes_have_a_time_limit() -> None:
    for file in WORKFLOWS:
        for name, job in yaml.safe_load(file.read_text("utf-8"))["jobs"].items():
            assert "uses" in job or "timeout-minutes" in job, f"{file.name}: {name}"


def test_hadolint() -> None:
    command = [str(Path(sys.executable).parent / "hadolint"), str(ROOT / "Dockerfile")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_what_the_image_copies_is_what_the_package_is_built_of() -> None:
    text = (ROOT / "Dockerfile").read_text("utf-8")
    copied = {name for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE) for name in line.split()}
    assert all((ROOT / name).exists() for name in copied)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert {project["readme"], *project["license-files"], "pyproject.toml", "src"} <= copied
    assert "USER 1000\n" in text
    assert 'ENTRYPOINT ["sway"]' in text
