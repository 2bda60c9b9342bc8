"""Null factors: of the right size, the same everywhere, and nobody's luck is shared."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.backends.hf.lora_factors import product_norm
from pytest_sway.backends.hf.null_weights import draw_null_tensor, draw_null_weights
from pytest_sway.requests import NullSeed, View

SEED = NullSeed("norm_matched", 0, 1000, 0.02)


def factors(rank: int, width: int, out: int, size: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(rank * width + out)
    a = torch.randn(rank, width, generator=generator)
    return a * size, torch.randn(out, rank, generator=generator)


@given(st.integers(1, 9), st.integers(1, 40), st.integers(1, 40), st.floats(1e-3, 1e3))
def test_gram_norm_is_the_products(rank: int, width: int, out: int, size: float) -> None:
    a, b = factors(rank, width, out, size)
    expected = float(torch.linalg.matrix_norm(b.double() @ a.double()))
    assert product_norm(a, b) == pytest.approx(expected, rel=1e-6)


@given(st.integers(1, 9), st.integers(2, 40), st.integers(2, 40), st.floats(1e-3, 1e3))
def test_norm_matched_has_the_real_norm_and_shape(rank: int, width: int, out: int, size: float) -> None:
    a, b = factors(rank, width, out, size)
    new_a, new_b = draw_null_weights(SEED, "digest", "module", (a, b))
    assert (new_a.shape, new_b.shape) == (a.shape, b.shape)
    assert product_norm(new_a, new_b) == pytest.approx(product_norm(a, b), rel=1e-4)


def test_a_zero_update_has_zero_nulls() -> None:
    a, b = factors(4, 8, 8)
    new_a, new_b = draw_null_weights(SEED, "digest", "module", (a, torch.zeros_like(b)))
    assert product_norm(new_a, new_b) == 0.0


@given(st.integers(2, 30), st.integers(2, 30), st.integers(0, 1), st.integers(0, 99))
def test_a_rescaling_of_rows_or_columns_has_nulls_that_rescale_others(
    out: int, width: int, axis: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    base = torch.randn(out, width, generator=generator) + 3.0
    rescaling = torch.randn((1, width) if axis == 0 else (out, 1), generator=generator)
    null = draw_null_tensor(SEED, "digest", "path", rescaling * base, base)
    found = null / base
    assert torch.allclose(found, found.mean(axis, keepdim=True).expand_as(found), atol=1e-3)
    found, expected = (one.flatten().sort().values for one in (found.mean(axis), rescaling))
    assert torch.allclose(found / found.norm(), expected / expected.norm(), atol=1e-3)
    assert float(null.norm()) == pytest.approx(float((rescaling * base).norm()), rel=1e-4)


@pytest.mark.parametrize("shape", [(7,), (5, 6), (3, 4, 5)])
def test_a_changed_tensor_has_nulls_of_its_size(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(1)
    update, base = torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)
    for start in (base, torch.zeros(shape)):
        null = draw_null_tensor(SEED, "digest", "path", update, start)
        assert null.shape == update.shape
        assert float(null.norm()) == pytest.approx(float(update.norm()), rel=1e-5)
        assert not torch.allclose(null, update)


def test_gaussian_has_its_scale_whatever_the_adapter() -> None:
    a, b = factors(16, 400, 400, size=50.0)
    new_a, new_b = draw_null_weights(NullSeed("gaussian", 0, 0, 0.02), "d", "m", (a, b))
    assert float(new_a.std()) == pytest.approx(0.02, rel=0.05)
    assert float(new_b.std()) == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize(
    "other",
    [
        (NullSeed("norm_matched", 1, 1000, 0.02), "digest", "module"),
        (NullSeed("norm_matched", 0, 1001, 0.02), "digest", "module"),
        (SEED, "another", "module"),
        (SEED, "digest", "other"),
    ],
)
def test_draw_seed_subject_and_module_each_make_another_null(other: tuple[NullSeed, str, str]) -> None:
    a, b = factors(4, 8, 8)
    assert not torch.equal(
        draw_null_weights(SEED, "digest", "module", (a, b))[0], draw_null_weights(*other, (a, b))[0]
    )


SCRIPT = """
import torch
from pytest_sway.backends.hf.null_weights import draw_null_weights
from pytest_sway.requests import NullSeed
a, b = torch.ones(2, 3), torch.ones(3, 2)
made = draw_null_weights(NullSeed("norm_matched", 3, 7, 0.02), "abc", "q_proj", (a, b))
print([v.hex() for t in made for v in t.double().flatten().tolist()])
"""


@pytest.mark.slow
def test_another_process_draws_the_same() -> None:
    runs = {
        subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    assert len(runs) == 1
    assert "0x" in runs.pop()


def test_a_scaled_null_is_another_view() -> None:
    null = View("b", "a", SEED)
    assert null.scaled(0.5).scale == 0.5
    assert null.scaled(0.5) != null
    assert [v.label() for v in (View("b"), View("b", "a"), null, null.scaled(0.5))] == [
        "base", "ft", "null_0", "null_0@scaled_0.5"
    ]  # fmt: skip
