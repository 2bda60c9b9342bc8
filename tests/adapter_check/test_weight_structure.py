"""Structure of weights: random numbers of any distribution have none, whatever was trained has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch_file

from pytest_sway.adapter_check.weight_structure import WeightStructure, weight_structure
from pytest_sway.safetensors_header import HeaderError
from tests.known_adapters.expected_verdicts import CONDITIONS, adapter_folders

KEY = "lora_B.weight"
RANDOM = {"random", "random_small"}


def adapter(folder: Path, *factors: np.ndarray, name: str = "adapter_model", key: str = KEY) -> Path:
    folder.mkdir(exist_ok=True)
    save_file({f"m.{k}.{key}": factor for k, factor in enumerate(factors)}, folder / f"{name}.safetensors")
    return folder


def noise(seed: int, shape: tuple[int, int] = (64, 8)) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def structure(folder: Path) -> WeightStructure:
    found = weight_structure(folder)
    assert found is not None
    return found


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(["normal", "uniform", "standard_t", "exponential"]),
    shape=st.sampled_from([(64, 8), (8, 64), (300, 4), (40, 2)]),
)
def test_random_numbers_are_never_called_trained(
    tmp_path: Path, seed: int, kind: str, shape: tuple[int, int]
) -> None:
    generator = np.random.default_rng(seed)
    draw = getattr(generator, kind)
    parameters = (3,) if kind == "standard_t" else ()
    factors = [draw(*parameters, size=shape).astype(np.float32) for _ in range(4)]
    assert not structure(adapter(tmp_path, *factors)).is_trained


def test_a_direction_in_the_noise_is_structure(tmp_path: Path) -> None:
    direction = np.outer(noise(9, (64, 1)), noise(8, (8, 1)))
    found = structure(adapter(tmp_path, *(noise(k) + direction for k in range(4))))
    assert found.is_trained
    assert found.share > found.shuffled + 0.1


def test_the_known_adapters() -> None:
    found = {name: weight_structure(folder) for name, folder in adapter_folders().items()}
    assert set(found) == set(CONDITIONS)
    assert {name for name, one in found.items() if one is not None and not one.is_trained} == RANDOM
    assert {name for name, one in found.items() if one is None} == {"inert"}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_type_of_the_numbers_does_not_matter(tmp_path: Path, dtype: torch.dtype) -> None:
    trained = noise(1) + 3 * np.outer(noise(9, (64, 1)), noise(8, (8, 1)))
    expected = structure(adapter(tmp_path / "a", trained))
    folder = adapter(tmp_path / "b", trained)
    save_torch_file({f"m.{KEY}": torch.tensor(trained).to(dtype)}, folder / "adapter_model.safetensors")
    found = structure(folder)
    assert found.share == pytest.approx(expected.share, rel=1e-2)


def test_factors_of_mlx_lm_are_read(tmp_path: Path) -> None:
    assert weight_structure(adapter(tmp_path, noise(1), name="adapters", key="lora_b")) is not None


@pytest.mark.parametrize(
    "factors",
    [[np.zeros((8, 4), np.float32)], [noise(1, (64, 1))], [], [np.full((8, 4), np.nan, np.float32)]],
)
def test_nothing_to_shuffle(tmp_path: Path, factors: list[np.ndarray]) -> None:
    assert weight_structure(adapter(tmp_path, *factors)) is None
    assert weight_structure(tmp_path / "none") is None


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    file = adapter(tmp_path, noise(1)) / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(HeaderError, match="is cut off"):
        weight_structure(tmp_path)
