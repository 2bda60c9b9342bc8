"""A battery with its null adapters, from start to verdict, beside what the machine needs at its best.

    python benchmarks/real_model/make.py FOLDER
    python benchmarks/battery_floor.py FOLDER [--profile quick]

Runs ``pytest battery.sway.yaml`` in FOLDER once, without stored answers, and counts what the backend had to
compute (``battery_work.py``). The floor is that work at the speeds of ``roofline.py``: matrix products of the
layers and of the adapter, attention, the product with the vocabulary, and a decoding step's products for the
rows that are still written. Free in it: norms, activations, loading, tokenizing, statistics, embeddings.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import figures as fig
import yaml
from processes import HERE, BenchError, environment, print_table, ran, roofline
from reporting import check_out, machine, write_report

STEP_ROWS = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""Rows of the decoding steps that are timed; one between two is taken on the line through them."""


def main() -> int:
    """Run, print the table; 2 where the benchmark itself failed."""
    options = _parser().parse_args()
    check_out(options.out)
    return print_table(lambda work: _report(options, work))


def _report(options: argparse.Namespace, work: Path) -> str:
    folder: Path = options.folder.absolute()
    base = folder / "base"
    before = roofline(base, options.threads, STEP_ROWS)
    counted = _run(folder, work, options)
    measured = [before, roofline(base, options.threads, STEP_ROWS)]
    report = {
        "machine": {**machine(options.threads), "profile": options.profile},
        "roofline": measured,
        **counted,
    }
    write_report(options.out, report)
    return _table(counted, measured, _adapter_share(folder))


def _run(folder: Path, work: Path, options: argparse.Namespace) -> dict[str, Any]:
    spec = yaml.safe_load((folder / "battery.sway.yaml").read_text("utf-8"))
    for model in spec["models"].values():
        model |= {"dtype": "fp32", "device": "cpu"}
    if options.profile:
        spec.setdefault("defaults", {})["profile"] = options.profile
    file = folder / "floor.sway.yaml"
    file.write_text(yaml.safe_dump(spec, sort_keys=False), "utf-8")
    env = environment(options.threads, ours=True)
    env |= {"BENCH_WORK": str(work / "work.json"), "PYTHONPATH": f"{env['PYTHONPATH']}:{HERE}"}
    command = [sys.executable, "-m", "pytest", file, "-q", "-p", "battery_work", "-p", "no:cacheprovider"]
    try:
        done = ran(command, env, cwd=folder)
    finally:
        file.unlink()
    if done.code not in (0, 1):  # 1: some verdict is bad
        raise BenchError(f"the battery did not run: {done.output[-500:]}")
    return {"wall_s": done.seconds, **json.loads((work / "work.json").read_text("utf-8"))}


def _adapter_share(folder: Path) -> float:
    """Parameters of the adapter ÷ those of the layers, by the bytes of their files; both are fp32."""
    config = json.loads((folder / "base" / "config.json").read_text("utf-8"))
    embedding = 4 * config["vocab_size"] * config["hidden_size"]
    base = sum(file.stat().st_size for file in (folder / "base").glob("*.safetensors"))
    return (folder / "healthy" / "adapter_model.safetensors").stat().st_size / (base - embedding)


def _table(counted: dict[str, Any], measured: list[dict[str, Any]], adapter_share: float) -> str:
    best = {key: min(one[key] for one in measured) for key in ("token_s", "position_s", "pair_s")}
    tokens = counted["base_tokens"] + counted["adapted_tokens"] * (1 + adapter_share)
    parts = {
        "layers": tokens * best["token_s"],
        "vocabulary": counted["positions"] * best["position_s"],
        "attention": counted["pairs"] * best["pair_s"],
        "decoding steps": sum(
            count * step_seconds(int(rows), measured) for rows, count in counted["steps"].items()
        ),
    }
    floor = sum(parts.values())
    bar = fig.at_most(1.3, "≤ 1.3")
    whole, inside = counted["wall_s"] / floor, counted["backend_s"] / floor
    lines = [f"floor {floor:.1f} s: " + ", ".join(f"{name} {seconds:.1f}" for name, seconds in parts.items())]
    lines.append(f"inside the backend {counted['backend_s']:.1f} s, {inside:.2f} × the floor")
    lines.append(f"start to verdict {counted['wall_s']:.1f} s, {whole:.2f} × the floor")
    lines.append(f"bar: {bar.text}: {bar.verdict(whole)}")
    return "\n".join(lines) + "\n"


def step_seconds(rows: int, measured: list[dict[str, Any]]) -> float:
    """Layers and vocabulary of one decoding step, from the timed numbers of rows around it."""
    timed = {count: min(sum(one["step_s"][str(count)]) for one in measured) for count in STEP_ROWS}
    below = max((count for count in STEP_ROWS if count <= rows), default=STEP_ROWS[0])
    above = min((count for count in STEP_ROWS if count >= rows), default=below)
    if below == above:
        return timed[below] * max(1.0, rows / below)
    return timed[below] + (timed[above] - timed[below]) * (rows - below) / (above - below)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="battery_floor.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="what real_model/make.py made")
    parser.add_argument("--profile", choices=("quick", "standard", "thorough"), help="of the spec's defaults")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="of the process (2)")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="raw figures")
    return parser


if __name__ == "__main__":
    sys.exit(main())
