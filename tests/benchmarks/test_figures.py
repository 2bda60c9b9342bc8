"""The benchmark's arithmetic, on numbers whose results are known."""

from __future__ import annotations

import math

import figures as fig
import inputs
import pytest
import tables

MODEL = {
    "vocabulary": 49152,
    "parameters": 1000,
    "head_parameters": 400,
    "weight_bytes": 1_000_000_000,
    "adapter_bytes": 0,
    "adapters": ["x/adapter-0", "x/adapter-1"],
}


MEASURED = {"matrix_flops": 1.0, "token_s": 2.0, "position_s": 30.0, "pair_s": 0.5}


def test_the_floor_adds_layers_adapter_head_and_attention():
    model = {**MODEL, "adapter_bytes": 4 * 60}
    machine = fig.roofline_of([MEASURED, {**MEASURED, "token_s": 1.0, "pair_s": 9.0}], model)
    assert machine == fig.Roofline(token_s=1.0, position_s=30.0, pair_s=0.5, adapter_share=0.1)
    work = inputs.Tokens(shared=50, unshared=70, scored=10, pairs=400)
    assert machine.seconds(work, 1, 0) == 50 + 300 + 200
    assert machine.seconds(work, 1, 2) == pytest.approx(3 * (50 + 300 + 200) + 2 * 5)


def test_a_shared_prompt_counts_once_and_last_tokens_do_not():
    pair = inputs.Pair("p q r", (" a b", " a b c d"))
    assert pair.tokens == inputs.Tokens(
        shared=3 + 1 + 3, unshared=6 + 1 + 3, scored=6, pairs=(1 + 2 + 3) + 4 + (4 + 5 + 6)
    )
    assert inputs.Passage("a b c").tokens == inputs.Tokens(2, 2, 2, 1 + 2)
    assert inputs.Prompt("a b c").tokens == inputs.Tokens(3, 3, 1, 6)


def test_inputs_are_fixed_and_as_the_scenarios_describe():
    items = inputs.mixed(49152)
    kinds = [type(item).__name__ for item in items]
    assert (kinds.count("Prompt"), kinds.count("Pair"), kinds.count("Passage")) == (32, 24, 12)
    assert kinds != sorted(kinds)
    for item in items:
        if isinstance(item, inputs.Passage):
            assert 200 <= len(item.text.split()) <= 700
        elif isinstance(item, inputs.Pair):
            assert 30 <= len(item.prompt.split()) <= 120
            assert all(c[0] == " " and 20 <= len(c.split()) <= 60 for c in item.completions)
    assert items == inputs.mixed(49152)
    assert all(8 <= p.tokens.shared <= 16 for p in inputs.short_prompts(49152))
    assert not set(inputs.null_prompts(49152, 3)) & set(inputs.null_prompts(49152, 20))


def test_best_time_and_worst_memory_of_the_repetitions_count():
    results = [{"seconds": 3, "peak": 1}, {"seconds": 2, "peak": 5}]
    assert fig.fastest(results) == 2
    assert fig.largest(results, "peak") == 5
    assert fig.fastest([]) is None
    assert fig.ratio(None, 2) is None


def test_pairs_are_compared_within_themselves():
    middle, low, high = fig.paired([10.0, 22.0, 33.0], [9.0, 20.0, 30.0])
    assert (middle, low, high) == (2.0, 1.5, 2.5)


def test_bars_hold_at_their_bound_unless_they_say_below():
    assert fig.at_least(5, "").verdict(5.0) == "met"
    assert fig.at_most(1.15, "").verdict(1.16) == "**missed**"
    assert fig.below(1.0, "").verdict(1.0) == "**missed**"
    assert fig.at_least(5, "").verdict(None) == "—"
    assert fig.at_most(1, "").verdict(math.nan) == "**missed**"


def _mixed_raw(dlm_sway: list[dict]) -> dict:
    ours = {
        "seconds": 2.0,
        "forward_s": 1.5,
        "peak_end": 1_900_000_000,
        "peak_imported": 400_000_000,
        "logprobs": [-10.0, -20.0],
        "logprob_tokens": [2, 4],
        "stats": {"tokens": 1, "padding_tokens": 0},
    }
    return {
        "ours": [ours],
        "dlm_sway": dlm_sway,
        "dlm_sway_missing": "" if dlm_sway else "no",
        "roofline": [MEASURED],
    }


def test_the_mixed_suite_is_compared_with_dlm_sway_and_floor():
    dlm_sway = {"seconds": 5.0, "peak_end": 2e9, "peak_imported": 0, "logprobs": [-10.0, -20.4]}
    speed, forward, memory, apart = tables.rows("b", _mixed_raw([dlm_sway]), MODEL)
    assert (speed.compared, speed.verdict) == ("2.50× dlm-sway", "met")
    floor = fig.roofline_of([MEASURED], MODEL).seconds(inputs.total(inputs.mixed(49152)), 1, 1)
    assert forward.compared == f"{1.5 / floor:.2f}× floor"
    assert (memory.ours, memory.verdict) == ("0.90 (libraries 0.40)", "met")
    assert apart.compared == "4.0e-01; 1.0e-01"


def test_without_dlm_sway_nothing_is_judged_against_it():
    speed, forward, memory = tables.rows("b", _mixed_raw([]), MODEL)
    assert {row.dlm_sway for row in (speed, forward, memory)} == {tables.NOT_AVAILABLE}
    assert (speed.compared, speed.verdict, memory.verdict) == ("", "—", "met")
    assert tables.NOT_AVAILABLE in fig.markdown([speed])


def test_a_machine_whose_speed_changed_was_not_quiet():
    assert fig.was_quiet([100.0, 91.0])
    assert not fig.was_quiet([89.0, 100.0])


def test_a_fleet_is_compared_with_one_load_and_single_runs():
    def single(name: str, raw: float) -> dict:
        return {"wall_s": 9.0, "suites": {name: {"raw": raw, "scoring_wall_s": 2.0, "duration_s": 3.0}}}

    raw = {
        "load": [{"wall_s": 6.0}],
        "fleet": [{"wall_s": 11.0, "suites": {"a": {"raw": 0.5}, "b": {"raw": 0.75}}}],
        "singles": [[single("a", 0.5), single("b", 0.5)]],
        "dlm_sway": [[{"wall_s": 22.0}]],
        "dlm_sway_runs": 1,
        "dlm_sway_missing": "",
        "roofline": [MEASURED],
    }
    whole, quotient, moved = tables.rows("d", raw, MODEL)
    assert (whole.ours, whole.dlm_sway) == ("11.00", "44.00 (1 runs, scaled to 2)")
    assert (quotient.ours, quotient.verdict) == ("1.10", "met")
    assert moved.ours == "2.5e-01"


def test_start_up_is_judged_by_median_and_imported_modules():
    raw = {
        "with_s": [1.020, 1.030],
        "without_s": [1.0, 1.0],
        "collect_s": [1.0, 9.0, 1.5],
        "help_s": [0.2, 0.5, 0.4],
        "modules_with": ["yaml", "numpy"],
        "modules_without": ["yaml"],
        "modules_collecting": ["numpy"],
    }
    start, heavy, collect, torch, command = tables.rows("e", raw, {})
    assert (start.ours, start.verdict) == ("25.0 (22.5 to 27.5)", "**missed**")
    assert (heavy.ours, heavy.verdict) == ("numpy", "**missed**")
    assert (collect.ours, collect.verdict) == ("1.50", "met")
    assert (torch.ours, torch.verdict) == ("no", "met")
    assert (command.ours, command.verdict) == ("0.40", "**missed**")
