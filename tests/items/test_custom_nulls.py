"""A user's own adapters as the null, from a spec to the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import peft_adapters
from tests.support.paths import QUICKSTART

SPEC = f"""
version: 1
models:
  base: {{kind: hf, base: {QUICKSTART}/base, dtype: fp32, device: cpu}}
  ft: {{kind: hf, base: {QUICKSTART}/base, adapter: healthy, dtype: fp32, device: cpu}}
suite:
  - {{name: baseline, kind: null_adapter, family: yours, adapters: [healthy, "shuffled-*"]}}
  - {{name: dk, kind: delta_kl, positions: 1, prompts: [The harbour, She said, A lamp, In spring, The oil]}}
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    (pytester.path / "healthy").symlink_to(QUICKSTART / "adapters" / "healthy")
    for i in range(4):
        size = 0.002 + 0.0001 * i
        config = peft_adapters.lora(r=8, lora_alpha=16)
        peft_adapters.save_adapter(pytester.path / f"shuffled-{i}", config, size=size)
    (pytester.path / "sway.yaml").write_text(SPEC)
    return pytester


def test_custom_nulls_calibrate_without_the_adapter_itself(project: pytest.Pytester) -> None:
    result = project.runpytest("sway.yaml", "--sway-json=out.json", "-v")
    result.stdout.fnmatch_lines(
        [
            "  1 of 1 effects pass; 1 of 1 effects are clearly beyond your null adapters*",
            "*0 of your 4 null adapters would pass the effect*",
            "*strongest, dk: real and large enough: * nats more than your null*",
            "*4 null adapters of your own*",
            "*beyond all 4 null adapters of your own, which range from * to*",
            "0 of your 4 null adapters would pass the effect probes*",
            "*null adapters ignored, because they are copies of each other*",
        ]
    )
    found = json.loads((project.path / "out.json").read_text())
    (dk,) = [probe for probe in found["probes"] if probe["name"] == "dk"]
    assert (dk["null"]["family"], dk["null"]["n"]) == ("yours", 4)
    assert dk["null"]["draws"] == sorted(dk["null"]["draws"])  # larger noise, larger effect


def test_one_that_cannot_be_a_null_fails_the_gate_and_is_named(project: pytest.Pytester) -> None:
    peft_adapters.save_adapter(Path(project.path / "shuffled-9"), peft_adapters.lora(use_dora=True))
    result = project.runpytest("sway.yaml")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["ERROR null_adapter: *shuffled-9 cannot be used as a null adapter: a null adapter must be*"]
    )
    result.stdout.fnmatch_lines(["GATE FAILED*"])
