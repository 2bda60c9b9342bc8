"""The command that is run where an adapter failed."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pytest_sway.watch.processes import end_session

RESULT_VARIABLE = "SWAY_RESULT_PATH"
"""Environment variable of the command: the result's file."""
_STANDARD_ERROR = 2
_END_S = 3.0


@dataclass(frozen=True)
class OnFail:
    """A command.

    Attributes:
        command: its words; no shell reads them.
        timeout: seconds after which it is ended.
    """

    command: tuple[str, ...]
    timeout: float

    def run(self, result: Path) -> str:
        """Run it and wait for it; how it ended."""
        environment = {**os.environ, RESULT_VARIABLE: str(result.absolute())}
        try:
            with subprocess.Popen(  # noqa: S603 - what the user gave
                self.command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=_STANDARD_ERROR,  # standard output is the watch's own
                stderr=_STANDARD_ERROR,
                start_new_session=True,
            ) as process:
                return self._wait(process)
        except OSError as error:
            return f"could not be started: {error.strerror or error}"

    def _wait(self, process: subprocess.Popen[bytes]) -> str:
        try:
            status = process.wait(self.timeout)
        except subprocess.TimeoutExpired:
            end_session(process, _END_S)
            return f"was terminated after {self.timeout:g} s"
        except BaseException:
            end_session(process, _END_S)
            raise
        return f"ended with status {status}" if status >= 0 else f"was terminated by signal {-status}"
