"""From the raw figures of a scenario to its rows: best of the repetitions, floors, bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import Any

import figures as fig
import inputs
from figures import GB, TableRow, formatted

SCORES_MANY = 2000
"""The bar on forwards holds for calls that score as many real tokens."""
NOT_AVAILABLE = "not available"


def rows(scenario: str, raw: dict[str, Any], model: dict[str, Any]) -> list[TableRow]:
    """The rows of one scenario; those that only compare the sides need both."""
    if scenario == "e":
        return _startup(raw)
    made = {"a": _short, "b": _mixed, "c": _null_rows, "d": _fleet}[scenario](raw, model)
    if not raw["dlm_sway_missing"]:
        return made
    return [replace(row, dlm_sway=NOT_AVAILABLE) for row in made if row.ours]


def _short(raw: dict[str, Any], model: dict[str, Any]) -> list[TableRow]:
    items = inputs.short_prompts(model["vocabulary"])
    work = inputs.total(items)
    ours, dlm_sway = fig.fastest(raw["ours"]), fig.fastest(raw["dlm_sway"])
    floor = fig.roofline_of(raw["roofline"], model).seconds(work, 1, 1)
    faster = fig.ratio(dlm_sway, ours)
    bar = fig.at_least(11, "≥ 11× dlm-sway")
    rate, dlm_sway_rate = fig.ratio(len(items), ours), fig.ratio(len(items), dlm_sway)
    exact = raw["dlm_sway"][0]["exact_divergences"] if raw["dlm_sway"] else []
    apart = fig.largest_difference(raw["ours"][0]["divergences"][: len(exact)], exact)
    return [
        TableRow(
            "a: 64 short prompts",
            f"prompts/s ({2 * work.shared} tokens, base and tuned)",
            formatted(rate),
            formatted(dlm_sway_rate),
            formatted(fig.ratio(len(items), floor)),
            formatted(faster, "{:.2f}× dlm-sway"),
            bar,
            faster,
        ),
        TableRow(
            "",
            f"largest difference of divergences, nats (full vocabulary, {len(exact)} prompts, untimed; "
            "dlm-sway's own are of its top-k)",
            compared=formatted(apart, "{:.1e}"),
        ),
    ]


def _mixed(raw: dict[str, Any], model: dict[str, Any]) -> list[TableRow]:
    work = inputs.total(inputs.mixed(model["vocabulary"]))
    ours, dlm_sway = fig.fastest(raw["ours"]), fig.fastest(raw["dlm_sway"])
    forward = fig.fastest(raw["ours"], "forward_s")
    floor = fig.roofline_of(raw["roofline"], model).seconds(work, 1, 1)
    faster, over = fig.ratio(dlm_sway, ours), fig.ratio(forward, floor)
    speed_bar = fig.at_least(2.5, "≥ 2.5× dlm-sway")
    forward_bar = fig.at_most(1.15, f"≤ 1.15× floor (from {SCORES_MANY} tokens)")
    judged = over if 2 * work.shared >= SCORES_MANY else None
    one = raw["ours"][0]
    theirs = raw["dlm_sway"][0]["logprobs"] if raw["dlm_sway"] else []
    apart = fig.largest_difference(one["logprobs"], theirs)
    per_token = fig.largest_difference(
        _per_token(one["logprobs"], one["logprob_tokens"]),
        _per_token(theirs, one["logprob_tokens"]) if theirs else [],
    )
    return [
        TableRow(
            "b: mixed suite, long prose",
            f"seconds ({2 * work.shared} tokens, prompts shared; {2 * work.unshared} unshared)",
            formatted(ours),
            formatted(dlm_sway),
            formatted(floor),
            formatted(faster, "{:.2f}× dlm-sway"),
            speed_bar,
            faster,
        ),
        TableRow(
            "",
            f"forward seconds ({one['stats']['tokens']:.0f} tokens, "
            f"{one['stats']['padding_tokens']:.0f} of padding)",
            formatted(forward),
            "",
            formatted(floor),
            formatted(over, "{:.2f}× floor"),
            forward_bar,
            judged,
        ),
        _memory(raw, model),
        TableRow(
            "",
            "largest difference of log-probabilities, nats (sum of a text; per token)",
            compared="; ".join(
                formatted(value, "{:.1e}") for value in (apart, per_token) if value is not None
            ),
        ),
    ]


def _memory(raw: dict[str, Any], model: dict[str, Any]) -> TableRow:
    weights = model["weight_bytes"] + model["adapter_bytes"]
    bar = fig.below(1.0, "< weights + 1 GB")

    def above(side: str) -> float | None:
        peak = fig.largest(raw[side], "peak_end")
        return None if peak is None else (peak - weights) / GB

    def modules(side: str) -> str:
        imported = fig.largest(raw[side], "peak_imported")
        if imported is None:
            return ""
        return f"{above(side):.2f} (libraries {imported / GB:.2f})"

    text = f"peak memory above the weights ({weights / GB:.2f}), GB; libraries included"
    return TableRow("", text, modules("ours"), modules("dlm_sway"), bar=bar, value=above("ours"))


def _null_rows(raw: dict[str, Any], model: dict[str, Any]) -> list[TableRow]:
    made = []
    for count in inputs.NULL_COUNTS:
        prompts = inputs.null_prompts(model["vocabulary"], count)
        work = inputs.total(prompts)
        tokens = (1 + count) * work.shared
        floor = fig.roofline_of(raw["roofline"], model).seconds(work, 1, count)
        ours, dlm_sway = (
            fig.ratio(fig.fastest([result["nulls"][str(count)] for result in raw[side]]), count)
            for side in ("ours", "dlm_sway")
        )
        made.append(
            TableRow(
                f"c: {count} nulls",
                f"seconds a null ({len(prompts)} prompts, {tokens} tokens with the base's)",
                formatted(ours, "{:.3f}"),
                formatted(dlm_sway, "{:.3f}"),
                formatted(floor / count, "{:.3f}"),
                formatted(fig.ratio(dlm_sway, ours), "{:.2f}× dlm-sway"),
            )
        )
        upper = fig.ratio(fig.fastest([result["nulls"][str(count)] for result in raw["upper"]]), count)
        text = "… of an adapter on the upper third of the layers"
        made.append(TableRow("", text, formatted(upper, "{:.3f}")))
    bar = fig.at_most(0.1, "≤ 0.1 s")
    making = fig.fastest(raw["ours"], "make_s")
    text = "seconds to make a null (dlm-sway's: to enter and leave its view)"
    theirs = formatted(fig.fastest(raw["dlm_sway"], "make_s"), "{:.3f}")
    return [
        *made,
        TableRow("", text, formatted(making, "{:.3f}"), theirs, bar=bar, value=making),
    ]


def _fleet(raw: dict[str, Any], model: dict[str, Any]) -> list[TableRow]:
    bar = fig.at_most(1.1, "≤ 1.1")
    size = len(model["adapters"])
    load, fleet = (min(float(run["wall_s"]) for run in raw[name]) for name in ("load", "fleet"))
    own = {key: _own(raw["singles"], key) for key in ("scoring_wall_s", "duration_s")}
    singles = min(sum(run["wall_s"] for run in runs) for runs in raw["singles"])
    quotients = {key: fleet / (load + seconds) for key, seconds in own.items()}
    dlm_sway = min((sum(run["wall_s"] for run in runs) for runs in raw["dlm_sway"]), default=None)
    runs = raw["dlm_sway_runs"]
    scaled = None if dlm_sway is None else dlm_sway * size / runs
    note = "" if runs == size else f" ({runs} runs, scaled to {size})"
    work = inputs.total(inputs.fleet_prompts(model["vocabulary"]))
    floor = fig.roofline_of(raw["roofline"], model).seconds(work, 1, size)
    return [
        TableRow(
            f"d: fleet of {size} adapters",
            "seconds, start to exit (dlm-sway's: one run of its CLI an adapter)",
            formatted(fleet),
            formatted(scaled) + (note if scaled is not None else ""),
            formatted(floor),
            formatted(fig.ratio(scaled, fleet), "{:.2f}× dlm-sway"),
        ),
        TableRow(
            "",
            f"fleet ÷ (load {load:.2f} s + own scoring {own['scoring_wall_s']:.2f} s)",
            formatted(quotients["scoring_wall_s"]),
            compared=f"{quotients['duration_s']:.2f} with the probes' wall time; "
            f"{singles:.2f} s in {size} single runs",
            bar=bar,
            value=quotients["scoring_wall_s"],
        ),
        TableRow("", "largest difference of raw, fleet to single run", f"{_moved(raw):.1e}"),
    ]


def _startup(raw: dict[str, Any]) -> list[TableRow]:
    middle, low, high = (1000 * value for value in fig.paired(raw["with_s"], raw["without_s"]))
    start_bar, collect_bar = fig.at_most(10, "≤ 10 ms"), fig.at_most(2, "≤ 2 s")
    none_bar, help_bar = fig.at_most(0, "none"), fig.at_most(0.3, "≤ 0.3 s")
    heavy = [name for name in raw["modules_with"] if name not in raw["modules_without"]]
    torch = [name for name in raw["modules_collecting"] if name == "torch"]
    collect = median(raw["collect_s"])
    return [
        TableRow(
            "e: start-up without a spec",
            f"ms that the plugin adds to pytest -q (median of {len(raw['with_s'])} pairs; quartiles)",
            f"{middle:.1f} ({low:.1f} to {high:.1f})",
            bar=start_bar,
            value=middle,
        ),
        TableRow(
            "",
            "heavy modules imported by the end",
            ", ".join(heavy) or "none",
            bar=none_bar,
            value=len(heavy),
        ),
        TableRow(
            "e: 1,000 probes",
            "seconds of pytest --collect-only -q (median of 3)",
            formatted(collect),
            bar=collect_bar,
            value=collect,
        ),
        TableRow(
            "",
            "torch imported while collecting",
            "yes" if torch else "no",
            bar=fig.at_most(0, "no"),
            value=len(torch),
        ),
        TableRow(
            "e: the command",
            f"seconds of sway --help (median of {len(raw['help_s'])})",
            formatted(median(raw["help_s"])),
            bar=help_bar,
            value=median(raw["help_s"]),
        ),
    ]


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
