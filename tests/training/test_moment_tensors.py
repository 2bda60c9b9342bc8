"""What real optimizers keep of a parameter: read by the names that they give it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_sway.training.errors import TrainingDataError
from pytest_sway.training.moment_tensors import MOMENTUM, NO_MOMENT, SECOND_MOMENT, read_moment
from pytest_sway.training.optimizer_state import TrainingState, read_state

SHAPES = [(4, 6), (5,)]


def after_steps(make: Any, count: int = 20, grad: float = 1e-3, **options: Any) -> Any:
    """The state_dict of an optimizer after gradients of one size and random signs."""
    parameters = [torch.nn.Parameter(torch.ones(shape)) for shape in SHAPES[: options.pop("parameters", 2)]]
    optimizer = make(parameters, lr=1e-3, **options)
    chance = torch.Generator().manual_seed(0)
    for _ in range(count):
        for parameter in parameters:
            parameter.grad = grad * torch.sign(torch.randn(parameter.shape, generator=chance))
        optimizer.step()
    return optimizer.state_dict()


def read(folder: Path, payload: Any) -> TrainingState:
    path = folder / "optimizer.pt"
    torch.save(payload, path)
    return read_state(path)


@pytest.mark.parametrize(
    ("make", "mean"),
    [
        (torch.optim.Adam, 1e-6 * (1 - 0.999**20)),
        (torch.optim.AdamW, 1e-6 * (1 - 0.999**20)),
        (torch.optim.RMSprop, 1e-6 * (1 - 0.99**20)),
        (torch.optim.Adagrad, 20e-6),
    ],
)
def test_second_moments_of_torch(tmp_path: Path, make: Any, mean: float) -> None:
    """Of gradients of one size, every optimizer's average is known: g²·(1 − β²⁰), or their sum."""
    state = read(tmp_path, after_steps(make))
    assert (state.kept, state.adam, state.optimizer_steps) == (SECOND_MOMENT, True, 20)
    assert [moment.shape for moment in state.moments] == SHAPES
    assert [moment.mean for moment in state.moments] == pytest.approx([mean] * 2, rel=1e-5)


def test_adafactors_factors(tmp_path: Path) -> None:
    from transformers.optimization import Adafactor

    ours = {"scale_parameter": False, "relative_step": False, "warmup_init": False}
    for make, options in ((torch.optim.Adafactor, {}), (Adafactor, ours)):
        state = read(tmp_path, after_steps(make, **options))
        assert (state.kept, state.optimizer_steps) == (SECOND_MOMENT, 20)
        assert [moment.shape for moment in state.moments] == SHAPES
        assert [moment.size for moment in state.moments] == [24, 5]
        assert not any(moment.dead for moment in state.moments)
    dead = read(tmp_path, after_steps(Adafactor, grad=0.0, parameters=1, **ours))
    assert dead.moments[0].dead, "1e-30 is what Adafactor adds to every square"


@pytest.mark.parametrize("shape", [(1, 6), (6, 1), (1, 1)])
def test_factors_of_a_side_of_one(shape: tuple[int, int]) -> None:
    torchs = {"row_var": torch.ones(shape[0], 1), "col_var": torch.ones(1, shape[1])}
    ours = {"exp_avg_sq_row": torch.ones(shape[0]), "exp_avg_sq_col": torch.ones(shape[1])}
    assert read_moment(torchs).shape == read_moment(ours).shape == shape


def test_momenta(tmp_path: Path) -> None:
    sgd = read(tmp_path, after_steps(torch.optim.SGD, momentum=0.9))
    assert (sgd.kept, sgd.adam, sgd.optimizer_steps) == (MOMENTUM, False, None)
    lion = {"state": {0: {"exp_avg": -torch.ones(2, 3)}}, "param_groups": [{"params": [0, 1]}]}
    state = read(tmp_path, lion)
    assert (state.kept, state.moments[0].mean, state.moments[1].dead) == (MOMENTUM, 1.0, True)
    muon = {"state": {0: {"momentum_buffer": torch.ones(2)}, 1: {"exp_avg_sq": torch.ones(2)}}}
    assert read(tmp_path, {**muon, "param_groups": [{"params": [0, 1]}]}).kept == MOMENTUM


def test_plain_sgd_keeps_nothing(tmp_path: Path) -> None:
    state = read(tmp_path, after_steps(torch.optim.SGD))
    assert (state.kept, state.optimizer_steps, state.groups) == (NO_MOMENT, None, 1)
    assert read_moment({"momentum_buffer": None}).kind == NO_MOMENT


