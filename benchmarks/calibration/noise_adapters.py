"""Part noise: does an adapter of pure noise ever pass?

Two looks. Every null of the large pool in the subject's place, judged by delta_kl's own rule against random
n-subsets of the rest: a gate needs the effect, so the share of passes bounds the gate's. The rule passes
nothing below z = 3, so it is called only where the vectorised p is that small (and on a sample of the
others, to see that it passes none). And some noise adapters, written as folders, through the real suite
under pytest: every probe, their own dialogues, their own nulls.
"""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from typing import Any

import numpy as np
from markdown_cells import most, percent, table
from null_pools import SPEC, say
from processes import BenchError, environment
from scipy.special import ndtr
from setting import Setting, loaded, started
from shares import p_values, share, trials

from pytest_sway.result import Verdict

JUDGED_AT = (8, 20)
CHECKED = 300
"""Trials above z = 3's p on which the rule is called all the same."""
GATED = 10
_SURE = float(ndtr(-3.0)) * (1 + 1e-9)

Figures = dict[str, Any]


def measure(setting: Setting) -> Figures:
    """Passes among the pool's members, and among folders under pytest."""
    raw: Figures = {"pool": setting.pool, "effect": {}}
    for word in ("own", "gentle"):
        raw["effect"][word] = {str(n): _effect(setting, word, n) for n in JUDGED_AT if n < setting.pool // 2}
        say(f"noise: {word} judged")
    raw["suite"] = _suites(setting)
    return raw


def tables(raw: Figures) -> str:
    """Both looks."""
    rows = [
        (
            word,
            n,
            found["trials"],
            percent(*found["sure"]),
            f"{found['passes']} ({percent(found['passes'] / found['trials'])})",
            found["members"],
            f"{found['checked_passes']} of {found['checked']}",
            most(found["passes"] / found["trials"], 0.00135),
        )
        for word, by_n in raw["effect"].items()
        for n, found in by_n.items()
    ]
    head = ("pool", "n", "trials", "z ≥ 3", "PASS", "nulls that ever pass", "passes at z < 3", "≤ 0.135 %")
    suite = [
        (name, found["gate"], found["composite"], found["verdicts"]) for name, found in raw["suite"].items()
    ]
    passed = sum(found["gate"] == "passed" for found in raw["suite"].values())
    told = f"{passed} of {len(suite)} pass the gate (bar: none): {most(passed, 0)}"
    return "\n".join(
        [
            f"### Noise as the subject: {raw['pool']} null adapters a pool, delta_kl's own rule\n",
            table(head, rows),
            f"### Noise through the quickstart's suite under pytest: {told}\n",
            table(("adapter", "gate", "composite", "verdicts"), suite),
        ]
    )


def _effect(setting: Setting, word: str, n: int) -> Figures:
    draws = [draw["moved"] for draw in setting.pool_of(word)]
    tried = trials(len(draws), n, setting.per_null, seed=1)
    p = p_values([draw.raw or 0.0 for draw in draws], tried, setting.lab.scale("moved"))
    sure = p <= _SURE

    def passes(trial: int) -> bool:
        nulls = [draws[i] for i in tried.nulls[trial]]
        return setting.lab.judge("moved", draws[tried.judged[trial]], nulls).verdict is Verdict.PASS

    passed = [i for i in np.flatnonzero(sure).tolist() if passes(i)]
    others = np.random.default_rng(2).permutation(np.flatnonzero(~sure))[:CHECKED].tolist()
    found = share(sure, tried)
    return {
        "trials": len(p),
        "sure": [found.value, found.low, found.high],
        "passes": len(passed),
        "members": len({int(tried.judged[i]) for i in passed}),
        "checked": len(others),
        "checked_passes": sum(map(passes, others)),
    }


def _suites(setting: Setting) -> Figures:
    """The gate of each noise folder; one session, as a fleet."""
    folders = setting.noises(setting.scaled(GATED, 2))
    reports = setting.work / "noise-reports"
    shutil.rmtree(reports, ignore_errors=True)
    reports.mkdir()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", SPEC, f"--sway-json={reports}"]
    command += [f"--sway-adapter={folder}" for folder in folders]
    done = started(command, environment(setting.threads, ours=True))
    suites = [loaded(path) for path in sorted(reports.glob("*.json"))]
    if len(suites) != len(folders):
        raise BenchError(f"pytest wrote {len(suites)} reports: {done.stdout[-300:]} {done.stderr[-300:]}")
    return {
        suite["adapter_id"].rsplit("/", 1)[-1]: {
            "gate": suite["gate"]["status"],
            "composite": f"{suite['score']['overall']:.2f}",
            "verdicts": ", ".join(f"{p['name']} {p['verdict']}" for p in suite["probes"]),
            "count": dict(Counter(p["verdict"] for p in suite["probes"])),
        }
        for suite in suites
    }
