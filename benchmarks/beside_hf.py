"""Another engine beside ``kind: hf``: the same spec, how far the figures are apart, and what each took.

    pip install ".[gguf,mlx]"
    python benchmarks/beside_hf.py KIND [SPEC]        gguf or mlx; by default the quickstart's spec

Prints a row a probe. Each kind is measured twice, in turns, on one core, without stored answers; the seconds
are the shorter ones, of the probe alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

QUICKSTART = Path(__file__).parents[1] / "examples/quickstart/sway.yaml"
TURNS = 2
FIGURES = ("raw", "score", "z_score")


def main() -> int:
    """Measure and print; 1 where a verdict differs."""
    kinds = "hf", sys.argv[1]
    spec = Path(sys.argv[2]) if len(sys.argv) > 2 else QUICKSTART
    runs: dict[str, list[dict[str, Any]]] = {kind: [] for kind in kinds}
    for _ in range(TURNS):
        for kind in kinds:
            runs[kind].append(_evaluate(spec, kind))
    sys.stdout.write(
        f"| probe | verdict | hf s | {kinds[1]} s | largest relative difference |\n" + "| --- " * 5 + "|\n"
    )
    differ = 0
    for place, theirs in enumerate(runs["hf"][0]["probes"]):
        ours = runs[kinds[1]][0]["probes"][place]
        differ += ours["verdict"] != theirs["verdict"]
        seconds = [min(run["probes"][place]["duration_s"] for run in runs[kind]) for kind in kinds]
        apart = max((_apart(theirs[name], ours[name]) for name in FIGURES), default=0.0)
        verdicts = " / ".join(dict.fromkeys([theirs["verdict"], ours["verdict"]]))
        name = theirs["name"]
        sys.stdout.write(f"| {name} | {verdicts} | {seconds[0]:.1f} | {seconds[1]:.1f} | {apart:.0e} |\n")
    return 1 if differ else 0


def _apart(one: float | None, other: float | None) -> float:
    if one is None or other is None:
        return 0.0 if one is other else float("inf")
    return abs(one - other) / max(abs(one), abs(other), 1e-12)


def _evaluate(spec: Path, kind: str) -> dict[str, Any]:
    """The report of one run on a copy of the spec, beside it, of this kind."""
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.NamedTemporaryFile("w", suffix=".yaml", dir=spec.parent, encoding="utf-8") as copy,
    ):
        copy.write(spec.read_text("utf-8").replace("kind: hf", f"kind: {kind}"))
        copy.flush()
        out = Path(folder) / "out.json"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        env = {**os.environ, "OMP_NUM_THREADS": "1", "SWAY_DISABLE_NULL_CACHE": "1", "HF_HUB_OFFLINE": "1"}
        ran = subprocess.run(
            [*command, f"--sway-json={out}", copy.name], env=env, capture_output=True, text=True, check=False
        )
        if not out.is_file():
            raise SystemExit(f"kind: {kind} wrote no report:\n{ran.stdout[-3000:]}{ran.stderr[-1000:]}")
        report: dict[str, Any] = json.loads(out.read_text("utf-8"))
        return report


if __name__ == "__main__":
    sys.exit(main())
