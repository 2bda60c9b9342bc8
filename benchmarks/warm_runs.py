"""Runs of the quickstart through a warm daemon, beside a new ``sway run`` of the same spec.

``python benchmarks/warm_runs.py [--rounds N]`` prints, for each round, seconds of the request, of the suite's
probes, and of ``sway run``. Every round has another seed, so that no answer is stored already; the second
request of a seed finds them all stored.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from pytest_sway.client import ServeClient, ServeClientError

QUICKSTART = Path(__file__).parents[1] / "examples" / "quickstart"
FIRST_SEED = 100


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        daemon, client = started(Path(folder))
        try:
            spec = yaml.safe_load((QUICKSTART / "sway.yaml").read_text("utf-8"))
            request(client, spec, FIRST_SEED - 1)  # loads the model
            ratios = [one_round(client, spec, FIRST_SEED + number) for number in range(rounds)]
        finally:
            client.close()
            daemon.terminate()
            daemon.wait(40)
    sys.stdout.write(f"request / probes' own time: median {statistics.median(ratios):.2f}\n")


def started(folder: Path) -> tuple[subprocess.Popen[bytes], ServeClient]:
    """A daemon that answers, with a store of its own in the folder."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [sys.executable, "-m", "pytest_sway", "serve", "--port", str(port), "--log-level", "warning"]
    environment = {**os.environ, "SWAY_NULL_CACHE_DIR": str(folder / "served")}
    daemon = subprocess.Popen([*command, "--allow-path", str(QUICKSTART)], env=environment)
    client = ServeClient(f"http://127.0.0.1:{port}", timeout=600)
    while daemon.poll() is None:
        try:
            client.health()
        except ServeClientError:
            time.sleep(0.1)
        else:
            return daemon, client
    raise SystemExit("the daemon did not start")


def request(client: ServeClient, spec: dict, seed: int) -> tuple[float, float]:
    """Seconds of a request, and of its probes."""
    began = time.monotonic()
    result = client.run(spec, QUICKSTART / "sway.yaml", seed=seed)
    return time.monotonic() - began, sum(probe["duration_s"] for probe in result["probes"])


def one_round(client: ServeClient, spec: dict, seed: int) -> float:
    """Print one round; the ratio of its first request."""
    whole, probes = request(client, spec, seed)
    again, probes_again = request(client, spec, seed)
    with tempfile.TemporaryDirectory() as folder:
        changed = {**spec, "defaults": {**(spec.get("defaults") or {}), "seed": seed}}
        file = QUICKSTART / f".warm-runs-{seed}.yaml"
        file.write_text(yaml.safe_dump(changed), "utf-8")
        began = time.monotonic()
        try:
            subprocess.run(
                [sys.executable, "-m", "pytest_sway", "run", str(file), "--json", f"{folder}/r.json", "-q"],
                env={**os.environ, "SWAY_NULL_CACHE_DIR": folder},
                stdout=subprocess.DEVNULL,
                check=False,
            )
        finally:
            file.unlink()
        cold = time.monotonic() - began
    sys.stdout.write(
        f"request {whole:.2f} s, its probes {probes:.2f} s (ratio {whole / probes:.2f}); "
        f"asked again {again:.2f} s, its probes {probes_again:.2f} s; sway run {cold:.2f} s\n"
    )
    sys.stdout.flush()
    return whole / probes


if __name__ == "__main__":
    main()
