"""Asks the worker for the outcome of cases."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.hostile.case import Case, Outcome
from tests.support.paths import ROOT


class Runner:
    """A worker process, and the folder that its cases have their folders in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log = (folder / "worker.log").open("wb")
        paths = os.pathsep.join(filter(None, [str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH")]))
        self._worker = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, cwd=ROOT,
            env={**os.environ, "PYTHONPATH": paths, "HF_HOME": str(folder / "hub"), "COLUMNS": "80"},
        )  # fmt: skip
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._worker.communicate()
        self._log.close()

    def run(self, case: Case) -> Outcome:
        """What becomes of a case."""
        assert self._worker.stdin is not None
        assert self._worker.stdout is not None
        self._count += 1
        self._worker.stdin.write(f"{case.id}\t{self.folder / f'case{self._count}'}\n")
        self._worker.stdin.flush()
        line = self._worker.stdout.readline()
        if not line:
            raise RuntimeError(Path(self._log.name).read_text("utf-8", "replace")[-3000:])
        found = json.loads(line)
        return Outcome(**{**found, "effects": tuple(found["effects"])})
