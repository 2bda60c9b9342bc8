"""What is released: the same bytes from the same commit, and only the files that belong to it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.support.paths import ROOT

BUILD = ROOT / ".ci" / "build"
LOCK = ROOT / ".ci" / "requirements" / "release.txt"
needs_git = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="builds a commit of the repository")
UNSTABLE = """\
import os, sys, tarfile
folder, target = sys.argv[sys.argv.index("--directory") + 1], sys.argv[sys.argv.index("--target") + 1]
open("content", "w").write(os.environ["TZ"])
with tarfile.open(f"{folder}/a.tar.gz" if target == "sdist" else f"{folder}/a.whl", "w:gz") as archive:
    archive.add("content", "a/content")
"""
"""A program in hatchling's place whose files name the time zone."""


def build(folder: Path, python: Path = Path(sys.executable)) -> subprocess.CompletedProcess[str]:
    """Build the repository's last commit with a ``python`` on PATH."""
    env = {**os.environ, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    command = ["bash", str(BUILD), str(folder)]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


@needs_git
@pytest.mark.slow
def test_two_builds_of_a_commit_are_the_same_bytes_and_hold_what_they_should(tmp_path: Path) -> None:
    done = build(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,), (source,) = tmp_path.glob("*.whl"), tmp_path.glob("*.tar.gz")
    names = zipfile.ZipFile(wheel).namelist()
    assert all(re.match(r"pytest_sway(/|-[^/]+\.dist-info/)", name) for name in names)
    assert "pytest_sway/py.typed" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert not [name for name in names if name.endswith((".pyc", ".so", ".pyd", ".pth"))]
    with tarfile.open(source) as archive:
        members = [name.partition("/")[2] for name in archive.getnames()]
    others = {name for name in members if not name.startswith("src/pytest_sway/")}
    assert others == {".gitignore", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"}


@needs_git
@pytest.mark.slow
def test_two_builds_that_differ_are_refused(tmp_path: Path) -> None:
    (tmp_path / "build.py").write_text(UNSTABLE)
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{tmp_path}/build.py" "$@"\n')
    python.chmod(0o755)
    done = build(tmp_path / "dist", python)
    assert done.returncode == 1
    assert "two builds of one commit differ" in done.stderr
    assert not (tmp_path / "dist").exists()


def test_every_tool_of_the_release_has_hashes() -> None:
    text = LOCK.read_text("utf-8")
    pinned = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]
    assert {"hatchling", "twine", "cyclonedx-bom"} <= {one.partition("==")[0] for one in pinned}
    assert all("--hash=sha256:" in one for one in pinned)
