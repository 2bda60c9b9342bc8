"""What a GPU makes of the benchmark: three sizes of a model, determinism, and batches that do not fit.

    python benchmarks/gpu.py [--limit-s 480] [--only 135m,1.5b,7b] [--out FILE.json]

Each size is a process of its own with random weights. The table has prompts per second of scenario a, seconds
of the mixed suite and of a null adapter, what the backend says of determinism, whether the mixed suite gave
the same numbers twice and a text the same alone and beside others with --sway-exact, to the last bit, and
whether batches that did not fit were halved and answered alike. No size is begun once the limit is over.
``--device cpu --only small`` tries the harness.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import figures as fig
from model_sizes import MODEL_SIZES
from processes import HERE, BenchError, answer_of, environment, print_table, ran
from reporting import check_out, machine, names_among, write_report

HEAD = (
    "| model | load, s | a: prompts/s | b: s | null, s | determinism | same twice | exact alike | halved |\n"
)


def main() -> int:
    """Measure, print the table; 2 where the benchmark itself failed."""
    options = _parser().parse_args()
    check_out(options.out)
    return print_table(lambda work: _report(options, work))


def _report(options: argparse.Namespace, work: Path) -> str:
    began = perf_counter()
    found: dict[str, dict[str, Any]] = {}
    lines = [HEAD + "| --- " * 9 + "|"]
    for name in options.only:
        if perf_counter() - began > options.limit_s:
            sys.stderr.write(f"{name}: not begun, {options.limit_s} s are over\n")
            continue
        sys.stderr.write(f"{name}\n")
        job = {"shape": name, "device": options.device, "folder": str(work / name)}
        command = [sys.executable, HERE / "gpu_side.py"]
        try:
            found[name] = answer_of(ran(command, environment(2, ours=True), text=json.dumps(job)), name)
        except BenchError as error:  # the other sizes are still worth their time
            lines.append(f"| {name} | {error} |" + " |" * 7)
            continue
        lines.append(_line(name, found[name]))
        write_report(options.out, {"machine": machine(2), "raw": found})
    return "\n".join(lines) + "\n"


def _line(name: str, one: dict[str, Any]) -> str:
    answers = {True: "yes", False: "**no**", None: "—"}
    cells = [
        f"{name} {one['dtype']}, {one['device']}",
        fig.formatted(one["load_s"], "{:.1f}"),
        fig.formatted(one["prompts_per_s"], "{:.0f}"),
        fig.formatted(one["mixed_s"], "{:.2f}"),
        fig.formatted(one["null_s"], "{:.3f}"),
        one["determinism"],
        *(answers[one[key]] for key in ("same_twice", "exact_alike", "halved_alike")),
    ]
    return "| " + " | ".join(cells) + " |"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gpu.py", description=(__doc__ or "").splitlines()[0])
    names = names_among("size", MODEL_SIZES)
    parser.add_argument(
        "--only",
        type=names,
        default=["135m", "1.5b", "7b"],
        metavar="NAMES",
        help="sizes",
    )
    parser.add_argument("--limit-s", type=int, default=480, metavar="N", help="begin none after N s (480)")
    parser.add_argument("--device", default="cuda", help="of torch (cuda)")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="raw figures")
    return parser


if __name__ == "__main__":
    sys.exit(main())
