"""A suite on kind: mlx under pytest, where nothing but mlx-lm is installed."""

from __future__ import annotations

import json

import pytest

from tests.support.paths import QUICKSTART

SPEC = f"""
version: 1
models:
  base: &m {{kind: mlx, base: {QUICKSTART / "base"}, device: cpu}}
  ft: {{<<: *m, adapter: {QUICKSTART / "adapters" / "healthy"}}}
suite:
  - {{name: baseline, kind: null_adapter}}
  - {{name: dk, kind: delta_kl, prompts: [The master of the works is, A lantern, Salt], positions: 2}}
"""
WITHOUT_TORCH = """
import importlib.util
import sys

ABSENT = {"torch", "peft", "bitsandbytes", "accelerate", "sentence_transformers", "sklearn"}
find_spec = importlib.util.find_spec


class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Absent())
importlib.util.find_spec = lambda name, package=None: (
    None if name.partition(".")[0] in ABSENT else find_spec(name, package)
)
"""


@pytest.mark.slow
def test_a_suite_without_torch_and_without_peft(pytester: pytest.Pytester) -> None:
    pytester.makefile(".yaml", sway=SPEC)
    pytester.makepyfile(without_torch=WITHOUT_TORCH)
    result = pytester.runpytest_subprocess("-p", "without_torch", "sway.yaml", "--sway-json=out.json")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*random adapters (norm_matched)*"])
    report = json.loads((pytester.path / "out.json").read_text("utf-8"))
    assert [probe["verdict"] for probe in report["probes"]] == ["pass", "pass"]
    assert report["probes"][1]["raw"] > 0.1


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (
            "quantization: nf4",
            "*models.ft.quantization: only kind: hf supports this field. With kind: mlx, remove this field*",
        ),
        (
            "device: cuda",
            "*no backend: models.ft.device: found 'cuda'; kind: mlx supports only auto, cpu and gpu*",
        ),
    ],
)
def test_a_field_of_another_kind(pytester: pytest.Pytester, field: str, message: str) -> None:
    pytester.makefile(".yaml", sway=SPEC.replace("device: cpu", field))
    result = pytester.runpytest("sway.yaml")
    result.stdout.fnmatch_lines([message])
    result.stdout.no_fnmatch_line("*Traceback*")
