"""A ``sway.yaml`` with ``kind: custom`` from collection to verdicts, in both protocols."""

from __future__ import annotations

import json
from typing import Any

import pytest

SPEC = """\
version: 1
models:
  base: {{kind: custom, base: letters, entry_point: "{entry_point}"}}
  ft: {{kind: custom, base: letters, adapter: adapter.txt, entry_point: "{entry_point}"{fields}}}
defaults: {{{defaults}}}
suite:
  - {{name: baseline, kind: null_adapter, {null}}}
  - {{name: dk, kind: delta_kl, positions: 4, prompts: [cha, cab, abc, bad, age, def, bag, beh]}}
  - {{name: prefers, kind: preference_flip, triples: [{triples}]}}
  - {{name: curve, kind: adapter_ablation, positions: 2, prompts: [cha, cab, abc, bad, age]}}
"""
TRIPLES = ", ".join(
    f"{{prompt: {p}, chosen: {c}, rejected: {c[0]}x}}"
    for p, c in zip("adcgko", ("bc", "ef", "de", "hi", "lm", "pq"), strict=True)
)
DIFFERENTIAL = "tests.support.differential_model:AllViews"
SIZE = 6.0
"""What the adapter adds to 27 of 27² logits."""
NULL_SIZE = SIZE / 27**0.5
"""Deviation of a null that is as large: the root of the sum of squares is the adapter's."""
GAUSSIAN = f"family: gaussian, init_scale: {NULL_SIZE}, runs: 8"


def spec(
    entry_point: str, null: str = "runs: 8", fields: str = "", defaults: str = "prompt_policy: raw"
) -> str:
    return SPEC.format(entry_point=entry_point, null=null, fields=fields, defaults=defaults, triples=TRIPLES)


def run(pytester: pytest.Pytester, text: str, *arguments: str, size: float = SIZE) -> Any:
    pytester.makefile(".yaml", sway=text)
    (pytester.path / "adapter.txt").write_text(str(size))
    result = pytester.runpytest("sway.yaml", "--sway-json=out.json", *arguments)
    found = json.loads((pytester.path / "out.json").read_text())
    return result, found, {probe["name"]: probe for probe in found["probes"]}


def test_a_class_of_dlm_sways_runs_unchanged(pytester: pytest.Pytester) -> None:
    result, found, probes = run(pytester, spec(DIFFERENTIAL, GAUSSIAN))
    assert probes["baseline"]["verdict"] == "pass", probes["baseline"]
    assert probes["dk"]["verdict"] == "pass", probes["dk"]
    assert (probes["dk"]["null"]["n"], probes["dk"]["null"]["family"]) == (8, "gaussian")
    assert probes["dk"]["z_score"] > 3
    assert probes["curve"]["verdict"] in ("pass", "warn"), probes["curve"]
    assert probes["prefers"]["verdict"] != "error", probes["prefers"]
    assert "Error" not in result.stdout.str()
    assert found["gate"]["status"] == "passed", found["gate"]
    assert any("gaussian null adapters have the fixed size init_scale" in note for note in found["notes"])


def test_an_adapter_that_is_noise_fails(pytester: pytest.Pytester) -> None:
    """One that is as large as the adapter that passes, and as the nulls."""
    pytester.makepyfile(
        my_noise="""
        from tests.support.differential_model import AllViews, logits

        class Noise(AllViews):
            def as_finetuned(self):
                return self._open("ft", logits(2, self.size))
        """
    )
    pytester.makeini("[pytest]\npythonpath = .\n")
    _, found, probes = run(pytester, spec("my_noise:Noise", GAUSSIAN), size=NULL_SIZE)
    assert probes["dk"]["raw"] > 0.02
    assert probes["dk"]["verdict"] == "fail"
    assert found["gate"]["status"] == "failed"


def test_another_family_than_its_own_has_one_reason(pytester: pytest.Pytester) -> None:
    _, _, probes = run(pytester, spec(DIFFERENTIAL))
    reason = "this backend does not support norm_matched null adapters; use family: gaussian"
    assert (probes["baseline"]["verdict"], probes["baseline"]["message"]) == ("error", reason)
    assert probes["dk"]["not_calibrated"] == reason
    assert probes["dk"]["verdict"] in ("pass", "warn", "fail")


def test_a_value_that_is_not_finite_is_an_error_of_the_probe(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        my_views="""
        import math
        from tests.support.differential_model import AllViews, LetterView

        class Broken(LetterView):
            def logprob_of(self, prompt, completion):
                return math.nan

        class MyViews(AllViews):
            view = Broken
        """
    )
    pytester.makeini("[pytest]\npythonpath = .\n")
    _, _, probes = run(pytester, spec("my_views:MyViews", GAUSSIAN), "-k", "dk or prefers")
    assert probes["prefers"]["verdict"] == "error"
    assert "logprob_of returned nan, which is not a log-probability" in probes["prefers"]["message"]
    assert probes["dk"]["verdict"] == "pass"


def test_a_spec_reads_what_the_class_may_read(pytester: pytest.Pytester) -> None:
    """No field is refused, or said to have no effect; the distributions have as many tokens as are asked."""
    fields = ", endpoint: http://h, tokenizer: t, null_dir: n, dtype: fp32, device: cpu"
    text = spec(DIFFERENTIAL, GAUSSIAN, fields, "prompt_policy: raw, top_k: 20")
    result, found, probes = run(pytester, text, "-k", "dk or baseline")
    result.stdout.no_fnmatch_line("*has no effect*")
    assert any("returns only 20 of 27 tokens" in note for note in found["notes"]), found["notes"]
    assert probes["dk"]["verdict"] == "pass"


def test_a_class_beside_the_spec_is_found_through_pythonpath(pytester: pytest.Pytester) -> None:
    """Without the option the error says how; a module of this name is nowhere else."""
    pytester.makepyfile(beside_the_spec="from tests.support.differential_model import AllViews\n")
    text = spec("beside_the_spec:AllViews", GAUSSIAN)
    pytester.syspathinsert(pytester.mkdir("elsewhere"))
    result, _, _ = run(pytester, text, "-k", "dk")
    beginning = "no backend: models.ft.entry_point: there is no module 'beside_the_spec' in sys.path"
    result.stdout.fnmatch_lines([f'{beginning}*pythonpath = [[]"."[]]*'])
    result.stdout.no_fnmatch_line("*Traceback*")
    pytester.makeini("[pytest]\npythonpath = .\n")
    _, _, probes = run(pytester, text, "-k", "dk or baseline")
    assert probes["dk"]["verdict"] == "pass"


def test_a_hook_comes_before_the_entry_point(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        from tests.support import fake_models

        def pytest_sway_backend(config, model):
            return fake_models.backend(model) if model.entry_point == "no_such_module" else None
        """
    )
    _, _, probes = run(pytester, spec("no_such_module"), "-k", "baseline or dk")
    assert probes["dk"]["verdict"] == "pass"
