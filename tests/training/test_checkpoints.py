"""Which log and which optimizer state belong to an adapter, in folders as people have them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pytest_sway.training.checkpoints import checkpoint_step, checkpoints
from pytest_sway.training.errors import AmbiguousRunError
from pytest_sway.training.log_discovery import LogSource, find_logs
from pytest_sway.training.optimizer_discovery import find_optimizer
from tests.support.trainer_files import factory_log, history, torchtune_log, trainer_state

TENSORS = {"model.layers.0.q.lora_A.weight": [2, 4]}


def weights(folder: Path, fill: int, tensors: dict[str, list[int]] = TENSORS) -> Path:
    """An adapter's file whose numbers are all the same byte."""
    offsets, end = {}, 0
    for key, shape in tensors.items():
        size = 4 * shape[0] * shape[1]
        offsets[key] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    header = json.dumps(offsets).encode()
    folder.mkdir(parents=True, exist_ok=True)
    content = len(header).to_bytes(8, "little") + header + bytes([fill]) * end
    (folder / "adapter_model.safetensors").write_bytes(content)
    return folder


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A Trainer's output folder: the final adapter is that of checkpoint-200, saved last."""
    for step in (20, 100, 200):
        folder = weights(tmp_path / f"out/checkpoint-{step}", step)
        trainer_state(folder, history(step))
        (folder / "optimizer.pt").write_bytes(b"")
    return weights(tmp_path / "out", 200)


def test_names_of_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["checkpoint-20", "checkpoint-", "checkpoint-٣", "checkpoint-2-best", "global_step20"]
    assert [checkpoint_step(tmp_path / name) for name in names] == [20, None, None, None, None]
    (tmp_path / "checkpoint-7").mkdir()
    monkeypatch.chdir(tmp_path / "checkpoint-7")
    assert checkpoint_step(Path()) == 7


def test_by_weights_first_then_by_step(output: Path) -> None:
    assert [one.step for one in checkpoints(output, output)] == [200, 100, 20]
    shutil.copy(output / "checkpoint-100/adapter_model.safetensors", output)
    assert [one.step for one in checkpoints(output, output)] == [100, 200, 20]
    weights(output / "checkpoint-300", 1, {"other.lora_A.weight": [2, 4]})
    last = checkpoints(output, output)[-1]
    assert (last.step, last.possible) == (300, False)
    (output / "adapter_model.safetensors").unlink()
    assert all(one.possible for one in checkpoints(output, output))


def test_the_checkpoint_that_the_final_adapter_is(output: Path) -> None:
    found = find_logs(output, output, named=False)
    last = output / "checkpoint-200"
    assert found == LogSource(
        (last / "trainer_state.json",), 200, "the checkpoint with the adapter's weights"
    )
    state = find_optimizer(output)
    assert state is not None
    assert (state.path, state.saved_at, state.reason) == (last / "optimizer.pt", 200, found.reason)


def test_load_best_model_at_end(output: Path) -> None:
    """The final adapter is the best checkpoint's, and what came later did not make it."""
    trainer_state(output, history(200))
    shutil.copy(output / "checkpoint-100/adapter_model.safetensors", output)
    found = find_logs(output, output, named=False)
    assert found is not None
    assert found.files == (output / "checkpoint-100/trainer_state.json",)
    (output / "checkpoint-100/trainer_state.json").unlink()
    assert find_logs(output, output, named=False) == LogSource(
        (output / "trainer_state.json",), 100, "up to step 100"
    )


def test_an_adapter_that_is_no_checkpoints(output: Path) -> None:
    """Trained on after the last checkpoint, its own log first; without one, the last checkpoint's."""
    weights(output, 250)
    found = find_logs(output, output, named=False)
    assert found is not None
    assert found.files == (output / "checkpoint-200/trainer_state.json",)
    assert "differ from the adapter's" in found.reason
    own = trainer_state(output, history(250))
    assert find_logs(output, output, named=False) == LogSource((own,))
    trainer_state(output, history(50))
    with pytest.raises(
        AmbiguousRunError, match=r"at step 50, but the same folder contains the later checkpoint-200"
    ):
        find_logs(output, output, named=False)


def test_checkpoints_of_another_adapter_are_not_taken(output: Path) -> None:
    weights(output, 200, {"model.layers.0.v.lora_A.weight": [2, 4]})
    assert find_logs(output, output, named=False) is None
    assert find_optimizer(output) is None


def test_a_checkpoint_as_the_adapter(output: Path) -> None:
    folder = output / "checkpoint-100"
    assert find_logs(folder, folder, named=False) == LogSource((folder / "trainer_state.json",), 100)
    trainer_state(folder, history(200))
    for find in (find_optimizer, lambda place: find_logs(place, place, named=False)):
        with pytest.raises(AmbiguousRunError, match="at step 200, but the folder name says step 100"):
            find(folder)


def test_a_checkpoint_without_a_log_has_its_runs(output: Path) -> None:
    folder = output / "checkpoint-100"
    (folder / "trainer_state.json").unlink()
    assert find_logs(folder, folder, named=False) is None
    log = factory_log(output / "trainer_log.jsonl", history(200))
    assert find_logs(folder, folder, named=False) == LogSource((log,), 100, "up to step 100")
    trainer_state(output, history(50))
    found = find_logs(folder, folder, named=False)
    assert found is not None
    assert found.files == (log,), "a trainer_state.json of 50 steps is of another run"


def test_a_run_folder_that_the_user_names(output: Path, tmp_path: Path) -> None:
    adapter = weights(tmp_path / "elsewhere", 100)
    found = find_logs(output, adapter, named=True)
    assert found is not None
    assert found.files == (output / "checkpoint-100/trainer_state.json",)


def test_torchtune(tmp_path: Path) -> None:
    for epoch in (0, 1):
        weights(tmp_path / f"epoch_{epoch}", epoch)
    logs = [torchtune_log(tmp_path / f"logs/log_170000000{i}.txt", [2.0, 1.0]) for i in range(2)]
    last = find_logs(tmp_path / "epoch_1", tmp_path / "epoch_1", named=False)
    assert last == LogSource((logs[1],), None, "the last of 2 logs found")
    first = find_logs(tmp_path / "epoch_0", tmp_path / "epoch_0", named=False)
    assert first is not None
    assert (
        first.reason
        == "the last of 2 logs found, which covers the whole run, including the steps after epoch_0"
    )


def test_any_jsonl_only_where_it_is_named(tmp_path: Path) -> None:
    log = factory_log(tmp_path / "steps.jsonl", history(20))
    assert find_logs(tmp_path, tmp_path, named=False) is None
    assert find_logs(tmp_path, None, named=True) == LogSource((log,))
    assert find_logs(log, None, named=True) == LogSource((log,))


def test_a_data_set_beside_the_log_is_no_log(output: Path) -> None:
    """``train-*.jsonl`` is also what shards of a data set are called."""
    (output / "train-00000-of-00001.jsonl").write_text('{"text": "a"}\n')
    for named in (True, False):
        found = find_logs(output, output, named=named)
        assert found is not None
        assert found.files[0].name == "trainer_state.json"


def test_the_state_itself_can_be_named(output: Path) -> None:
    found = find_optimizer(output / "checkpoint-100/optimizer.pt")
    assert found is not None
    assert (found.kept, found.trainer is not None, found.reason) == (True, True, "")
    log = find_optimizer(output / "checkpoint-100/trainer_state.json")
    assert log is not None
    assert not log.kept
