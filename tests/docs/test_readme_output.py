"""What the README shows of the terminal is what the terminal shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import README
from tests.support.paths import ROOT

pytestmark = pytest.mark.slow
SHOWN = re.findall(r"```console\n\$ (pytest [^\n]*)\n(.*?)```", README.read_text("utf-8"), re.DOTALL)


def _lines(text: str) -> list[str]:
    """Lines without what differs from run to run and between processors: times, last digits of numbers."""
    steady = re.sub(r"\d+\.\d+s|in \d+\.\d+s|\d+/\d+ \(\d+ from disk\)", "…", text)
    steady = re.sub(r"(\d\.\d)\d+", r"\1", steady)
    return [line.strip() for line in steady.splitlines() if line.strip()]


def test_a_healthy_and_a_sick_adapter_are_shown() -> None:
    assert len(SHOWN) == 2
    assert "PASSED" in SHOWN[0][1]
    assert "FAILED" in SHOWN[1][1]


@pytest.mark.parametrize(("command", "text"), SHOWN)
def test_the_terminal_shows_it(command: str, text: str, tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *command.split()[1:]]
    found = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    missing = [line for line in _lines(text) if line not in _lines(found) and line != "…"]
    assert missing == [], found
