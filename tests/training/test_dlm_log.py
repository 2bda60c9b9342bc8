"""Training logs: which records are one run, and what is made of damaged files."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sway.training.errors import TrainingDataError
from pytest_sway.training.log_reader import find_log_files, read_logs
from pytest_sway.training.training_run import TrainingRun
from tests.support.dlm_training import complete, log, run, step, write


def read(*files: Path) -> tuple[TrainingRun, ...]:
    return read_logs(files).runs


def test_a_run_as_dlm_writes_it(tmp_path: Path) -> None:
    records = [
        {"type": "banner", "run_id": 4, "plan": {"precision": "fp32"}},
        {"type": "delta", "new": ["a"]},
        step(10, 2.5, val_loss=None),
        step(20, 2.25, val_loss=2.75),
        {"type": "oom", "step": 21},
        complete(4, 3, steps=25),
    ]
    path = log(tmp_path, 4, records)
    (found,) = read(path)
    assert found == TrainingRun(path.name, 4, "sft", (10, 20), (2.5, 2.25), ((20, 2.75),), 3, None, 25)


@pytest.mark.parametrize("name", ["", "logs", "logs/train-000001-20260101T000001.jsonl"])
def test_a_store_a_folder_of_logs_or_one_file(tmp_path: Path, name: str) -> None:
    path = log(tmp_path, 1, run([2.0, 1.0]))
    write(tmp_path / "logs" / "summary.json", [{}])
    assert find_log_files(tmp_path / name) == [path]


def test_a_folder_of_other_names(tmp_path: Path) -> None:
    path = write(tmp_path / "steps.jsonl", run([2.0]))
    assert find_log_files(tmp_path) == [path]
    assert find_log_files(tmp_path / "nowhere") == []


def test_files_are_runs_and_so_are_banners(tmp_path: Path) -> None:
    one = log(tmp_path, 1, run([3.0, 2.0], 1, version=1))
    two = log(tmp_path, 2, [*run([9.0, 8.0], 2), *run([7.0], 3, version=2)])
    found = read(one, two)
    assert [(r.run_id, r.losses, r.adapter_version) for r in found] == [
        (1, (3.0, 2.0), 1),
        (2, (9.0, 8.0), None),
        (3, (7.0,), 2),
    ]


def test_step_numbers_that_start_again_are_another_run(tmp_path: Path) -> None:
    found = read(write(tmp_path / "a.jsonl", [step(n, n) for n in (1, 2, 3, 1, 2, 4)]))
    assert [r.steps for r in found] == [(1, 2, 3), (1, 2, 4)]


def test_a_resumed_checkpoint_replaces_what_came_after_it(tmp_path: Path) -> None:
    inside = [step(n, n, val_loss=n) for n in (1, 2, 3)] + [step(2, 20), step(4, 40)]
    (found,) = read(write(tmp_path / "a.jsonl", inside))
    assert (found.steps, found.losses) == ((1, 2, 4), (1.0, 20.0, 40.0))
    assert found.validation == ((1, 1.0), (2, 2.0))
    first = log(tmp_path, 1, run([5.0, 4.0, 3.0], 7))
    later = log(tmp_path, 2, [{"type": "banner", "run_id": 7}, step(3, 30), step(4, 2), complete(7, 1, 4)])
    (found,) = read(first, later)
    assert (found.steps, found.losses, found.adapter_version) == ((1, 2, 3, 4), (5.0, 4.0, 30.0, 2.0), 1)


def test_an_attempt_that_crashed_is_not_part_of_the_next_one(tmp_path: Path) -> None:
    """dlm gives a run that crashed and the one after it the same id; the second starts at step 1."""
    files = [log(tmp_path, 1, run([9.0] * 30, 5)), log(tmp_path, 2, run([4.0, 3.0], 5, version=1))]
    assert [len(r.steps) for r in read(*files)] == [30, 2]


@pytest.mark.parametrize("method", ["dpo", "orpo"])
def test_a_preference_phase_is_a_run_of_its_own(tmp_path: Path, method: str) -> None:
    start = {"type": f"{method}_phase_start", "reference_adapter_version": 2}
    records = [*run([3.0, 2.0], 1), start, step(1, 0.69), step(2, 0.5), complete(1, 3, 2)]
    sft, phase = read(write(tmp_path / "a.jsonl", records))
    assert (sft.phase, sft.losses, sft.adapter_version) == ("sft", (3.0, 2.0), None)
    assert (phase.phase, phase.losses, phase.adapter_version, phase.reference) == (method, (0.69, 0.5), 3, 2)


def test_what_is_no_finite_loss_is_nan(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    lines = ["NaN", "Infinity", "null", '"oops"', "true", "1" + "0" * 400, "1.5"]
    path.write_text("\n".join(f'{{"type": "step", "step": {i}, "loss": {v}}}' for i, v in enumerate(lines)))
    (found,) = read(path)
    assert [math.isnan(loss) for loss in found.losses] == [True] * 4 + [False, True, False]
    assert found.losses[-1] == 1.5


def test_records_that_say_nothing_are_left_out(tmp_path: Path) -> None:
    others: list[Any] = [
        3,
        None,
        ["step"],
        "Ünïcödé 🜁 \u2028",
        {"type": "eval", "step": 1, "loss": 9},
        {"type": ["step"], "step": 1},
        {"step": 1, "loss": 9},
        {"type": "step", "step": "one", "loss": 9},
        {"type": "step", "step": True, "loss": 9},
        {"type": "step", "step": 1.5, "loss": 9},
        {"type": "step", "loss": 9},
    ]
    (found,) = read(write(tmp_path / "a.jsonl", [*others, step(1, 2.0), step(2.0, 1.0)]))
    assert (found.steps, found.losses) == ((1, 2), (2.0, 1.0))


def test_validation_without_a_training_loss(tmp_path: Path) -> None:
    records = [step(1, 2.0), {"type": "step", "step": 1, "val_loss": 2.5}, step(2, 1.0)]
    (found,) = read(write(tmp_path / "a.jsonl", records))
    assert (found.losses, found.validation) == ((2.0, 1.0), ((1, 2.5),))


@pytest.mark.parametrize("tail", ['{"type": "st', '{"type": "step", "step": 9, "loss": 1.', "\udce2\udc82"])
def test_a_line_that_a_crash_cut_short_is_counted(tmp_path: Path, tail: str) -> None:
    path = write(tmp_path / "a.jsonl", run([3.0, 2.0]))
    path.write_bytes(path.read_bytes() + tail.encode("utf-8", "surrogateescape"))
    logs = read_logs([path])
    assert (logs.unread, logs.files, logs.runs[0].losses) == (1, 1, (3.0, 2.0))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"loss: 3\n{}\n", r"a\.jsonl:1: the first line is not JSON"),
        (b"\n\n{broken\n", r"a\.jsonl:3: the first line is not JSON"),
        ("{}\n".encode("utf-16"), r"a\.jsonl:1: the first line is not UTF-8 text"),
        ('{"é": 1}\n'.encode("latin-1"), r"a\.jsonl:1: the first line is not UTF-8 text"),
        (b"[" * 200_000, r"a\.jsonl:1: the first line is not JSON"),
        (b"1" * 5000, r"a\.jsonl:1: the first line is not JSON"),
    ],
    ids=["text", "later", "utf-16", "latin-1", "deep", "long"],
)
def test_a_file_that_is_no_log_is_one_line(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(TrainingDataError, match=says) as told:
        read(path)
    assert "\n" not in str(told.value)


def test_a_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(json.dumps(r).encode() for r in run([2.0, 1.0])))
    assert read(path)[0].losses == (2.0, 1.0)


def test_an_empty_file_holds_no_run(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.jsonl", [])) == ()


def test_ten_thousand_steps(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [*run(range(10_000))])
    assert len(read(path)[0].steps) == 10_000


records = st.one_of(
    st.builds(lambda n, v: step(n, v), st.integers(-3, 12), st.none() | st.floats(allow_nan=False)),
    st.sampled_from([{"type": "banner", "run_id": 1}, {"type": "dpo_phase_start"}, complete(1, 2, 3), 7, {}]),
)


@settings(max_examples=50)
@given(st.lists(records, max_size=40))
def test_steps_rise_in_every_run(tmp_path_factory: pytest.TempPathFactory, lines: list[Any]) -> None:
    path = write(tmp_path_factory.mktemp("logs") / "a.jsonl", lines)
    found = read(path)
    written = sum(isinstance(r, dict) and r.get("type") == "step" for r in lines)
    assert sum(len(r.steps) for r in found) <= written
    for one in found:
        assert list(one.steps) == sorted(set(one.steps))
        assert len(one.steps) == len(one.losses)


def test_gradient_norms(tmp_path: Path) -> None:
    """Null is none measured; a run that was resumed keeps those of its first steps."""
    first = [step(1, 3.0, grad_norm=1.5), step(2, 4.0, grad_norm=7.0), step(2, 2.5)]
    first.append(step(3, 9.0, grad_norm=8.0))
    again = [step(3, 2.0, grad_norm=math.nan), step(4, 1.5, grad_norm=0.5)]
    banner = {"type": "banner", "run_id": 1}
    files = [log(tmp_path, 1, [banner, *first]), log(tmp_path, 2, [banner, *again])]
    (found,) = read(*files)
    assert found.losses == (3.0, 2.5, 2.0, 1.5)
    assert [None if norm is None else str(norm) for norm in found.gradient_norms] == [
        "1.5",
        None,
        "nan",
        "0.5",
    ]


def test_gradient_norms_of_one_half_of_a_run(tmp_path: Path) -> None:
    banner = {"type": "banner", "run_id": 1}
    with_norms = [banner, step(1, 3.0, grad_norm=1.5), step(2, 2.5, grad_norm=1.25)]
    files = [log(tmp_path, 1, with_norms), log(tmp_path, 2, [banner, step(3, 2.0)])]
    (found,) = read(*files)
    assert found.gradient_norms == (1.5, 1.25, None)
