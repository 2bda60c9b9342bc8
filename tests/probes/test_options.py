"""Options of a probe that is written in code: what is wrong with them is one line."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_sway.probes.adapter_revert import AdapterRevert
from pytest_sway.probes.base import OptionsError, Probe
from pytest_sway.probes.delta_kl import DeltaKL
from pytest_sway.probes.null_adapter import NullAdapter


@pytest.mark.parametrize(
    ("probe", "options", "says"),
    [
        (
            DeltaKL,
            {"promtps": ["a"]},
            "DeltaKL: promtps: unknown key 'promtps' (did you mean 'prompts'?); allowed: assert_",
        ),
        (DeltaKL, {}, "DeltaKL: prompts: is required but missing"),
        (DeltaKL, {"prompts": "a"}, "DeltaKL: prompts: found 'a', expected a list"),
        (DeltaKL, {"prompts": [3]}, "DeltaKL: prompts[0]: found 3, expected a string"),
        (DeltaKL, {"prompts": ["a"], "positions": 0}, "DeltaKL: positions: found 0, expected a number ≥ 1"),
        (
            DeltaKL,
            {"prompts": ["a"], "positions": "many", "divergence": "l2"},
            "DeltaKL: divergence: found 'l2', allowed: 'js', 'kl'; positions: found 'many', expected an",
        ),
        (
            AdapterRevert,
            {"cases": [{"prompt": "a", "gold": "b", "paraphrase": ["c"]}]},
            "AdapterRevert: cases[0].paraphrase: unknown key 'paraphrase' (did you mean 'paraphrases'?)",
        ),
        (NullAdapter, {"runs": 0}, "NullAdapter: runs: found 0, expected a number ≥ 1"),
    ],
)
def test_wrong_options_are_one_line(probe: type[Probe[Any]], options: dict[str, Any], says: str) -> None:
    with pytest.raises(OptionsError) as refused:
        probe(**options)
    assert str(refused.value).startswith(says)
    assert "\n" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__
