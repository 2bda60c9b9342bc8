"""Do two versions of the package write the same results? For a change that must not change a number.

    git worktree add ../before HEAD~20
    python benchmarks/same_results.py ../before/src src
    python benchmarks/same_results.py ../before/src src my.sway.yaml --sway-adapter=adapters/mine

The first compares on the quickstart's spec and its battery. Both packages evaluate the same files side by
side, each on one core and without stored answers. Everything that the JSON report holds is compared
exactly, but for times.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

QUICKSTART = Path(__file__).parents[1] / "examples/quickstart"
DEFAULT = [
    str(QUICKSTART / "sway.yaml"),
    str(QUICKSTART / "battery.sway.yaml"),
    *(f"--sway-adapter={QUICKSTART / 'adapters' / name}" for name in ("healthy", "inert", "random")),
]
TIMES = frozenset({"started_at", "finished_at", "wall_seconds", "duration_s", "scoring_wall_s"})


def evaluate(source: Path, arguments: list[str], out: Path) -> dict[str, Any]:
    """Reports by file name, as the package in ``source`` writes them.

    Raises:
        RuntimeError: it wrote none; with the end of what pytest wrote.
    """
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"--sway-json={out}",
        *arguments,
    ]
    env = {
        **os.environ,
        "PYTHONPATH": str(source.resolve()),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "SWAY_DISABLE_NULL_CACHE": "1",
    }
    run = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    reports = {path.name: json.loads(path.read_text("utf-8")) for path in sorted(out.glob("*.json"))}
    if not reports:
        raise RuntimeError(f"{source} wrote no report:\n{run.stdout[-3000:]}{run.stderr[-1000:]}")
    return reports


def differences(old: Any, new: Any, path: str = "") -> list[str]:
    """Every place where two JSON values differ, times left out."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted((old.keys() | new.keys()) - TIMES)
        return [
            line
            for key in keys
            for line in differences(old.get(key), new.get(key), f"{path}.{key}".lstrip("."))
        ]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [line for i, (one, other) in pairs for line in differences(one, other, f"{path}[{i}]")]
    return [] if old == new else [f"{path}: {old!r} → {new!r}"]


def main() -> int:
    """Print what differs; exit status 1 where anything does."""
    if len(sys.argv) < 3:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    sources, arguments = [Path(argument) for argument in sys.argv[1:3]], sys.argv[3:] or DEFAULT
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        outs = [Path(folder, name) for name in ("old", "new")]
        for out in outs:
            out.mkdir()
        old, new = pool.map(evaluate, sources, [arguments] * 2, outs)
    lines = differences(old, new)
    probes = sum(len(report["probes"]) for report in old.values())
    outcome = f"{len(lines)} differences" if lines else "equal"
    sys.stdout.write(f"{len(old)} reports with {probes} probes: {outcome}\n")
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
