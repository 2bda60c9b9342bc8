"""dlm-sway 0.1.0, in its own interpreter: its delta_kl with its null_adapter, at its defaults, per adapter.

A job is one JSON object on standard input: the base, and the adapters, each with the prompts (none: the ones
on which its null is measured, whatever the user asks) and the seed base of its own null runs (so that no two
share the luck of one). The answer is the last line of standard output. Only its public functions are called;
its cache of null statistics is off.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any


def measure(job: dict[str, Any]) -> list[dict[str, Any]]:
    """One suite of two probes per adapter."""
    import torch

    torch.set_num_threads(job["threads"])
    from dlm_sway.backends import build
    from dlm_sway.suite.loader import from_dict
    from dlm_sway.suite.runner import run

    own = _calibration_prompts()
    results = []
    for adapter in job["adapters"]:
        began = time.perf_counter()
        model = {"kind": "hf", "base": job["base"], "dtype": "fp32", "device": "cpu"}
        spec = from_dict(
            {
                "version": 1,
                "models": {"base": model, "ft": {**model, "adapter": adapter["path"]}},
                "suite": [
                    {
                        "name": "null",
                        "kind": "null_adapter",
                        "seed_base": adapter["seed_base"],
                        "cache": False,
                    },
                    {"name": "dk", "kind": "delta_kl", "prompts": adapter["prompts"] or own},
                ],
            }
        )
        backend = build(spec.models.ft, adapter_path=Path(adapter["path"]))
        null, effect = run(spec, backend).probes
        results.append(
            {
                "path": adapter["path"],
                "verdict": str(effect.verdict.value),
                "raw": effect.raw,
                "z": effect.z_score,
                "null": null.evidence.get("null_stats", {}).get("delta_kl"),
                "message": effect.message,
                "seconds": time.perf_counter() - began,
            }
        )
    return results


def _calibration_prompts() -> list[str]:
    """What it measures delta_kl's null on."""
    from dlm_sway.probes.base import RunContext
    from dlm_sway.probes.delta_kl import DeltaKLProbe

    spec = DeltaKLProbe.calibrate_spec(RunContext(backend=None))
    return list(spec.prompts)


if __name__ == "__main__":
    answer = measure(json.load(sys.stdin))
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
