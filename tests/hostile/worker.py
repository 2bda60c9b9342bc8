"""Runs cases, each in a process of its own that is forked where everything is imported already.

``python -m tests.hostile.worker`` reads lines of a case's id and a folder, and answers each with one of JSON.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.hostile.case import CANARY, MOST_COMPUTING, MOST_IDLE, Case, Outcome
from tests.hostile.effects import watch

_LOOK_S = 0.25
_ADDRESS_SPACE = 4 << 30
"""Bytes that a case may reserve beyond what is reserved: the machine must survive it."""


def main() -> None:
    """Answer until the input ends."""
    from tests.hostile import imports  # noqa: F401 - what a case would import in its seconds
    from tests.hostile.corpus import CASES, CONTROLS

    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    cases = {case.id: case for case in (*CASES, *CONTROLS)}
    for line in sys.stdin:
        name, _, folder = line.rstrip("\n").partition("\t")
        answers.write(json.dumps(asdict(run(cases[name], Path(folder)))) + "\n")
        answers.flush()


def run(case: Case, folder: Path) -> Outcome:
    """What becomes of a case in a process of its own."""
    folder.mkdir(parents=True)
    result = folder.with_name(f"{folder.name}.outcome")
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        _child(case, folder, result)
    fault = _wait(child)
    if fault:
        os.kill(child, signal.SIGKILL)
    _, status, used = os.wait4(child, 0)
    wall = time.monotonic() - began
    if fault:
        return Outcome("hang", fault, used.ru_utime + used.ru_stime, wall)
    if status or not result.exists():
        said = (folder / "output").read_text("utf-8", "replace") if (folder / "output").exists() else ""
        return Outcome("crash", f"status {status}: {said}", used.ru_utime + used.ru_stime, wall)
    found: dict[str, Any] = json.loads(result.read_text("utf-8"))
    if (folder / CANARY).exists():
        found["effects"].append("the payload was executed")
    return Outcome(**{**found, "wall": wall, "effects": tuple(found["effects"])})


def _wait(child: int) -> str:
    """Wait for a process to end; why it was given up, where it was.

    That is where it computes for too long, or sleeps; the machine may do other work, so time alone says
    nothing.
    """
    descriptor = os.pidfd_open(child)
    idle, before = 0.0, -1
    try:
        while not select.select([descriptor], [], [], _LOOK_S)[0]:
            fields = Path(f"/proc/{child}/stat").read_text("utf-8").rpartition(")")[2].split()
            ticks = int(fields[11]) + int(fields[12])
            idle = idle + _LOOK_S if fields[0] == "S" and ticks == before else 0.0
            before = ticks
            if idle > MOST_IDLE or ticks / os.sysconf("SC_CLK_TCK") > MOST_COMPUTING:
                return f"it waits for {idle:g} s, after {ticks / os.sysconf('SC_CLK_TCK'):.1f} s of computing"
    finally:
        os.close(descriptor)
    return ""


def _child(case: Case, folder: Path, result: Path) -> None:
    """Build the input, go through the door, write what became of it, and end."""
    os.chdir(folder)
    sys.path.insert(0, str(folder))  # as python -m does with the working directory
    (folder / "tmp").mkdir()
    tempfile.tempdir = str(folder / "tmp")
    os.environ |= {"TMPDIR": str(folder / "tmp"), "SWAY_NULL_CACHE_DIR": str(folder / "answers")}
    os.environ |= {"HOME": str(folder / "home"), "XDG_CACHE_HOME": str(folder / "home" / "cache")}
    output = os.open(folder / "output", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    case.build(folder)
    effects = watch(folder)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_status("VmSize") + _ADDRESS_SPACE, hard))
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before, began = _status("VmRSS"), time.process_time()
    try:
        answer = case.door(folder)
        end, text = ("refused" if answer.is_refused else "harmless"), answer.text
    except BaseException:
        end, text = "traceback", traceback.format_exc()
    found = list(effects)
    seconds, peak = time.process_time() - began, _status("VmHWM") - before
    sys.stdout.flush()
    sys.stderr.flush()
    said = (folder / "output").read_text("utf-8", "replace")
    outcome = {"end": end, "text": text + said, "seconds": seconds, "peak": peak, "effects": found}
    result.write_text(json.dumps(outcome), "utf-8")
    os._exit(0)


def _status(field: str) -> int:
    """Bytes, as the kernel counts them for this process."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{field}:"))


if __name__ == "__main__":
    main()
