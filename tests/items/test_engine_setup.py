"""What the command line says to the engine: trace, memory, strict, the cache; and the line that moves."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_sway.items.progress import ProgressLine
from tests.support.fake_models import SPEC
from tests.support.paths import QUICKSTART
from tests.support.saved_results import steady

KEPT = """
from tests.support import fake_models
from pytest_sway.backends.fake import FakeBackend

class Kept(FakeBackend):
    identity = "fake 1"

def pytest_sway_backend(config, model):
    def answer(request):
        with open("asked.txt", "a") as file:
            file.write(repr(request) + "\\n")
        return fake_models.answer(request)
    return Kept(answer)
"""
LONG = """
models:
  base: {{kind: hf, base: {at}/base}}
  ft: {{kind: hf, base: {at}/base, adapter: {at}/adapters/healthy}}
suite:
  - {{name: baseline, kind: null_adapter, runs: 60}}
  - {{name: moved, kind: delta_kl, prompts: [She, We, The harbour, In the morning]}}
"""


def asked(pytester: pytest.Pytester) -> list[str]:
    """What the backend was asked since this was last looked at."""
    path = pytester.path / "asked.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return lines


@pytest.fixture
def kept(project: pytest.Pytester) -> pytest.Pytester:
    """A project on fake models whose answers may be kept on disk."""
    project.makeconftest(KEPT)
    return project


def result(pytester: pytest.Pytester, *options: str) -> dict[str, Any]:
    found = pytester.runpytest("--sway-json=out.json", *options, "sway.yaml")
    assert found.ret == 0
    wire: dict[str, Any] = json.loads((pytester.path / "out.json").read_text())
    return wire


def test_two_runs_write_the_same_but_for_times(kept: pytest.Pytester) -> None:
    cold = result(kept)
    assert asked(kept)
    again = result(kept, "--sway-cache-clear")
    assert asked(kept)
    assert steady(again) == steady(cold)
    warm = result(kept)
    assert not asked(kept)
    costs = frozenset({"backend_stats"})
    assert steady(warm, also=costs) == steady(cold, also=costs)
    assert warm["backend_stats"]["stored_hits"] > 0


def test_nothing_is_kept_where_the_variable_says_so(
    kept: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWAY_DISABLE_NULL_CACHE", "1")
    for _ in range(2):
        result(kept)
        assert asked(kept)
    assert not list(Path(os.environ["SWAY_NULL_CACHE_DIR"]).iterdir())


def test_cache_false_keeps_what_the_nulls_answer_off_the_disk(kept: pytest.Pytester) -> None:
    kept.makefile(".yaml", sway=SPEC.replace("kind: null_adapter}", "kind: null_adapter, cache: false}"))
    result(kept)
    first = asked(kept)
    result(kept)
    assert sorted(asked(kept)) == sorted(line for line in first if "NullSeed" in line)


@pytest.mark.slow
def test_workers_share_what_is_kept(kept: pytest.Pytester) -> None:
    kept.syspathinsert(kept.path)
    alone = result(kept)
    asked(kept)
    costs = frozenset({"backend_stats"})
    assert steady(result(kept, "-n", "2"), also=costs) == steady(alone, also=costs)
    assert not asked(kept)


@pytest.mark.parametrize("workers", ["0", pytest.param("2", marks=pytest.mark.slow)])
def test_the_trace_has_a_line_per_request_and_view(kept: pytest.Pytester, workers: str) -> None:
    kept.syspathinsert(kept.path)
    (kept.path / "trace.jsonl").write_text("what an earlier run left\n")
    result(kept, "--sway-trace=trace.jsonl", "-n", workers)
    lines = [json.loads(line) for line in (kept.path / "trace.jsonl").read_text().splitlines()]
    assert {tuple(line) for line in lines} == {
        ("ts", "probe", "view_id", "prompt_hash", "top_k", "op", "wall_ms", "hit")
    }
    fresh = [line for line in lines if not line["hit"]]
    assert {line["probe"] for line in lines} == {"baseline", "dk", "curve", "talk"}
    assert {"base", "ft", "null_0", "null_7", "ft@scaled_0.5"} <= {line["view_id"] for line in lines}
    assert {line["op"] for line in lines} == {"next_token_dist", "generate"}
    assert all(line["wall_ms"] >= 0 and len(line["prompt_hash"]) == 12 for line in fresh)


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--sway-memory=lots", "--sway-memory=lots: write a size, e.g. 512MiB or 2GB"),
        ("--sway-memory=1KiB", "--sway-memory=1KiB: a batch needs 16MiB or more"),
        ("--sway-trace=sway.yaml/below", "--sway-trace=sway.yaml/below cannot be written"),
    ],
)
def test_a_bad_option_is_reported_before_anything_runs(
    project: pytest.Pytester, option: str, says: str
) -> None:
    found = project.runpytest(option, "sway.yaml")
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    assert says in found.stderr.str()


def test_a_store_that_cannot_be_opened_is_noted(
    kept: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWAY_NULL_CACHE_DIR", str(kept.path / "sway.yaml"))
    (note,) = [note for note in result(kept)["notes"] if "answers" in note]
    assert note.startswith("the answer cache ")


def test_each_suite_of_a_fleet_counts_its_own_costs(project: pytest.Pytester) -> None:
    for name in ("one", "two"):
        folder = project.mkdir(name)
        (folder / "adapter_config.json").write_text("{}")
    spec = SPEC.replace("adapter: adapters/good", "adapter: [one, two]")
    project.makefile(".yaml", sway=spec)
    project.runpytest("--sway-json=out", "sway.yaml").assert_outcomes(passed=8)
    one, two = (json.loads(path.read_text()) for path in sorted((project.path / "out").iterdir()))
    stats = [found["backend_stats"] for found in (one, two)]
    asked = [found["cache_hits"] + found["cache_misses"] for found in stats]
    assert asked[0] == asked[1]
    assert (
        stats[1]["cache_misses"] == stats[0]["cache_misses"] - 5
    )  # the base's continuations are known by then


def test_the_line_waits_refreshes_seldom_and_is_taken_away() -> None:
    written: list[str] = []
    times = iter([0.0, 0.5, 1.2, 1.3, 1.5, 1.6, 9.0, 9.1])
    line = ProgressLine(written.append, lambda: next(times))
    for done in (1, 2, 3, 4, 5, 10):
        line(done, 10)
    assert written == [
        "\x1b7  30% of 10 tokens\x1b[K\x1b8",
        "\x1b7  50% of 10 tokens\x1b[K\x1b8",
        "\x1b7\x1b[K\x1b8",
    ]
    line(1, 1000)
    line(1000, 1000)
    assert len(written) == 3


@pytest.mark.slow
def test_the_line_is_for_terminals_alone(tmp_path: Path) -> None:
    """Real runs, cold: one in a terminal, one in a pipe."""
    (tmp_path / "sway.yaml").write_text(LONG.format(at=QUICKSTART))
    at_once = (
        "from pytest_sway.items import progress\n\nprogress._DELAY_S = 0.0\n"  # however fast the machine is
    )
    (tmp_path / "conftest.py").write_text(at_once)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(tmp_path / "sway.yaml")]
    environment = {**os.environ, "TERM": "xterm", "SWAY_DISABLE_NULL_CACHE": "1"}
    environment.pop("NO_COLOR", None)
    piped = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "2 passed" in piped.stdout
    assert "tokens\x1b" not in piped.stdout + piped.stderr
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, env=environment, stdout=theirs, stderr=theirs, cwd=tmp_path):
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # the other side is closed
                break
            if not part:
                break
            shown += part
    os.close(ours)
    assert "2 passed" in shown.decode()
    assert "% of " in shown.decode()
    assert shown.decode().count("\x1b7") == shown.decode().count("\x1b8")
