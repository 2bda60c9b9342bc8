"""What other work on the machine costs a run: as shipped, and with torch's threads set by hand.

``python benchmarks/busy_machine.py`` runs ``pytest examples/quickstart/sway.yaml`` as whole processes,
without the answer cache: with nothing set (*ours*), and with ``OMP_NUM_THREADS`` and ``OMP_WAIT_POLICY`` set
to each of {1, all cores} × {PASSIVE, ACTIVE}. It does so on an idle machine and beside a made load: one
process per core that multiplies matrices with one thread. The settings take turns, each round beginning
with another one; the figure is the median of a setting's runs, and what counts is the ratio of *ours* to the
best setting.

The machine must be idle otherwise. The load average before each condition is printed, so that a reader sees
whether it was.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from processes import ROOT, BenchError, check_plugin, environment, last_line, ran

from pytest_sway.thread_limits import usable_cores

OURS = "ours (nothing set)"
ALLOWED = {"loaded": 1.3, "idle": 1.05}
"""The largest ratio of ours to the best setting."""
_SPEC = ROOT / "examples" / "quickstart" / "sway.yaml"
_PREFIXES = ("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "PYTEST_")
_BUSY = """\
import os, numpy
a, parent = numpy.ones((512, 512), numpy.float32), os.getppid()
a @ a
print("busy", flush=True)
while os.getppid() == parent:
    a @ a
"""
"""Ends with the process that started it, however that one ends."""
Seconds = dict[str, list[float]]


def settings(cores: int) -> dict[str, dict[str, str]]:
    """What each setting adds to the environment."""
    counts = sorted({1, cores})
    by_hand = {
        f"{count} thread{'s' * (count != 1)}, {policy}": {
            "OMP_NUM_THREADS": str(count),
            "OMP_WAIT_POLICY": policy,
        }
        for count in counts
        for policy in ("PASSIVE", "ACTIVE")
    }
    return {OURS: {}, **by_hand}


def measured(repeats: int, cores: int, spec: Path) -> Seconds:
    """Wall seconds of every setting's runs."""
    arms = list(settings(cores).items())
    seconds: Seconds = {name: [] for name, _ in arms}
    for turn in range(repeats):
        first = turn % len(arms)
        for name, more in [*arms[first:], *arms[:first]]:
            seconds[name].append(_run(spec, more))
            sys.stderr.write(f"  round {turn + 1}: {name}: {seconds[name][-1]:.1f} s\n")
    return seconds


@contextmanager
def made_load(processes: int) -> Iterator[None]:
    """While it lasts, so many processes multiply matrices, each with one thread."""
    env = environment(1, ours=False)
    command = [sys.executable, "-c", _BUSY]
    running = [
        subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for _ in range(processes)
    ]
    try:
        for process in running:
            assert process.stdout is not None
            if process.stdout.readline().strip() != "busy":
                raise BenchError("a process of the made load did not start: is numpy installed?")
        yield
    finally:
        for process in running:
            process.kill()
            process.communicate()


def table(condition: str, seconds: Seconds) -> str:
    """A Markdown table: median and runs of every setting, and the ratio of ours to the best."""
    medians = {name: median(runs) for name, runs in seconds.items()}
    best = min((name for name in medians if name != OURS), key=medians.__getitem__)
    lines = [f"| {condition} | median s | runs, s | ÷ best |", "| --- | ---: | --- | ---: |"]
    for name, runs in seconds.items():
        each = " ".join(f"{run:.1f}" for run in runs)
        lines.append(f"| {name} | {medians[name]:.1f} | {each} | {medians[name] / medians[best]:.2f} |")
    ratio = medians[OURS] / medians[best]
    says = "within" if ratio <= ALLOWED[condition] else "ABOVE"
    lines.append(
        f"\n{condition}: ours ÷ best ({best}) = {ratio:.2f}, {says} the {ALLOWED[condition]} allowed\n"
    )
    return "\n".join(lines)


def _run(spec: Path, more: dict[str, str]) -> float:
    kept = {k: v for k, v in environment(1, ours=True).items() if not k.startswith(_PREFIXES)}
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", folder, spec]
        done = ran(command, {**kept, **more}, cwd=Path(folder))
    if done.code not in (0, 1):  # 1: some verdict is bad, which a spec of the caller's may well have
        raise BenchError(f"pytest {spec} failed: {last_line(done)}")
    return done.seconds


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5, help="runs of each setting (default: 5)")
    parser.add_argument("--only", choices=sorted(ALLOWED), help="measure under this condition alone")
    parser.add_argument("--spec", type=Path, default=_SPEC, help="the spec to run (default: the quickstart)")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the made load
    cores = usable_cores()
    try:
        check_plugin(1)
        for condition in ("loaded", "idle"):
            if asked.only in (None, condition):
                average = os.getloadavg()[0]
                with made_load(cores if condition == "loaded" else 0):
                    seconds = measured(asked.repeats, cores, asked.spec.resolve())
                sys.stdout.write(f"{cores} cores, load average {average:.1f} before\n\n")
                sys.stdout.write(table(condition, seconds) + "\n")
                sys.stdout.flush()
    except BenchError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
