"""Part dlm-sway: how often dlm-sway 0.1.0's delta_kl calls noise an effect, its null_adapter at its defaults.

Four kinds of noise-and-prompts: of its own null family (Gaussian factors, standard deviation 0.02) on the
prompts that it measures its null on, which isolates "three runs, population sd"; the same on the quickstart's
prompts; and noise of the healthy adapter's size on both. Every adapter has its own seed base. Of the probes
that ours calibrates it has no null for adapter_ablation and multi_turn_coherence_decay.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapter_files import factors_of, fixed_noise, write
from markdown_cells import exact, table
from null_pools import HEALTHY, QUICKSTART, say
from processes import HERE as SIBLINGS
from processes import BenchError, environment, find_dlm_sway, last_line, ran
from setting import Setting
from shares import OLD_BARS

COUNT = 100
KINDEST = 200
SCRIPT = SIBLINGS / "calibration" / "dlm_sway_delta_kl.py"

Figures = dict[str, Any]


def measure(setting: Setting) -> Figures:
    """Verdicts and z of noise, and of the trained."""
    dlm_sway = find_dlm_sway(setting.dlm_sway_python, setting.threads)
    if dlm_sway.missing:
        return {"missing": dlm_sway.missing}
    count, kindest = setting.scaled(COUNT, 4), setting.scaled(KINDEST, 6)
    real = factors_of(HEALTHY)
    own = [write(setting.work / f"fixed-{i}", fixed_noise(real, 5000 + i), HEALTHY) for i in range(kindest)]
    like = setting.noises(count)
    asked: list[str] = setting.lab.probes["moved"].options.prompts
    trained = {**setting.trained(), "healthy (600 steps)": HEALTHY}
    cases: dict[str, tuple[Sequence[Path], list[str]]] = {
        "its null's family, its null's prompts": (own, []),
        "its null's family, the quickstart's prompts": (own[:count], asked),
        "healthy's size, its null's prompts": (like, []),
        "healthy's size, the quickstart's prompts": (like, asked),
        "trained": (list(trained.values()), asked),
    }
    raw: Figures = {"noise": {}}
    for number, (name, (folders, prompts)) in enumerate(cases.items()):
        adapters = [
            {"path": str(folder), "prompts": prompts, "seed_base": 100_000 * (number + 1) + 100 * i}
            for i, folder in enumerate(folders)
        ]
        job = {"base": str(QUICKSTART / "base"), "threads": setting.threads, "adapters": adapters}
        found = ran([dlm_sway.python, SCRIPT], environment(setting.threads, ours=False), text=json.dumps(job))
        if found.code:
            raise BenchError(f"dlm-sway: {last_line(found)}")
        answers = json.loads(found.output.strip().splitlines()[-1])
        if name == "trained":
            raw[name] = dict(zip(trained, answers, strict=True))
        else:
            raw["noise"][name] = answers
        say(f"dlm-sway: {name}")
    return raw


def tables(raw: Figures) -> str:
    """Shares among noise; the trained."""
    if "missing" in raw:
        return f"### dlm-sway 0.1.0\n\nnot available: {raw['missing']}\n"
    rows = []
    for name, answers in raw["noise"].items():
        z = [answer["z"] for answer in answers if answer["z"] is not None]
        told = (exact(sum(v >= bar for v in z), len(answers)) for bar in OLD_BARS)
        passed = sum(answer["verdict"] == "pass" for answer in answers)
        middle = sorted(z)[len(z) // 2] if z else float("nan")
        rows.append((name, len(answers), f"{middle:+.1f}", *told, exact(passed, len(answers))))
    head = ("noise, prompts", "adapters", "median z", *(f"z ≥ {bar:g}" for bar in OLD_BARS), "PASS")
    trained = [
        (name, f"{one['raw']:.3g}", f"{one['z']:+.1f}", one["verdict"])
        for name, one in raw["trained"].items()
    ]
    return "\n".join(
        [
            "### dlm-sway 0.1.0: delta_kl on pure noise (nominal: 5 %, 1 %, 0.135 %)\n",
            table(head, rows),
            "The same on adapters that learned something\n",
            table(("adapter", "its mean JS", "z", "verdict"), trained),
        ]
    )
