"""The daemon under load, killed at random moments, and with many adapters: on a schedule."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import statistics
import threading
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from pytest_sway.client import ServeClient, ServeClientError
from tests.serve.conftest import KEY, Daemon, start
from tests.serve.test_daemon import PATH, small_spec

pytestmark = pytest.mark.nightly
_KILLS, _SWITCHES, _LOAD_S = 20, 1000, 300
_MIB = 1 << 20


def _memory(daemon: Daemon) -> float:
    """MiB of the daemon and its worker."""
    parent = psutil.Process(daemon.process.pid)
    return sum(one.memory_info().rss for one in (parent, *parent.children(recursive=True))) / _MIB


def _fresh(seed: int) -> dict:
    """A suite that no store knows: its null adapters are others."""
    spec = small_spec()
    spec["defaults"] = {"seed": seed}
    return spec


def test_killed_at_random_moments_it_goes_on(tmp_path: Path) -> None:
    moments = random.Random(0)
    for kill in range(_KILLS):
        daemon = start(tmp_path)
        thread = threading.Thread(target=_ask_in_vain, args=(daemon, kill))
        thread.start()
        time.sleep(moments.uniform(0.0, 6.0))
        worker = psutil.Process(daemon.process.pid).children()
        daemon.process.send_signal(signal.SIGKILL)
        daemon.process.wait(10)
        thread.join(30)
        psutil.wait_procs(worker, timeout=30)
        assert not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in worker)
        _check_store(tmp_path / "answers" / "answers-3.sqlite")
    daemon = start(tmp_path)
    found = [json.dumps(daemon.client.run(_fresh(seed), PATH)["score"]) for seed in (0, 0)]
    assert found[0] == found[1]
    daemon.process.terminate()
    daemon.process.wait(40)


def _ask_in_vain(daemon: Daemon, seed: int) -> None:
    try:
        daemon.client.run(_fresh(seed), PATH)
    except ServeClientError:
        return


def _check_store(file: Path) -> None:
    if file.is_file():
        with closing(sqlite3.connect(file)) as base:
            assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_many_adapters_leave_no_memory_behind(daemon: Daemon) -> None:
    sizes = []
    for number in range(_SWITCHES):
        daemon.client.run(small_spec("random" if number % 2 else "healthy"), PATH)
        if number % 50 == 49:
            sizes.append(_memory(daemon))
    print([round(size) for size in sizes])  # noqa: T201 - the figures of the nightly run
    assert statistics.fmean(sizes[-3:]) < 1.05 * statistics.fmean(sizes[1:4])


def test_health_is_answered_while_runs_are_measured(daemon: Daemon) -> None:
    stop, delays, runs, sizes = threading.Event(), list[float](), list[int](), list[float]()

    def measure(first: int) -> None:
        with ServeClient(daemon.url, api_key=KEY) as client:
            seed = first
            while not stop.is_set():
                client.run(_fresh(seed), PATH)
                runs.append(seed)
                seed += 2

    threads = [threading.Thread(target=measure, args=(first,)) for first in (1000, 1001)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + _LOAD_S
    with ServeClient(daemon.url, api_key=KEY) as client:
        while time.monotonic() < end:
            began = time.monotonic()
            client.health()
            delays.append(time.monotonic() - began)
            if len(delays) % 200 == 0:
                sizes.append(_memory(daemon))
            time.sleep(0.02)
    stop.set()
    for thread in threads:
        thread.join(120)
    p95 = statistics.quantiles(delays, n=20)[-1]
    print(f"{len(runs)} runs, {len(delays)} times /health: p95 {1000 * p95:.1f} ms")  # noqa: T201
    print([round(size) for size in sizes])  # noqa: T201
    assert p95 < 0.05
    assert len(set(runs)) == len(runs)
    third = len(sizes) // 3
    assert statistics.fmean(sizes[-third:]) < 1.1 * statistics.fmean(sizes[third : 2 * third])
