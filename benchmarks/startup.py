"""Scenario e: what the installed plugin costs a project that does not use it, and how fast it collects.

*Start-up*: ``pytest -q`` on one trivial test, with the plugin and with ``-p no:pytest_sway``, in pairs
whose order alternates; the figure is the median of the pairs' differences, its spread their quartiles.
The first pair only fills Python's and the disk's caches. *Collection*: ``pytest --collect-only -q`` on a
spec of 1,000 ``delta_kl`` probes, the median of three. *The command*: ``sway --help``, the median of nine.

Which heavy modules were imported by the end is asked in runs of their own, by a small plugin; a module
that another installed plugin imports, with ours switched off, is not ours.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from processes import BenchError, environment, last_line, ran
from scoring import Setting

HEAVY = ("torch", "numpy", "yaml", "pydantic", "transformers", "peft")
PROBES = 1000
COLLECTIONS = 3
HELPS = 9
WITHOUT = ("-p", "no:pytest_sway")
ALONE = ("-p", "no:randomly")
"""pytest-randomly imports what seeds random numbers: thinc, of the extra ``style``, and with it torch."""
_WITNESS = f"""\
import json, os, sys

def pytest_unconfigure(config):
    with open(os.environ["BENCH_LOADED"], "w") as file:
        json.dump([name for name in {HEAVY!r} if name in sys.modules], file)
"""


def measure(setting: Setting, pairs: int) -> dict[str, Any]:
    """Seconds of every run, and the heavy modules at the end of one of each kind."""
    plain, spec = _projects(setting.work)
    with_plugin: list[float] = []
    without: list[float] = []
    arms = ((with_plugin, ()), (without, WITHOUT))
    for pair in range(-1, pairs):
        if pair % 10 == 0:
            setting.say(f"e: pair {pair + 1} of {pairs}")
        for seconds, more in arms if pair % 2 == 0 else arms[::-1]:
            took = _pytest(setting, plain, more)
            if pair >= 0:
                seconds.append(took)
    setting.say("e: collection")
    collect = ("--collect-only",)
    return {
        "with_s": with_plugin,
        "without_s": without,
        "collect_s": [_pytest(setting, spec, collect) for _ in range(COLLECTIONS)],
        "help_s": [_help(setting, plain) for _ in range(HELPS)],
        "modules_with": _loaded(setting, plain, ()),
        "modules_without": _loaded(setting, plain, WITHOUT),
        "modules_collecting": _loaded(setting, spec, collect),
    }


def _projects(work: Path) -> tuple[Path, Path]:
    """A project with one trivial test, and one with a long spec; neither has a model.

    Collection looks for the model's folder and the adapter's files, and reads no weights.
    """
    plain, spec = work / "plain", work / "spec"
    for folder in (plain, spec):
        folder.mkdir()
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        (folder / "witness.py").write_text(_WITNESS, encoding="utf-8")
    (plain / "test_trivial.py").write_text("def test_trivial():\n    assert True\n", encoding="utf-8")
    lines = [
        "version: 1",
        "models:",
        "  base: {kind: hf, base: ./base}",
        "  ft: {kind: hf, base: ./base, adapter: ./adapter}",
        "suite:",
    ]
    for index in range(PROBES):
        lines.append(f"  - name: probe-{index}")
        lines.append("    kind: delta_kl")
        lines.append(f"    prompts: [The warranty covers {index}, To reset pump {index}, Our office]")
    for folder in (spec / "base", spec / "adapter"):
        folder.mkdir()
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 2}
    (spec / "adapter" / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    (spec / "adapter" / "adapter_model.safetensors").write_bytes(_zero_factors())
    (spec / "sway.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return plain, spec


def _zero_factors() -> bytes:
    """A safetensors file with one module's LoRA factors of rank 2, all zero."""
    module = "base_model.model.model.layers.0.self_attn.q_proj"
    header = json.dumps(
        {
            f"{module}.lora_A.weight": {"dtype": "F32", "shape": [2, 4], "data_offsets": [0, 32]},
            f"{module}.lora_B.weight": {"dtype": "F32", "shape": [4, 2], "data_offsets": [32, 64]},
        }
    ).encode()
    return len(header).to_bytes(8, "little") + header + bytes(64)


def _pytest(setting: Setting, folder: Path, more: tuple[str, ...], witness: Path | None = None) -> float:
    env = environment(setting.threads, ours=True)
    if witness is not None:
        env["BENCH_LOADED"] = str(witness)
        more = (*more, "-p", "witness")
    done = ran([sys.executable, "-m", "pytest", "-q", *ALONE, *more], env, cwd=folder)
    if done.code:
        raise BenchError(f"scenario e: pytest in {folder.name} failed: {last_line(done)}")
    if "--collect-only" in more and f"{PROBES} tests collected" not in done.output:
        raise BenchError(f"scenario e: not {PROBES} tests collected: {last_line(done)}")
    return done.seconds


def _help(setting: Setting, folder: Path) -> float:
    done = ran(
        [sys.executable, "-m", "pytest_sway", "--help"], environment(setting.threads, ours=True), cwd=folder
    )
    if done.code:
        raise BenchError(f"scenario e: sway --help failed: {last_line(done)}")
    return done.seconds


def _loaded(setting: Setting, folder: Path, more: tuple[str, ...]) -> list[str]:
    """Which heavy modules were in ``sys.modules`` at the end of such a run."""
    witness = folder / "loaded.json"
    _pytest(setting, folder, more, witness)
    found: list[str] = json.loads(witness.read_text(encoding="utf-8"))
    witness.unlink()
    return found
