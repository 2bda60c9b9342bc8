"""Processes to kill, and a library that lets calls fail."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("fail_calls.c")


@pytest.fixture(scope="session")
def fail_calls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of a process in which calls can fail."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler: install gcc")
    library = tmp_path_factory.mktemp("library") / "fail_calls.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-w", "-o", library, SOURCE, "-ldl"], check=True)
    return {**os.environ, "LD_PRELOAD": str(library)}
