"""The hooks under the real pre-commit, in a git repository of its own, without a network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.support.fake_models import SPEC
from tests.support.paths import ROOT

HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository that holds the hooks alone: those of language system need no more."""
    folder = tmp_path_factory.mktemp("hooks")
    shutil.copy(ROOT / ".pre-commit-hooks.yaml", folder)
    git(folder, "init", "--quiet")
    git(folder, "add", "-A")
    git(folder, "commit", "--quiet", "-m", "hooks")
    return folder


@pytest.fixture
def repository(project: Path) -> Path:
    """The project under git, with a readme, and with the commands that an editable environment may lack."""
    (project / "bin").mkdir()
    for name, module in (("sway", "pytest_sway"), ("pytest", "pytest")):
        script = project / "bin" / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
        script.chmod(0o755)
    (project / "pytest.ini").write_text("[pytest]\n")
    (project / "README.md").write_text("# A project\n")
    git(project, "init", "--quiet")
    git(project, "add", "-A")
    git(project, "commit", "--quiet", "-m", "project")
    return project


def commit(repository: Path, hooks: Path, hook: str, *changed: str) -> subprocess.CompletedProcess[str]:
    """What pre-commit says of changes that are about to be committed."""
    sha = subprocess.run(["git", "rev-parse", "HEAD"], cwd=hooks, check=True, capture_output=True, text=True)
    arguments = ["sway.yaml"] if hook == "sway-gate" else []
    named = {"repo": str(hooks), "rev": sha.stdout.strip(), "hooks": [{"id": hook, "args": arguments}]}
    (repository / ".pre-commit-config.yaml").write_text(yaml.safe_dump({"repos": [named]}))
    git(repository, "add", "-A")
    path = os.pathsep.join([str(repository / "bin"), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "PRE_COMMIT_HOME": str(repository.parent / "cache")}
    command = [sys.executable, "-m", "pre_commit", "run", hook, "--verbose", "--files", *changed]
    return subprocess.run(command, cwd=repository, env=env, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("hook", ["sway-gate", "pytest-sway"])
def test_a_gate_that_passes_and_one_that_fails(repository: Path, hooks: Path, hook: str) -> None:
    passed = commit(repository, hooks, hook, "sway.yaml")
    assert passed.returncode == 0, passed.stdout
    assert "GATE PASSED" in passed.stdout
    (repository / "sway.yaml").write_text(SPEC.replace("fakellm", "weak"))
    failed = commit(repository, hooks, hook, "sway.yaml")
    assert failed.returncode == 1
    assert "GATE FAILED" in failed.stdout
    assert "exit code: 1" in failed.stdout


@pytest.mark.slow
def test_a_file_that_does_not_trigger(repository: Path, hooks: Path) -> None:
    skipped = commit(repository, hooks, "sway-gate", "README.md")
    assert skipped.returncode == 0
    assert "no files to check" in skipped.stdout


@pytest.mark.parametrize(
    ("path", "triggers"),
    [
        ("sway.yaml", True),
        ("evals/sway.yml", True),
        ("a.sway.yaml", True),
        ("notes.dlm", True),
        ("adapter/adapter_config.json", True),
        ("run/adapter-v2/adapter_model.safetensors", True),
        ("README.md", False),
        ("sway.yaml.md", False),
        ("mysway.yaml", False),
        ("base/config.json", False),
        ("adapter/README.md", False),
    ],
)
def test_what_triggers(path: str, triggers: bool) -> None:
    assert {bool(re.search(hook["files"], path)) for hook in HOOKS} == {triggers}


def test_the_isolated_hook_installs_the_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (isolated,) = (hook for hook in HOOKS if hook["id"] == "sway-gate-isolated")
    assert isolated["additional_dependencies"] == project["project"]["optional-dependencies"]["hf"]


def test_the_manifest_is_valid() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pre_commit", "validate-manifest", str(ROOT / ".pre-commit-hooks.yaml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert [hook["id"] for hook in HOOKS] == [
        "sway-gate",
        "sway-gate-isolated",
        "sway-gate-docker",
        "pytest-sway",
    ]
