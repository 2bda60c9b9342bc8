"""From the raw figures of a scenario to its rows: best of the repetitions, floors, bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import Any

import figures as fig
import inputs
from figures import GB, Row, shown

SCORES_MANY = 2000
"""The bar on forwards holds for calls that score as many real tokens."""
NOT_AVAILABLE = "not available"


def rows(scenario: str, raw: dict[str, Any], model: dict[str, Any]) -> list[Row]:
    """The rows of one scenario; those that only compare the sides need both."""
    if scenario == "e":
        return _startup(raw)
    made = {"a": _short, "b": _mixed, "c": _nulls, "d": _fleet}[scenario](raw, model)
    if not raw["rival_missing"]:
        return made
    return [replace(row, rival=NOT_AVAILABLE) for row in made if row.ours]


def _short(raw: dict[str, Any], model: dict[str, Any]) -> list[Row]:
    items = inputs.short_prompts(model["vocabulary"])
    work = inputs.total(items).times(2)
    ours, rival = fig.fastest(raw["ours"]), fig.fastest(raw["rival"])
    floors = _floors(work, raw, model)
    faster = fig.ratio(rival, ours)
    bar = fig.at_least(5, "≥ 5× rival")
    rate, rival_rate = fig.ratio(len(items), ours), fig.ratio(len(items), rival)
    exact = raw["rival"][0]["exact_divergences"] if raw["rival"] else []
    apart = fig.largest_difference(raw["ours"][0]["divergences"][: len(exact)], exact)
    return [
        Row(
            "a: 64 short prompts",
            f"prompts/s ({work.shared} tokens, base and tuned)",
            shown(rate),
            shown(rival_rate),
            shown(fig.ratio(len(items), floors["floor_s"])),
            shown(faster, "{:.2f}× rival"),
            bar.text,
            bar.verdict(faster),
        ),
        Row(
            "",
            f"largest difference of divergences, nats (full vocabulary, {len(exact)} prompts, untimed; "
            "the rival's own are of its top-k)",
            compared=shown(apart, "{:.1e}"),
        ),
    ]


def _mixed(raw: dict[str, Any], model: dict[str, Any]) -> list[Row]:
    work = inputs.total(inputs.mixed(model["vocabulary"])).times(2)
    ours, rival = fig.fastest(raw["ours"]), fig.fastest(raw["rival"])
    forward = fig.fastest(raw["ours"], "forward_s")
    floors = _floors(work, raw, model)
    faster, over = fig.ratio(rival, ours), fig.ratio(forward, floors["floor_s"])
    speed_bar = fig.at_least(2, "≥ 2× rival")
    forward_bar = fig.at_most(1.3, f"≤ 1.3× floor (from {SCORES_MANY} tokens)")
    judged = over if work.shared >= SCORES_MANY else None
    one = raw["ours"][0]
    theirs = raw["rival"][0]["logprobs"] if raw["rival"] else []
    apart = fig.largest_difference(one["logprobs"], theirs)
    per_token = fig.largest_difference(
        _per_token(one["logprobs"], one["logprob_tokens"]),
        _per_token(theirs, one["logprob_tokens"]) if theirs else [],
    )
    return [
        Row(
            "b: mixed suite, long prose",
            f"seconds ({work.shared} tokens, prompts shared; {work.unshared} unshared)",
            shown(ours),
            shown(rival),
            shown(floors["floor_s"]),
            shown(faster, "{:.2f}× rival"),
            speed_bar.text,
            speed_bar.verdict(faster),
        ),
        Row(
            "",
            f"forward seconds ({one['stats']['tokens']:.0f} tokens, "
            f"{one['stats']['padding_tokens']:.0f} of padding)",
            shown(forward),
            "",
            f"{floors['floor_s']:.2f} (head on scored positions alone: {floors['scored_floor_s']:.2f})",
            shown(over, "{:.2f}× floor"),
            forward_bar.text,
            forward_bar.verdict(judged),
        ),
        _memory(raw, model),
        Row(
            "",
            "largest difference of log-probabilities, nats (sum of a text; per token)",
            compared="; ".join(shown(value, "{:.1e}") for value in (apart, per_token) if value is not None),
        ),
    ]


def _memory(raw: dict[str, Any], model: dict[str, Any]) -> Row:
    weights = model["weight_bytes"] + model["adapter_bytes"]
    bar = fig.below(1.0, "< weights + 1 GB")

    def above(side: str) -> float | None:
        peak = fig.largest(raw[side], "peak_end")
        return None if peak is None else (peak - weights) / GB

    def told(side: str) -> str:
        imported = fig.largest(raw[side], "peak_imported")
        if imported is None:
            return ""
        return f"{above(side):.2f} (libraries {imported / GB:.2f})"

    text = f"peak memory above the weights ({weights / GB:.2f}), GB; libraries included"
    verdict = bar.verdict(above("ours"))
    return Row("", text, told("ours"), told("rival"), bar=bar.text, verdict=verdict)


def _nulls(raw: dict[str, Any], model: dict[str, Any]) -> list[Row]:
    made = []
    for count in inputs.NULL_COUNTS:
        prompts = inputs.null_prompts(model["vocabulary"], count)
        work = inputs.total(prompts).times(1 + count)
        ours, rival = (
            fig.ratio(fig.fastest([result["nulls"][str(count)] for result in raw[side]]), count)
            for side in ("ours", "rival")
        )
        made.append(
            Row(
                f"c: {count} nulls",
                f"seconds a null ({len(prompts)} prompts, {work.shared} tokens with the base's)",
                shown(ours, "{:.3f}"),
                shown(rival, "{:.3f}"),
                shown(_floors(work, raw, model)["floor_s"] / count, "{:.3f}"),
                shown(fig.ratio(rival, ours), "{:.2f}× rival"),
            )
        )
    bar = fig.at_most(0.1, "≤ 0.1 s")
    making = fig.fastest(raw["ours"], "make_s")
    text = "seconds to make a null (the rival's: to enter and leave its view)"
    theirs = shown(fig.fastest(raw["rival"], "make_s"), "{:.3f}")
    return [
        *made,
        Row("", text, shown(making, "{:.3f}"), theirs, bar=bar.text, verdict=bar.verdict(making)),
    ]


def _fleet(raw: dict[str, Any], model: dict[str, Any]) -> list[Row]:
    bar = fig.at_most(1.15, "≤ 1.15")
    size = len(model["adapters"])
    load, fleet = (min(float(run["wall_s"]) for run in raw[name]) for name in ("load", "fleet"))
    own = {key: _own(raw["singles"], key) for key in ("scoring_wall_s", "duration_s")}
    singles = min(sum(run["wall_s"] for run in runs) for runs in raw["singles"])
    quotients = {key: fleet / (load + seconds) for key, seconds in own.items()}
    rival = min((sum(run["wall_s"] for run in runs) for runs in raw["rival"]), default=None)
    runs = raw["rival_runs"]
    scaled = None if rival is None else rival * size / runs
    note = "" if runs == size else f" ({runs} runs, scaled to {size})"
    work = inputs.total(inputs.fleet_prompts(model["vocabulary"])).times(1 + size)
    floor = _floors(work, raw, model)["floor_s"]
    return [
        Row(
            f"d: fleet of {size} adapters",
            "seconds, start to exit (the rival's: one run of its CLI an adapter)",
            shown(fleet),
            shown(scaled) + (note if scaled is not None else ""),
            shown(floor),
            shown(fig.ratio(scaled, fleet), "{:.2f}× rival"),
        ),
        Row(
            "",
            f"fleet ÷ (load {load:.2f} s + own scoring {own['scoring_wall_s']:.2f} s)",
            shown(quotients["scoring_wall_s"]),
            compared=f"{quotients['duration_s']:.2f} with the probes' wall time; "
            f"{singles:.2f} s in {size} single runs",
            bar=bar.text,
            verdict=bar.verdict(quotients["scoring_wall_s"]),
        ),
        Row("", "largest difference of raw, fleet to single run", f"{_moved(raw):.1e}"),
    ]


def _startup(raw: dict[str, Any]) -> list[Row]:
    middle, low, high = (1000 * value for value in fig.paired(raw["with_s"], raw["without_s"]))
    start_bar, collect_bar = fig.at_most(15, "≤ 15 ms"), fig.at_most(2, "≤ 2 s")
    none_bar = fig.at_most(0, "none")
    heavy = [name for name in raw["modules_with"] if name not in raw["modules_without"]]
    torch = [name for name in raw["modules_collecting"] if name == "torch"]
    collect = median(raw["collect_s"])
    return [
        Row(
            "e: start-up without a spec",
            f"ms that the plugin adds to pytest -q (median of {len(raw['with_s'])} pairs; quartiles)",
            f"{middle:.1f} ({low:.1f} to {high:.1f})",
            bar=start_bar.text,
            verdict=start_bar.verdict(middle),
        ),
        Row(
            "",
            "heavy modules imported by the end",
            ", ".join(heavy) or "none",
            bar=none_bar.text,
            verdict=none_bar.verdict(len(heavy)),
        ),
        Row(
            "e: 1,000 probes",
            "seconds of pytest --collect-only -q (median of 3)",
            shown(collect),
            bar=collect_bar.text,
            verdict=collect_bar.verdict(collect),
        ),
        Row(
            "",
            "torch imported while collecting",
            "yes" if torch else "no",
            bar="no",
            verdict=none_bar.verdict(len(torch)),
        ),
    ]


def _floors(work: inputs.Tokens, raw: dict[str, Any], model: dict[str, Any]) -> dict[str, float]:
    flops = max(raw["matrix_flops"])
    parameters, head = model["parameters"], model["head_parameters"]
    return {
        "floor_s": fig.floor_seconds(work.shared, parameters, flops),
        "scored_floor_s": fig.scored_floor_seconds(work.shared, work.scored, parameters, head, flops),
    }


def _own(repeats: Sequence[Sequence[dict[str, Any]]], key: str) -> float:
    """The smallest, over repetitions, of the sum over single-adapter runs."""
    return min(sum(figures[key] for run in runs for figures in run["suites"].values()) for runs in repeats)


def _moved(raw: dict[str, Any]) -> float:
    """How far an adapter's number in the fleet is from its number alone."""
    fleet = raw["fleet"][0]["suites"]
    alone = [pair for run in raw["singles"][0] for pair in run["suites"].items()]
    return max(abs(fleet[name]["raw"] - figures["raw"]) for name, figures in alone)


def _per_token(sums: Sequence[float], tokens: Sequence[int]) -> list[float]:
    return [value / count for value, count in zip(sums, tokens, strict=True)]
