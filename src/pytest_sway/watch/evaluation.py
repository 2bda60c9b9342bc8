"""One evaluation of an adapter: a ``sway run`` or ``sway check`` in a process of its own.

A process of its own gives back all memory, a graphics card's too, while the training goes on, and whatever
ends it costs one evaluation.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_sway.text.message_parts import shorten_list
from pytest_sway.watch.processes import end_session

_LONGEST = 2000
_END_S = 15.0
_PREFIXES = ("sway: ", "sway run: ", "sway check: ")


@dataclass(frozen=True)
class Evaluation:
    """What came out.

    Attributes:
        seconds: how long it took.
        result: as JSON; None where it could not be evaluated.
        error: why it could not be.
        reason: why the adapter failed; empty where it did not.
    """

    seconds: float
    result: dict[str, Any] | None = field(default=None, hash=False)
    error: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Evaluator:
    """Evaluates adapters.

    Attributes:
        spec: the spec's file; None for ``sway check``, which needs none.
        check_options: of ``sway check``.
        server: URL of a daemon that measures; None for measuring here.
        key: the daemon's.
    """

    spec: Path | None
    check_options: tuple[str, ...] = ()
    server: str | None = None
    key: str | None = field(default=None, repr=False)

    def __call__(self, adapter: Path) -> Evaluation:
        """Evaluate an adapter's folder.

        Raises:
            KeyboardInterrupt: the process is ended first.
        """
        began = time.monotonic()
        try:
            result, fault = self._measured(adapter)
        except OSError as error:  # no process, or no temporary file, can be made
            result, fault = None, f"the evaluation cannot be started: {error.strerror or error}"
        seconds = time.monotonic() - began
        if result is None:
            return Evaluation(seconds, None, fault)
        return Evaluation(seconds, result, reason=why_failed(result))

    def _measured(self, adapter: Path) -> tuple[dict[str, Any] | None, str]:
        """The result, or why there is none."""
        with tempfile.TemporaryDirectory(prefix="sway-watch-", ignore_cleanup_errors=True) as folder:
            file, log = Path(folder) / "result.json", Path(folder) / "errors.txt"
            status = self._run(adapter, file, log)
            try:
                return json.loads(file.read_bytes()), ""
            except (FileNotFoundError, ValueError, RecursionError):
                return None, _fault(status, log)

    def _run(self, adapter: Path, file: Path, log: Path) -> int:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        if self.key:
            environment["SWAY_SERVE_KEY"] = self.key
        with log.open("wb") as errors:
            process = subprocess.Popen(  # noqa: S603 - this package
                [sys.executable, "-m", "pytest_sway", *self._arguments(adapter, file)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,  # Ctrl-C is for the watch, which then ends it
            )
            try:
                return process.wait()
            except BaseException:
                end_session(process, _END_S)
                raise

    def _arguments(self, adapter: Path, file: Path) -> list[str]:
        if self.spec is None:
            return ["check", str(adapter), "--json", str(file), "--quiet", *self.check_options]
        command = ["run", str(self.spec), "--adapter", str(adapter), "--json", str(file), "--quiet"]
        return [*command, "--", f"--sway-server={self.server}"] if self.server else command


def why_failed(result: Mapping[str, Any]) -> str:
    """Why an adapter failed: its gate did, a probe did, or ``sway check`` found it bad; else empty."""
    if (check := result.get("check")) is not None:
        return str(check["title"]) if check["level"] == "bad" else ""
    probes = result["probes"]
    failed = [probe["name"] for probe in probes if probe["verdict"] in ("fail", "error")]
    gate, overall = result["gate"], result["score"]["overall"]
    below = gate["threshold"] is not None and overall < gate["threshold"]
    reasons = [f"failed: {shorten_list(failed)}"] if failed else []
    reasons += [f"composite below {gate['threshold']:g}"] if below else []
    is_failed = gate["status"] == "failed" or any(probe["verdict"] == "fail" for probe in probes)
    return ("; ".join(reasons) or "the gate failed") if is_failed else ""


def _fault(status: int, log: Path) -> str:
    """What the command said last, else how it ended."""
    text = log.read_bytes()[-_LONGEST:].decode("utf-8", "replace").strip()
    if status < 0:
        ended = f"the evaluation was terminated by {signal.Signals(-status).name}"
        return (
            f"{ended}; it ran out of memory, or another process killed it"
            if -status == signal.SIGKILL
            else ended
        )
    for prefix in _PREFIXES:
        text = text.removeprefix(prefix)
    return text or f"the evaluation ended with status {status} and wrote no result"
