"""Does "above noise" mean what it says? Our own claim, measured on the quickstart's model.

``python benchmarks/calibration/run.py [--parts fp,power,…] [--pool N] [--out FILE.json] [--work DIR]
[--dlm-sway-python PATH] [--small]`` prints Markdown tables and writes them, with every raw figure, to
FILE.json (after each part). Parts: ``fp`` (false positives), ``power``, ``noise`` (does noise pass the gate),
``dlm-sway`` (0.1.0), ``families`` and ``rank`` (which null), ``forms`` (noise in PiSSA, DoRA and others),
``sequential`` (draws as they are needed), ``suites`` (adapters that learned nothing, through whole suites),
``check`` (the same under ``sway check``).
DIR keeps the pools of null adapters, so that a run cut short, or another part, goes on from them; without it
they are measured anew and thrown away.
A full run takes about an hour on one core, ``--small`` five minutes (its figures mean nothing).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["SWAY_DISABLE_NULL_CACHE"] = "1"

import adapter_forms
import dlm_sway_noise
import false_positives
import first_look
import noise_adapters
import null_families
import null_rank
import power
import sequential
import whole_suites
from null_pools import say
from processes import BenchError
from reporting import check_out, machine, write_report
from setting import Setting

PARTS: Mapping[str, ModuleType] = {
    "fp": false_positives,
    "power": power,
    "noise": noise_adapters,
    "dlm-sway": dlm_sway_noise,
    "families": null_families,
    "rank": null_rank,
    "forms": adapter_forms,
    "sequential": sequential,
    "suites": whole_suites,
    "check": first_look,
}
SMALL_POOL = 42


def main(arguments: list[str] | None = None) -> int:
    """Run the chosen parts; 2 where the benchmark itself failed, whatever the bars say."""
    options = _parser().parse_args(arguments)
    try:
        if options.work is not None:
            _run(options, options.work)
        else:
            with tempfile.TemporaryDirectory(prefix="sway-calibration-") as work:
                _run(options, Path(work))
    except BenchError as error:
        say(f"error: {error}")
        return 2
    except KeyboardInterrupt:
        say("error: interrupted; give --work DIR to go on from what is measured")
        return 2
    return 0


def _run(options: argparse.Namespace, work: Path) -> None:
    check_out(options.out)
    work = work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    pool = SMALL_POOL if options.small else options.pool
    setting = Setting(work, pool, options.small, options.threads, options.dlm_sway_python)
    report: dict[str, Any] = {"machine": machine(options), "seconds": {}, "tables": {}, "raw": {}}
    for name in options.parts:
        began = time.perf_counter()
        raw = PARTS[name].measure(setting)
        report["raw"][name] = raw
        report["seconds"][name] = time.perf_counter() - began
        report["tables"][name] = PARTS[name].tables(json.loads(json.dumps(raw)))
        write_report(options.out, report)
        sys.stdout.write(report["tables"][name] + "\n")
        sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="run.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--parts", type=_chosen, default=list(PARTS), metavar="fp,power", help=", ".join(PARTS)
    )
    parser.add_argument("--pool", type=_at_least(50), default=1000, metavar="N", help="null adapters a size")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="tables and raw figures")
    parser.add_argument("--work", type=Path, metavar="DIR", help="keeps pools and adapters for another run")
    parser.add_argument("--dlm-sway-python", metavar="PATH", help="interpreter with dlm-sway[hf] 0.1.0")
    parser.add_argument("--threads", type=_at_least(1), default=1, metavar="N", help="of other processes (1)")
    parser.add_argument("--small", action="store_true", help="a pool of 60, to try the harness")
    return parser


def _chosen(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    wrong = [name for name in names if name not in PARTS]
    if wrong:
        raise argparse.ArgumentTypeError(f"no part {wrong[0]!r}; choose from {', '.join(PARTS)}")
    return [name for name in PARTS if name in names]


def _at_least(bound: int) -> Callable[[str], int]:
    def count(text: str) -> int:
        if not text.isdecimal() or int(text) < bound:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {bound} on")
        return int(text)

    return count


if __name__ == "__main__":
    sys.exit(main())
