"""Logs of Trainer, LLaMA-Factory and torchtune: what of them is a step, and what is made of odd ones."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sway.training.errors import TrainingDataError
from pytest_sway.training.log_reader import read_logs
from pytest_sway.training.trainer_log import read_trainer_state
from pytest_sway.training.training_run import TrainingRun
from tests.support.dlm_training import write
from tests.support.trainer_files import factory_log, history, torchtune_log, trainer_state


def only(path: Path) -> TrainingRun:
    (run,) = read_logs([path]).runs
    return run


def test_trainer_state(tmp_path: Path) -> None:
    """Evaluations and the summary at the end are no steps; the length is global_step."""
    records = history(20)
    records.insert(2, {"epoch": 0.1, "eval_loss": 0.9, "eval_runtime": 1.0, "step": 10})
    records.append({"epoch": 0.2, "train_loss": 1.5, "train_runtime": 2.0, "step": 20})
    path = trainer_state(tmp_path, records, global_step=23)
    run = only(path)
    assert run.steps == (5, 10, 15, 20)
    assert run.losses == tuple(record["loss"] for record in history(20))
    assert (run.validation, run.gradient_norms, run.length) == (((10, 0.9),), (1.0,) * 4, 23)
    state = read_trainer_state(path)
    assert (state.global_step, state.epoch, state.logging_steps) == (23, 2.0, 5.0)


def test_llama_factory_log(tmp_path: Path) -> None:
    path = factory_log(tmp_path / "trainer_log.jsonl", [*history(20), {"step": 20, "eval_loss": 0.5}])
    run = only(path)
    assert (run.steps, run.validation, run.gradient_norms) == ((5, 10, 15, 20), ((20, 0.5),), ())


def test_torchtune_log(tmp_path: Path) -> None:
    run = only(torchtune_log(tmp_path / "log_1700000000.txt", [2.0, math.nan, 1.5], grad_norm="tensor(0.5)"))
    assert (run.steps, run.losses[::2], run.gradient_norms) == ((1, 2, 3), (2.0, 1.5), (0.5,) * 3)
    assert math.isnan(run.losses[1])


def test_a_history_that_was_saved_alone(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text(json.dumps(history(20)))
    assert only(tmp_path / "list.json").steps == (5, 10, 15, 20)
    lines = write(tmp_path / "lines.json", history(20))
    assert only(lines).steps == (5, 10, 15, 20)


def test_a_nan_loss_that_trainer_logged_as_zero(tmp_path: Path) -> None:
    """logging_nan_inf_filter: 0.0 beside a gradient norm of NaN; a loss of 0 with a norm is one."""
    records = history(
        20, loss=lambda n: 0.0 if n > 5 else 1.0, grad_norm=lambda n: math.nan if n > 10 else 0.1
    )
    run = only(trainer_state(tmp_path, records))
    assert run.losses[:2] == (1.0, 0.0)
    assert all(math.isnan(loss) for loss in run.losses[2:])
    assert run.replaced == 2


@pytest.mark.parametrize(
    ("loss", "read"),
    [
        ("1.5", 1.5),
        ("nan", math.nan),
        (None, math.nan),
        (math.inf, math.nan),
        (2, 2.0),
        (10**400, math.nan),
        ("oops", None),
        (True, None),
        ([1.5], None),
    ],
    ids=str,
)
def test_kinds_of_losses(tmp_path: Path, loss: Any, read: float | None) -> None:
    logs = read_logs([trainer_state(tmp_path, [{"step": 1, "loss": 3.0}, {"step": "2", "loss": loss}])])
    (run,) = logs.runs
    assert run.losses[1:] == ((pytest.approx(read, nan_ok=True),) if read is not None else ())
    assert logs.unread == (read is None)


def test_a_resume_replaces_and_a_new_start_is_another_run(tmp_path: Path) -> None:
    resumed = [*history(20), *history(30, loss=lambda n: 9.0)[2:]]
    run = only(trainer_state(tmp_path, resumed))
    assert (run.steps, run.losses[2:]) == ((5, 10, 15, 20, 25, 30), (9.0,) * 4)
    path = factory_log(tmp_path / "trainer_log.jsonl", [*history(20), *history(10)])
    assert [run.steps for run in read_logs([path]).runs] == [(5, 10, 15, 20), (5, 10)]


@pytest.mark.parametrize(
    ("values", "phase"),
    [
        ({}, ""),
        ({"rewards/chosen": 0.1, "logps/chosen": -3.0}, "preference"),
        ({"accuracy": 0.5}, "preference"),
        ({"reward": 1.0, "kl": 0.1}, "reward"),
        ({"completions/mean_length": 40.0}, "reward"),
    ],
    ids=str,
)
def test_what_a_run_was_trained_on(tmp_path: Path, values: dict[str, float], phase: str) -> None:
    assert only(trainer_state(tmp_path, history(20, **values))).phase == phase


@pytest.mark.parametrize(
    ("sets", "found"),
    [
        ({"eval_loss": 1.0, "eval_code_loss": 2.0}, ((5, 1.0),)),
        ({"eval_code_loss": 2.0}, ((5, 2.0),)),
        ({"eval_code_loss": 2.0, "eval_prose_loss": 1.0}, ()),
    ],
    ids=["common", "one set", "two sets"],
)
def test_evaluation_sets(tmp_path: Path, sets: dict[str, float], found: Any) -> None:
    assert only(trainer_state(tmp_path, [*history(5), {"step": 5, **sets}])).validation == found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", r"trainer_state\.json:1:1: not valid JSON, or truncated"),
        ('{"log_history": [\n{"loss": 1.0,', r"trainer_state\.json:2:\d+: not valid JSON, or truncated"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' + "1" * 5000 + "}", "not valid JSON"),
        ("7", "contains a value of type int"),
        ('{"global_step": 3}', "found no log_history"),
        ('{"log_history": {"loss": 1}}', "found a log_history of type dict"),
        ('{"train_loss": 1.5, "epoch": 3.0}', "only the summary of a run"),
    ],
    ids=["empty", "cut", "deep", "long", "number", "none", "type", "summary"],
)
def test_a_file_that_is_no_trainer_state(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "trainer_state.json"
    path.write_text(text)
    with pytest.raises(TrainingDataError, match=says) as raised:
        read_logs([path])
    assert "\n" not in str(raised.value)


def test_a_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_sway.training.json_files._LARGEST", 1024 * 1024)
    path = tmp_path / "trainer_state.json"
    path.write_bytes(b" " * (1024 * 1024 + 1))
    with pytest.raises(TrainingDataError, match="has 1 MiB; the limit for training logs is 1 MiB"):
        read_logs([path])


def test_keys_of_a_log_without_a_step_are_named(tmp_path: Path) -> None:
    logs = read_logs([write(tmp_path / "wandb.jsonl", [{"_step": 1, "train/loss": 2.0, "x" * 99: 0}])])
    assert logs.runs == ()
    assert logs.keys[:2] == ("'_step'", "'train/loss'")
    assert max(map(len, logs.keys)) <= 40


def test_a_cut_line_is_counted(tmp_path: Path) -> None:
    path = factory_log(tmp_path / "trainer_log.jsonl", history(20))
    path.write_bytes(path.read_bytes()[:-20])
    logs = read_logs([path])
    assert (logs.unread, logs.runs[0].steps) == (1, (5, 10, 15))
    text = torchtune_log(tmp_path / "log_1.txt", [1.0, 2.0])
    text.write_text(text.read_text() + "Ste")
    assert read_logs([text]).unread == 1


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
values = scalars | st.lists(scalars, max_size=2) | st.dictionaries(st.text(max_size=2), scalars, max_size=2)
keys = st.sampled_from(["step", "current_steps", "loss", "grad_norm", "eval_loss", "eval_a_loss", "reward"])
records = st.lists(st.dictionaries(keys, values, max_size=5) | values, max_size=5)
states = st.fixed_dictionaries({}, optional={"log_history": records | values, "global_step": values})


@settings(max_examples=40, deadline=None)
@given(states | records | values)
def test_json_of_any_shape_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "trainer_state.json"
    path.write_text(json.dumps(value))
    try:
        logs = read_logs([path])
    except TrainingDataError as error:
        assert str(error).startswith(str(path))
        assert "\n" not in str(error)
        return
    for run in logs.runs:
        assert list(run.steps) == sorted(set(run.steps))
        assert len(run.losses) == len(run.steps)
        assert len(run.gradient_norms) in (0, len(run.steps))
