"""The benchmark: ours, dlm-sway 0.1.0 and the machine's floor, measured in one run.

``python benchmarks/run.py [--out FILE.json] [--only a,b] [--dlm-sway-python PATH] [--small]`` prints one
Markdown table and writes it, with every raw figure, to FILE.json (after each scenario, so that a run cut
short keeps what it had). What is measured and how stands in the modules: ``scoring.py`` (a, b, c),
``fleet.py`` (d), ``startup.py`` (e), ``inputs.py`` (the texts and their token counts).

The floor is what a forward cannot do without, at the best speed that this machine shows for it before or
after the scenario (``roofline.py``): the layers' matrix products over the tokens that have to go through the
model, without padding, the adapter's own products, attention, and the product with the vocabulary at the
positions that are scored. Under base and under tuned they count twice, a prompt of two completions once per
view. ``writing.py`` measures continuations, where the floor is a decoding step's.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import fleet
import scoring
import startup
from figures import TableRow, markdown, was_quiet
from processes import check_plugin, find_dlm_sway, made_model, print_table
from reporting import check_out, keep_ratios, machine, write_report
from tables import rows

SCENARIOS = "abcde"
_WITH_MODEL = frozenset("abcd")


def main(arguments: list[str] | None = None) -> int:
    """Run the chosen scenarios; 2 where the benchmark itself failed, whatever the bars say."""
    options = _parser().parse_args(arguments)
    return print_table(lambda work: _run(options, work))


def _run(options: argparse.Namespace, work: Path) -> str:
    chosen: list[str] = options.only
    check_out(options.out)
    check_plugin(options.threads)
    needed = bool(_WITH_MODEL.intersection(chosen))
    dlm_sway = find_dlm_sway(options.dlm_sway_python, options.threads) if needed else scoring.DlmSway()
    if dlm_sway.missing:
        _say(f"dlm-sway 0.1.0 is not available: {dlm_sway.missing}")
    model = made_model(work, small=options.small, threads=options.threads) if needed else {}
    setting = scoring.Setting(work, model, dlm_sway, options.threads, options.repeats, _say)
    report: dict[str, Any] = {
        "machine": {**machine(options.threads), "repeats": options.repeats, "small": options.small},
        "model": model,
        "raw": {},
    }
    made: list[TableRow] = []
    for scenario in chosen:
        raw = _measure(scenario, setting, options)
        report["raw"][scenario] = {**raw, "load_after": os.getloadavg()}
        flops = [measured["matrix_flops"] for measured in raw.get("roofline", [{"matrix_flops": 1.0}])]
        if not was_quiet(flops):
            speeds = " and ".join(f"{speed / 1e9:.0f}" for speed in flops)
            _say(f"{scenario}: the machine was not quiet: {speeds} GFLOP/s before and after; run it again")
        made += rows(scenario, raw, model)
        report["table"] = markdown(made)
        write_report(options.out, report)
    if options.keep_ratios:
        keep_ratios(made, report["machine"])
    return markdown(made)


def _measure(scenario: str, setting: scoring.Setting, options: argparse.Namespace) -> dict[str, Any]:
    if scenario == "d":
        return fleet.Fleet(setting, options.fleet_repeats, options.dlm_sway_fleet_runs).measure()
    if scenario == "e":
        return startup.measure(setting, options.pairs)
    return scoring.measure(scenario, setting)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="run.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="table and raw figures")
    parser.add_argument("--only", type=_chosen, default=list(SCENARIOS), metavar="a,b", help="scenarios")
    parser.add_argument("--dlm-sway-python", metavar="PATH", help="interpreter with dlm-sway[hf] 0.1.0")
    parser.add_argument("--repeats", type=_count, default=3, metavar="N", help="a, b, c: best of N (3)")
    parser.add_argument("--fleet-repeats", type=_count, default=1, metavar="N", help="d: best of N (1)")
    parser.add_argument(
        "--dlm-sway-fleet-runs", type=_runs, default=10, metavar="N", help="d: dlm-sway's runs, 1 to 10 (10)"
    )
    parser.add_argument("--pairs", type=_count, default=101, metavar="N", help="e: pairs of starts (101)")
    parser.add_argument("--threads", type=_count, default=2, metavar="N", help="of every process (2)")
    parser.add_argument("--small", action="store_true", help="a tiny model, to try the harness")
    parser.add_argument(
        "--keep-ratios", action="store_true", help="append what has a bar to benchmarks/ratios.jsonl"
    )
    return parser


def _chosen(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    wrong = [name for name in names if len(name) != 1 or name not in SCENARIOS]
    if wrong:
        raise argparse.ArgumentTypeError(f"no scenario {wrong[0]!r}; choose from {', '.join(SCENARIOS)}")
    return [name for name in SCENARIOS if name in names]


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def _runs(text: str) -> int:
    if _count(text) > 10:
        raise argparse.ArgumentTypeError(f"{text} is more than the 10 adapters")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
