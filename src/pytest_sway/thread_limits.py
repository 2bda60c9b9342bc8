"""How many cores this process may use, and how an OpenMP library's threads wait. Standard library only.

torch reads the environment once, when it is imported: what is set after that has no effect.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")
"""Environment variables with which a user says how threads wait."""
_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables with which a user says how many threads torch starts with."""
_CGROUP = Path("/sys/fs/cgroup")
_OF_PROCESS = Path("/proc/self/cgroup")


@contextmanager
def sleeping_waits() -> Iterator[None]:
    """While it lasts, an OpenMP library that is loaded lets its threads sleep while they wait.

    By default they spin. Where other programs use the cores too, a spinning thread takes time that the
    thread it waits for needs. Nothing is set where torch is loaded already or the user said how
    threads wait, and afterwards the environment is as before: other tests and their processes see no change.
    """
    if "torch" in sys.modules or any(name in os.environ for name in _WAITING):
        yield
        return
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    try:
        yield
    finally:
        os.environ.pop("OMP_WAIT_POLICY", None)


def count_is_set(environment: Mapping[str, str]) -> bool:
    """Whether the user said how many threads torch has."""
    return any(environment.get(name) for name in _COUNTS)


def expect_subjects(count: int) -> None:
    """Note how many subjects this session measures: each stays in one worker, so no more workers are busy."""
    _expected["subjects"] = max(1, count)


_expected: dict[str, int] = {}


def core_share(environment: Mapping[str, str], cores: int) -> int:
    """How many of the cores this process may use, at least 1: the busy workers of xdist get equal parts.

    Args:
        environment: of the process; xdist says in it how many workers there are.
        cores: that this process may run on.
    """
    value = environment.get("PYTEST_XDIST_WORKER_COUNT", "")
    workers = int(value) if value.isdecimal() else 1
    return max(1, cores // max(1, min(workers, _expected.get("subjects", workers))))


def usable_cores() -> int:
    """Cores that this process may run on: those it is bound to, within the limits of its control groups."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota(_CGROUP, _OF_PROCESS)
    return bound if quota is None else max(1, min(bound, int(quota)))


def cpu_quota(mount: Path, of_process: Path) -> float | None:
    """Cores' worth of time that control groups grant (version 1 or 2); None where they set no limit.

    Args:
        mount: where control groups are mounted.
        of_process: the file that says which groups this process is in.
    """
    limits = [limit for folder in _groups(mount, of_process) if (limit := _limit(folder)) is not None]
    return min(limits, default=None)


def _groups(mount: Path, of_process: Path) -> Iterator[Path]:
    """The process's groups and those above them; in a container its own group is the mount's root."""
    for line in _text(of_process).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = mount / controllers if controllers else mount
        group = root / name.lstrip("/")
        yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(root))


def _limit(folder: Path) -> float | None:
    """Quota ÷ period of one group, from the file of version 2 or the two of version 1."""
    parts = _text(folder / "cpu.max").split() or [
        *_text(folder / "cpu.cfs_quota_us").split(),
        *_text(folder / "cpu.cfs_period_us").split(),
    ]
    try:
        quota, period = map(float, parts)
    except ValueError:  # "max", or no such file
        return None
    return quota / period if quota > 0 and period > 0 else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
