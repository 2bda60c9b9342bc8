"""One run over many checkpoints of a small model: time and memory must not grow with those already measured.

    python benchmarks/checkpoints.py [--count 1000] [--step 250]

Runs ``pytest sway.yaml`` once for each multiple of ``--step`` up to ``--count``; prints the wall time, the
time per adapter beyond the first run, and the peak memory of the process. Linear time is one figure for all;
flat memory grows by no more than the results that are kept for the report.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import inputs
from processes import environment, made_model
from safetensors.numpy import load_file, save_file

PROMPTS = 8


def main() -> int:
    """Make the adapters, run, print a row per size."""
    parser = argparse.ArgumentParser(prog="checkpoints.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--count", type=int, default=1000, metavar="N", help="adapters of the largest run (1000)"
    )
    parser.add_argument("--step", type=int, default=250, metavar="N", help="adapters from run to run (250)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sway-checkpoints-") as work:
        folder = Path(work)
        made = made_model(folder, small=True, threads=2)
        before = 0.0
        sys.stdout.write(
            "| adapters | seconds | … of the last, each | peak memory, MiB |\n| --- | --- | --- | --- |\n"
        )
        for count in range(options.step, options.count + 1, options.step):
            seconds, peak = _run(folder, made, count)
            each = (seconds - before) / options.step
            sys.stdout.write(f"| {count} | {seconds:.0f} | {each:.3f} | {peak / 2**20:.0f} |\n")
            sys.stdout.flush()
            before = seconds
    return 0


def _run(folder: Path, made: dict[str, Any], count: int) -> tuple[float, int]:
    """Seconds and peak memory of one pytest run over so many adapters."""
    _add_checkpoints(folder, made, count)
    model = {"kind": "hf", "base": made["model"], "dtype": "fp32", "device": "cpu"}
    prompts = [prompt.text for prompt in inputs.fleet_prompts(made["vocabulary"])[:PROMPTS]]
    spec = {
        "version": 1,
        "models": {"base": model, "ft": {**model, "adapter": "checkpoints/checkpoint-*"}},
        "suite": [{"name": "moved", "kind": "delta_kl", "prompts": prompts}],
    }
    (folder / "sway.yaml").write_text(json.dumps(spec), encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "sway.yaml", "-q", "-p", "no:cacheprovider"]
    began = perf_counter()
    with (folder / "output.txt").open("wb") as output:
        started = subprocess.Popen(
            command, cwd=folder, env=environment(2, ours=True), stdout=output, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(started.pid, 0)  # of this process alone
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        raise SystemExit((folder / "output.txt").read_text("utf-8")[-2000:])
    return perf_counter() - began, usage.ru_maxrss * 1024


def _add_checkpoints(folder: Path, made: dict[str, Any], count: int) -> None:
    adapters = made["adapters"]
    for step in range(1, count + 1):
        target = folder / "checkpoints" / f"checkpoint-{step}"
        if not target.exists():
            shutil.copytree(adapters[step % len(adapters)], target)
            _vary(target / "adapter_model.safetensors", step)


def _vary(file: Path, step: int) -> None:
    """Weights that no other checkpoint has: equal ones would be answered from the cache."""
    state = {name: tensor * (1 + step / 10_000) for name, tensor in load_file(file).items()}
    save_file(state, file, metadata={"format": "pt"})


if __name__ == "__main__":
    sys.exit(main())
