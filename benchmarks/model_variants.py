"""The mixed suite with the model in half precision, and compiled, beside fp32 as it is loaded.

    python benchmarks/model_variants.py [--repeats N] [--only fp32,bf16,fp16,compiled] [--out FILE.json]

Each variant runs in a process of its own, in turns. The table has the seconds of a first and of a later run
over the same texts (compiling happens in the first), the largest deviation from fp32 of a log-probability per
token and of a divergence, and the seconds of scoring after which compiling has paid for itself.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import figures as fig
from job import Job
from model_variants_side import VARIANTS
from processes import HERE, answer_of, environment, made_model, print_table, ran
from reporting import check_out, machine, names_among, write_report


def main() -> int:
    """Measure, print the table; 2 where the benchmark itself failed."""
    options = _parser().parse_args()
    check_out(options.out)
    return print_table(lambda work: _report(options, work))


def _report(options: argparse.Namespace, work: Path) -> str:
    model = made_model(work, small=options.small, threads=options.threads)
    # everything is compared with fp32
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in dict.fromkeys(["fp32", *options.only])}
    for repeat in range(options.repeats):
        for name in found:
            sys.stderr.write(f"{name}, {repeat + 1} of {options.repeats}\n")
            found[name].append(_run(name, model, options.threads))
    write_report(options.out, {"machine": machine(options.threads), "model": model, "raw": found})
    return _table(found)


def _run(name: str, model: dict[str, Any], threads: int) -> dict[str, Any]:
    job = Job(name, model["model"], model["adapters"][0], model["vocabulary"], threads)
    command = [sys.executable, HERE / "model_variants_side.py"]
    return answer_of(ran(command, environment(threads, ours=True), text=json.dumps(asdict(job))), name)


def _table(found: dict[str, list[dict[str, Any]]]) -> str:
    reference = found["fp32"][0]
    plain = fig.fastest(found["fp32"], "later_s")
    lines = [
        "| variant | first run, s | later, s | fp32 ÷ this | logprob per token | divergence | pays after |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, runs in found.items():
        first, later = fig.fastest(runs, "first_s"), fig.fastest(runs, "later_s")
        apart = [
            fig.largest_difference(runs[0][key], reference[key])
            for key in ("logprobs_per_token", "divergences")
        ]
        cells = [name, fig.formatted(first, "{:.1f}"), fig.formatted(later, "{:.1f}")]
        cells += [
            fig.formatted(fig.ratio(plain, later)),
            *(fig.formatted(value, "{:.1e}") for value in apart),
        ]
        lines.append("| " + " | ".join([*cells, _break_even(first, later, plain)]) + " |")
    return "\n".join(lines) + "\n"


def _break_even(first: float | None, later: float | None, plain: float | None) -> str:
    """Seconds of scoring as it is, after which what the first run took longer is saved again."""
    if first is None or later is None or plain is None or first <= 1.1 * later:
        return "—"
    saved = 1 - later / plain
    return "never" if saved <= 0 else f"{(first - later) / saved:.0f} s"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="model_variants.py", description=(__doc__ or "").splitlines()[0])
    names = names_among("variant", VARIANTS)
    parser.add_argument(
        "--only",
        type=names,
        default=list(VARIANTS),
        metavar="NAMES",
        help="of variants",
    )
    parser.add_argument("--repeats", type=int, default=2, metavar="N", help="best of N (2)")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="of every process (2)")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="raw figures")
    parser.add_argument("--small", action="store_true", help="a tiny model, to try the harness")
    return parser


if __name__ == "__main__":
    sys.exit(main())
