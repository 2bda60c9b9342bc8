"""Continuations by an adapter and twenty null adapters, beside an earlier commit and the machine's best.

    git worktree add ../before 4d5d3f1
    python benchmarks/writing.py --before ../before [--repeats N] [--out FILE.json]

Each repetition is a process per side, in turns; the fastest counts. The floor is that of ``roofline.py``: the
prompts' tokens under every view, and a decoding step of all rows for every further token.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import figures as fig
import inputs
from job import Job
from processes import HERE, ROOT, answer_of, environment, made_model, print_table, ran, roofline
from reporting import check_out, write_report
from writing_side import NEW_TOKENS, NULLS

VIEWS = 2 + NULLS


def main() -> int:
    """Measure, print the table; 2 where the benchmark itself failed."""
    options = _parser().parse_args()
    check_out(options.out)
    return print_table(lambda work: _report(options, work))


def _report(options: argparse.Namespace, work: Path) -> str:
    report = _measure(options, work)
    write_report(options.out, report)
    return _table(report)


def _measure(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    model = made_model(work, small=options.small, threads=options.threads)
    job = Job("writing", model["model"], model["adapters"][0], model["vocabulary"], options.threads)
    rows = VIEWS * inputs.WRITTEN_PROMPTS
    machine = [roofline(Path(model["model"]), options.threads, [rows])]
    sides = {"now": ROOT, **({"before": options.before.resolve()} if options.before else {})}
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    for repeat in range(options.repeats):
        for side in sides if repeat % 2 == 0 else reversed(sides):
            sys.stderr.write(f"{side}, {repeat + 1} of {options.repeats}\n")
            found[side].append(_run(job, sides[side]))
    machine.append(roofline(Path(model["model"]), options.threads, [rows]))
    return {"model": model, "roofline": machine, "rows": rows, **found}


def _run(job: Job, checkout: Path) -> dict[str, Any]:
    env = {**environment(job.threads, ours=True), "PYTHONPATH": str(checkout / "src")}
    done = ran([sys.executable, HERE / "writing_side.py"], env, text=json.dumps(asdict(job)))
    return answer_of(done, f"writing, {checkout}")


def _table(report: dict[str, Any]) -> str:
    model, rows = report["model"], report["rows"]
    machine = fig.roofline_of(report["roofline"], model)
    prompts = inputs.total(inputs.written_prompts(model["vocabulary"]))
    layers_s, head_s = (min(one["step_s"][str(rows)][part] for one in report["roofline"]) for part in (0, 1))
    step_s = layers_s * (1 + (VIEWS - 1) / VIEWS * machine.adapter_share) + head_s
    floor = machine.seconds(prompts, 1, VIEWS - 1) + (NEW_TOKENS - 1) * step_s
    now, before = fig.fastest(report["now"]), fig.fastest(report.get("before", []))
    lines = [
        f"{rows} rows of {NEW_TOKENS} new tokens",
        f"floor   {floor:8.2f} s",
        f"now     {now:8.2f} s, {fig.formatted(fig.ratio(now, floor))} × the floor",
    ]
    if before is not None:
        same = report["now"][0]["written"] == report["before"][0]["written"]
        lines.append(
            f"before  {before:8.2f} s, {fig.formatted(fig.ratio(before, now))} × now; same texts: {same}"
        )
    return "\n".join(lines) + "\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="writing.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="an earlier commit's checkout")
    parser.add_argument("--repeats", type=int, default=2, metavar="N", help="best of N (2)")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="of every process (2)")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="raw figures")
    parser.add_argument("--small", action="store_true", help="a tiny model, to try the harness")
    return parser


if __name__ == "__main__":
    sys.exit(main())
