"""A run of a few rounds on slow fake models, which is killed, and what must be there afterwards."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.crashes.writers import STORE, check_parses, check_store, suite
from tests.support.paths import ROOT

_SLOW = """
import time

def slowly(answer):
    def answered(requests):
        time.sleep(0.15)
        return answer(requests)
    return answered
"""
_FILES = ("result.json", "junit.xml", "report.md", "trace.jsonl")


class KilledRun:
    """A project with its store.

    Args:
        folder: of the project.
        options: of pytest, beside those that name files.
        variables: of the environment.
    """

    def __init__(self, folder: Path, *options: str, variables: dict[str, str] | None = None) -> None:
        self.folder = folder
        folder.mkdir()
        suite(folder)
        conftest = (folder / "conftest.py").read_text()
        slow = conftest.replace(
            "    return backend", "    backend.answer = slowly(backend.answer)\n    return backend"
        )
        (folder / "conftest.py").write_text(_SLOW + slow)
        written = ["--sway-json=result.json", "--junitxml=junit.xml", "--sway-md=report.md"]
        self._command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "sway.yaml"]
        self._command += [*written, "--sway-trace=trace.jsonl", *options]
        paths = os.pathsep.join([*os.environ.get("PYTHONPATH", "").split(os.pathsep), str(ROOT)])
        self._environment = {**os.environ, **(variables or {}), "PYTHONPATH": paths}
        self._environment["SWAY_NULL_CACHE_DIR"] = str(folder / STORE)
        self._environment |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTEST_ADDOPTS": "-p no:randomly"}

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*self._command, *options], cwd=self.folder, env=self._environment, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def finish(self) -> tuple[float, dict[str, Any]]:
        """Seconds and the result of a run that nothing ends."""
        began = time.monotonic()
        process = self.start()
        output = process.communicate(timeout=120)[0].decode()
        assert process.returncode == 0, output
        assert "Traceback" not in output, output
        return time.monotonic() - began, json.loads((self.folder / "result.json").read_text("utf-8"))

    def kill(self, after: float) -> bool:
        """Kill a run with all of its processes after so many seconds; whether it still ran."""
        process = self.start()
        try:
            process.communicate(timeout=after)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=30)
            return True
        return False

    def check(self) -> int:
        """What a killed run left is complete; answers that it left."""
        for name in _FILES[:2]:
            check_parses(self.folder / name)
        report = self.folder / "report.md"
        assert not report.exists() or report.read_text("utf-8").endswith("\n")
        return check_store(self.folder)

    def left_over(self) -> set[str]:
        """Names that no run that ended leaves."""
        return {path.name for path in self.folder.rglob(".*") if path.name.endswith(".tmp")}

    def grow_old(self) -> None:
        """Let a day pass for what was left over."""
        for path in self.folder.glob(".*"):
            os.utime(path, (0, 0))

    def forget(self) -> None:
        """Remove what runs wrote."""
        shutil.rmtree(self.folder / STORE, ignore_errors=True)
        for name in _FILES:
            (self.folder / name).unlink(missing_ok=True)


def verdicts(result: dict[str, Any]) -> list[tuple[str, str, float | None]]:
    return [(probe["name"], probe["verdict"], probe["raw"]) for probe in result["probes"]]
