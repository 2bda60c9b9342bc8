"""The head in blocks gives the numbers of the plain one, and is used where it is meant to be."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from pytest_sway.backends.hf.blocked_head import BLOCK, BlockedLinear, use_blocked_head

ROWS = 8 * BLOCK + 300


def head_of(bias: bool = False) -> tuple[torch.nn.Linear, BlockedLinear]:
    torch.manual_seed(0)
    plain = torch.nn.Linear(48, ROWS, bias=bias)
    blocked = copy.deepcopy(plain)
    blocked.__class__ = BlockedLinear
    return plain, blocked  # type: ignore[return-value]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(1, 48), (1, 17, 48), (3, 5, 48)])
def test_the_same_numbers(bias: bool, shape: tuple[int, ...]) -> None:
    plain, blocked = head_of(bias)
    states = torch.randn(shape)
    with torch.inference_mode():
        torch.testing.assert_close(blocked(states), plain(states), rtol=0, atol=1e-5)
        assert blocked(states).shape == (*shape[:-1], ROWS)


def test_a_large_result_is_computed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, blocked = head_of()
    states = torch.randn(4, 48)
    monkeypatch.setattr(torch, "mm", None)
    monkeypatch.setattr("pytest_sway.backends.hf.blocked_head._MOST_BYTES", 4 * 4 * ROWS - 1)
    with torch.inference_mode():
        torch.testing.assert_close(blocked(states), plain(states))


def test_gradients_flow_as_in_a_plain_layer() -> None:
    plain, blocked = head_of()
    states = torch.randn(3, 48)
    for head in (plain, blocked):
        head(states).square().sum().backward()
    torch.testing.assert_close(blocked.weight.grad, plain.weight.grad)


def model(vocabulary: int, dtype: torch.dtype = torch.float32) -> Any:
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    return LlamaForCausalLM(config).to(dtype).eval()


@pytest.mark.parametrize(
    ("made", "blocked"),
    [(model(ROWS), True), (model(512), False), (model(ROWS, torch.bfloat16), False)],
    ids=["large", "small", "bf16"],
)
def test_heads_of_many_rows_in_fp32_compute_in_blocks(made: Any, blocked: bool) -> None:
    use_blocked_head(made)
    assert isinstance(made.lm_head, BlockedLinear) is blocked
    assert isinstance(copy.deepcopy(made).lm_head, BlockedLinear) is blocked
