"""training_state.pt: what is read of it, and that nothing in it is run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.torch_version import TorchVersion

from pytest_sway.training.errors import TrainingDataError
from pytest_sway.training.optimizer_state import MomentSummary, read_state
from tests.support.dlm_training import save, seal


def adam(*values: torch.Tensor | None, step: int = 60, **group: Any) -> dict[str, Any]:
    """An AdamW state with the given second moments; None is a parameter that never had a gradient."""
    state = {
        i: {"step": torch.tensor(float(step)), "exp_avg": v, "exp_avg_sq": v}
        for i, v in enumerate(values)
        if v is not None
    }
    return {
        "state": state,
        "param_groups": [{"betas": (0.9, 0.999), "params": list(range(len(values))), **group}],
    }


def test_what_is_read(tmp_path: Path) -> None:
    values = torch.tensor([[1.0, 3.0], [float("nan"), float("inf")]])
    state = read_state(save(tmp_path, adam(values, None, torch.zeros(3), initial_lr=0.5), global_step=77))
    assert (state.global_step, state.epoch, state.best_val_loss, state.use_qlora) == (77, 3.0, 1.25, False)
    assert state.moments == (
        MomentSummary((2, 2), 2.0, 2, 4, 60),
        MomentSummary(),
        MomentSummary((3,), 0.0, 0, 3, 60),
    )
    assert [moment.dead for moment in state.moments] == [False, True, True]
    assert (state.optimizer_steps, state.groups, state.adam, state.learning_rate) == (60, 1, True, 0.5)


def test_parameters_stand_in_the_order_of_the_groups(tmp_path: Path) -> None:
    optimizer = adam(torch.ones(1), torch.ones(2), torch.ones(3))
    optimizer["param_groups"] = [{"params": [2]}, {"params": []}, {"params": [0, 1]}]
    state = read_state(save(tmp_path, optimizer))
    assert [moment.shape for moment in state.moments] == [(3,), (1,), (2,)]
    assert state.groups == 2


def test_sgd_has_no_second_moment(tmp_path: Path) -> None:
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([parameter], lr=0.1, momentum=0.9)
    parameter.grad = torch.ones(3)
    optimizer.step()
    state = read_state(save(tmp_path, optimizer.state_dict()))
    assert not state.adam
    assert state.optimizer_steps is None


def test_the_sha256_is_compared(tmp_path: Path) -> None:
    path = save(tmp_path, adam(torch.ones(1)))
    seal(path)
    assert read_state(path).global_step == 60
    save(tmp_path, adam(torch.ones(1)), global_step=61)
    with pytest.raises(TrainingDataError, match=r"does not match .*\.pt\.sha256: its SHA-256 is"):
        read_state(path)
    (tmp_path / "training_state.pt.sha256").write_text("")
    with pytest.raises(TrainingDataError, match="does not match"):
        read_state(path)


class Malice:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_a_torch_whose_weights_only_runs_code_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "optimizer.pt"
    torch.save(adam(torch.ones(1)), path)
    monkeypatch.setattr(torch, "__version__", TorchVersion("2.5.1+cu124"))
    with pytest.raises(TrainingDataError, match=r"torch 2\.5\.1.*CVE-2025-32434.*torch 2\.6 or later"):
        read_state(path)
    for version in ("2.10.0", "2.6.0a0+ecf3bae40a.nv25.01"):
        monkeypatch.setattr(torch, "__version__", TorchVersion(version))
        read_state(path)


@pytest.mark.parametrize("how", ["torch", "legacy", "pickle"])
def test_a_pickled_object_is_refused_and_not_run(tmp_path: Path, how: str) -> None:
    path, proof = tmp_path / "training_state.pt", tmp_path / "proof"
    payload = {"optimizer_state_dict": adam(torch.ones(1)), "global_step": Malice(proof)}
    if how == "pickle":
        path.write_bytes(pickle.dumps(payload["global_step"]))
    else:
        torch.save(payload, path, _use_new_zipfile_serialization=how == "torch")
    seal(path)  # whoever changed it wrote its hash too
    with pytest.raises(TrainingDataError) as told:
        read_state(path)
    assert not proof.exists()
    assert "mkdir, which is executable code; save only" in str(told.value) or how == "pickle"
    assert "\n" not in str(told.value)
    assert "weights_only" not in str(told.value), "the advice to open it unsafely is not passed on"


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04rest", b"\x80\x02}q\x00.", b"no state \xff\xfe", "🜁".encode()], ids=repr
)
def test_another_file_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "training_state.pt"
    path.write_bytes(content)
    with pytest.raises(TrainingDataError, match=r"training_state\.pt ") as told:
        read_state(path)
    assert "\n" not in str(told.value)


def test_a_state_that_was_cut_short(tmp_path: Path) -> None:
    path = save(tmp_path, adam(torch.ones(1000)))
    path.write_bytes(path.read_bytes()[:-700])
    with pytest.raises(TrainingDataError, match="truncated"):
        read_state(path)


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        ([1, 2], "it contains a list"),
        (torch.ones(2), "it contains a Tensor"),
        ({"global_step": 3}, "expected the keys optimizer_state_dict"),
        ({"optimizer_state_dict": 7}, "int"),
        ({"optimizer_state_dict": {"state": {}, "param_groups": [{}]}}, "it has no params"),
        (
            {"optimizer_state_dict": {"state": {0: {"exp_avg_sq": 1.0}}, "param_groups": [{"params": [0]}]}},
            "float",
        ),
        ({"optimizer_state_dict": {}, "global_step": float("nan")}, "NaN"),
    ],
)
def test_no_training_state(tmp_path: Path, payload: Any, says: str) -> None:
    path = tmp_path / "training_state.pt"
    torch.save(payload, path)
    with pytest.raises(TrainingDataError, match=f"is not an optimizer state: .*{says}"):
        read_state(path)


def test_a_tensor_that_claims_more_than_is_stored(tmp_path: Path) -> None:
    """One stored number, seen as 10¹²: reading it would take hours."""
    huge = torch.ones(1).expand(10**6, 10**6)
    with pytest.raises(TrainingDataError, match="larger than its stored data"):
        read_state(save(tmp_path, adam(huge)))