def test_schedule_free_counts_for_all_parameters(tmp_path: Path) -> None:
    """Shape of schedulefree 1.4.1: no step per parameter, k in the group."""
    group = {"params": [0], "k": 60, "weight_sum": 0.1, "betas": (0.9, 0.999)}
    state = read(
        tmp_path, {"state": {0: {"z": torch.ones(2), "exp_avg_sq": torch.ones(2)}}, "param_groups": [group]}
    )
    assert (state.kept, state.optimizer_steps) == (SECOND_MOMENT, 60)


def quantised(values: torch.Tensor, block: int, number: str = "2") -> dict[str, torch.Tensor]:
    """An 8-bit state in bitsandbytes' shape (0.50.2): a linear table here, a scale per block."""
    table = torch.linspace(0, 1, 256)
    flat = values.flatten()
    scales = torch.stack([part.max() for part in flat.split(block)])
    indices = (flat / scales.repeat_interleave(block)[: len(flat)] * 255).round().to(torch.uint8)
    return {
        f"state{number}": indices.reshape(values.shape),
        f"absmax{number}": scales,
        f"qmap{number}": table,
    }


@pytest.mark.parametrize("block", [256, 2048])
@pytest.mark.parametrize("wrapped", [True, False])
def test_eight_bits(block: int, wrapped: bool) -> None:
    """Half a step of a table of 256 values is the largest error of one of them."""
    values = torch.rand(70, 60, generator=torch.Generator().manual_seed(0))
    kept: dict[str, Any] = quantised(values, block)
    found = read_moment({"step": 3, "__bnb_optimizer_quant_state__": kept} if wrapped else kept)
    assert (found.kind, found.shape) == (SECOND_MOMENT, (70, 60))
    assert torch.allclose(found.values, values, atol=0.5 / 255 + 1e-6)


def test_eight_bits_without_scales_that_fit(tmp_path: Path) -> None:
    kept = quantised(torch.ones(70, 60), 256)
    kept["absmax2"] = kept["absmax2"][:-1]
    with pytest.raises(TrainingDataError, match="state2 has 4200 values, which do not match the 16 scales"):
        read(tmp_path, {"state": {0: kept}, "param_groups": [{"params": [0]}]})


def test_thirty_two_bits_of_bitsandbytes() -> None:
    found = read_moment({"__bnb_optimizer_quant_state__": {"state1": torch.ones(2), "state2": torch.ones(2)}})
    assert found.kind == SECOND_MOMENT
    assert read_moment({"state1": torch.ones(2)}).kind == MOMENTUM


@pytest.mark.parametrize("name", ["exp_avg_sq_row", "state2", "absmax2", "qmap2", "momentum_buffer"])
def test_tensors_that_claim_more_than_is_stored(name: str) -> None:
    quantised_state = quantised(torch.ones(4, 4), 256) if name.endswith("2") else {}
    others: dict[str, Any] = {**quantised_state, "exp_avg_sq_col": torch.ones(3)}
    huge = torch.ones(1, dtype=torch.uint8 if name == "state2" else None).expand(10**6, 10**6)
    with pytest.raises(ValueError, match=f"{name} is larger than its stored data"):
        read_moment({**others, name: huge})


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (
            {"model": 1, "epoch": 2},
            "the keys optimizer_state_dict, or state and param_groups; found 'model', 'epoch'",
        ),
        ({"state": {}, "param_groups": []}, "its param_groups contain no parameters"),
        ({"state": {}, "param_groups": torch.ones(1).expand(10**7, 10**7)}, "param_groups is of type Tensor"),
        (
            {"state": {}, "param_groups": [{"params": torch.ones(1).expand(10**7)}]},
            "params is of type Tensor",
        ),
        ({"state": {0: 7}, "param_groups": [{"params": [0]}]}, "int"),
        ({"state": {0: {"exp_avg_sq": "x"}}, "param_groups": [{"params": [0]}]}, "str"),
        (
            {"state": {0: {"exp_avg_sq_row": torch.ones(2)}}, "param_groups": [{"params": [0]}]},
            "exp_avg_sq_col",
        ),
        ({"state": {0: {"step": math.nan}}, "param_groups": [{"params": [0]}]}, "NaN"),
    ],
    ids=["keys", "empty", "groups", "params", "number", "text", "half", "step"],
)
def test_what_is_no_optimizers_state(tmp_path: Path, payload: Any, says: str) -> None:
    with pytest.raises(TrainingDataError, match="is not an optimizer state") as raised:
        read(tmp_path, payload)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_compressed_archive_is_not_opened(tmp_path: Path) -> None:
    import zipfile

    plain, packed = tmp_path / "plain.pt", tmp_path / "optimizer.pt"
    torch.save(after_steps(torch.optim.Adam), plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    with pytest.raises(TrainingDataError, match=r"is not a torch\.save file"):
        read_state(packed)
