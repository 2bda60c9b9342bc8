"""Starts the processes that measure: our side, dlm-sway's, the machine's speed, the model's making.

This process starts them one at a time and stays small itself (it imports no torch), because Linux counts
a parent's peak memory as its child's.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from job import Job

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
DLM_SWAY = "dlm-sway"
DLM_SWAY_VERSION = "0.1.0"
_DROPPED = ("PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV")
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class BenchError(Exception):
    """The benchmark cannot go on; the message is one line."""


class Ran(NamedTuple):
    """A finished process: wall seconds from start to end, and what it printed."""

    seconds: float
    code: int
    output: str
    errors: str


@dataclass(frozen=True)
class DlmSway:
    """dlm-sway's interpreter, or why there is none."""

    python: str = ""
    missing: str = ""


def environment(threads: int, *, ours: bool) -> dict[str, str]:
    """Offline, held to the threads, no disk cache, no pytest settings of the caller's."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _DROPPED and not name.startswith(("PYTEST_", "SWAY_"))
    }
    kept |= dict.fromkeys(_THREADS, str(threads))
    kept |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "TOKENIZERS_PARALLELISM": "false"}
    kept |= {"SWAY_DISABLE_NULL_CACHE": "1", "NO_COLOR": "1"}
    return {**kept, "PYTHONPATH": str(ROOT / "src")} if ours else kept


def ran(
    command: Sequence[str | Path], env: Mapping[str, str], *, cwd: Path | None = None, text: str = ""
) -> Ran:
    """Run a command to its end and time it."""
    began = perf_counter()
    try:
        done = subprocess.run(
            list(map(str, command)),
            env=dict(env),
            cwd=cwd,
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise BenchError(f"{command[0]} cannot be run: {error}") from None
    return Ran(perf_counter() - began, done.returncode, done.stdout, done.stderr)


def last_line(found: Ran) -> str:
    """What a process that failed said last."""
    lines = (found.errors.strip() or found.output.strip()).splitlines()
    return lines[-1].strip() if lines else f"exit status {found.code}"


def measured(python: str, script: str, job: Job, *, ours: bool) -> dict[str, Any]:
    """The answer of one side's process to a job, with the process's ``wall_s``."""
    found = ran([python, HERE / script], environment(job.threads, ours=ours), text=json.dumps(asdict(job)))
    return {**answer_of(found, f"{script}, scenario {job.scenario}"), "wall_s": found.seconds}


def made_model(folder: Path, *, small: bool, threads: int) -> dict[str, Any]:
    """Make the model, its tokenizer and its adapters in a process of their own."""
    size = "small" if small else "135m"
    found = ran([sys.executable, HERE / "make_model.py", folder, size], environment(threads, ours=True))
    return answer_of(found, "making the model")


def roofline(model: Path, threads: int, rows: Sequence[int] = ()) -> dict[str, Any]:
    """The machine's best on the parts of a forward (``roofline.py``), in a fresh process.

    Args:
        model: folder of the base model.
        threads: of torch.
        rows: numbers of rows of which the time of a decoding step is measured.
    """
    command = [sys.executable, HERE / "roofline.py", str(threads), model, ",".join(map(str, rows))]
    return answer_of(ran(command, environment(threads, ours=True)), "measuring the machine")


def find_dlm_sway(python: str | None, threads: int) -> DlmSway:
    """The given interpreter, or one in a cache folder where pip installs dlm-sway; or why not."""
    made = DlmSway(_absolute(python)) if python else _installed(threads)
    if made.missing:
        return made
    asks = f"import torch, peft, importlib.metadata as m; print(m.version({DLM_SWAY!r}))"
    try:
        found = ran([made.python, "-c", asks], environment(threads, ours=False))
    except BenchError as error:
        return DlmSway(missing=str(error))
    if found.code:
        return DlmSway(missing=f"{made.python}: {last_line(found)}")
    if found.output.strip() != DLM_SWAY_VERSION:
        return DlmSway(missing=f"{made.python} has {DLM_SWAY} {found.output.strip()}, not {DLM_SWAY_VERSION}")
    return made


def check_plugin(threads: int) -> None:
    """Our plugin must be installed for this interpreter: pytest finds it by its entry point."""
    asks = (
        "import importlib.metadata as m, pytest_sway; "
        "print([e.name for e in m.entry_points(group='pytest11')], pytest_sway.__file__)"
    )
    found = ran([sys.executable, "-c", asks], environment(threads, ours=True))
    if found.code or "'pytest_sway'" not in found.output or str(ROOT) not in found.output:
        raise BenchError(
            f"pytest-sway is not installed for {sys.executable}: pip install -c constraints.txt -e '.[hf]'"
        )


def _absolute(python: str) -> str:
    """A path that holds in any folder; a link to an interpreter stays, since it names the environment."""
    return os.path.abspath(shutil.which(python) or python)  # noqa: PTH100 - Path.resolve follows links


def _installed(threads: int) -> DlmSway:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "pytest-sway-benchmarks" / f"{DLM_SWAY}-{DLM_SWAY_VERSION}"
    python = folder / "bin" / "python"
    done = folder / "installed"
    if done.is_file():
        return DlmSway(str(python))
    try:
        venv.create(folder, with_pip=True, clear=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return DlmSway(missing=f"no virtual environment in {folder}: {error}")
    wanted = f"{DLM_SWAY}[hf]=={DLM_SWAY_VERSION}"
    command = [python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", wanted]
    found = ran(command, environment(threads, ours=False))
    if found.code:
        return DlmSway(missing=f"pip install '{wanted}' failed: {last_line(found)}")
    done.touch()
    return DlmSway(str(python))


def print_table(measure: Callable[[Path], str]) -> int:
    """Print what ``measure`` makes with a folder that is then removed; 2 if the benchmark itself failed."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the process that runs, removes the model
    try:
        with tempfile.TemporaryDirectory(prefix="sway-bench-") as work:
            table = measure(Path(work))
    except BenchError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted\n")
        return 2
    sys.stdout.write(table)
    return 0


def answer_of(found: Ran, what: str) -> dict[str, Any]:
    """The JSON object on the last line that a process printed."""
    if found.code:
        raise BenchError(f"{what}: {last_line(found)}")
    try:
        answer: dict[str, Any] = json.loads(found.output.strip().splitlines()[-1])
    except (ValueError, IndexError):
        raise BenchError(f"{what}: no JSON object on the last line of its output") from None
    return answer
