"""The JSON Schema of a spec takes what collection takes, and refuses what collection refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import ConfigDict

from pytest_sway.cli.main import main
from pytest_sway.cli.spec_schema import spec_schema
from pytest_sway.items.suite_entries import read_entries
from pytest_sway.probes.base import ProbeOptions
from pytest_sway.probes.delta_kl import DeltaKL
from pytest_sway.probes.registry import Kinds
from pytest_sway.spec.parser import parse
from pytest_sway.spec.yaml_source import read_spec
from tests.support.paths import ROOT

SPECS = sorted(
    path
    for folder in ("examples/quickstart", "conftest_templates")
    for path in ROOT.glob(f"{folder}/**/*sway.yaml")
)
MODELS = "models: {base: {base: m}, ft: {base: m, adapter: a}}\n"


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    return Draft202012Validator(spec_schema(Kinds()))


def collected(text: str, tmp_path: Path) -> bool:
    """Whether a spec's form is right as collection sees it, whatever its files hold."""
    path = tmp_path / "sway.yaml"
    path.write_text(text, encoding="utf-8")
    source = read_spec(path)
    spec, _ = parse(source, adapters=())
    return spec is not None and not read_entries(source, Kinds())[1]


def test_every_spec_of_the_repository_is_valid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "sway.schema.json"
    assert main(["schema", "--out", str(file)]) == 0
    assert not capsys.readouterr().out
    checker = [sys.executable, "-m", "check_jsonschema"]
    assert len(SPECS) > 5
    for arguments in (["--check-metaschema", file], ["--schemafile", file, *SPECS]):
        done = subprocess.run([*checker, *map(str, arguments)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_it_is_json_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["properties"]["suite"]["items"]["properties"]["kind"]["enum"]


@pytest.mark.parametrize(
    "text",
    [
        MODELS,
        "version: 1\n" + MODELS + "x-prompts: &p [a]\nsuite: [{name: n, kind: delta_kl, prompts: *p}]",
        "models: {base: {base: m}, ft: {base: m, adapter: [a, b], kind: '${SWAY_NO_KIND:-hf}'}}",
        "models: {base: {base: m}, ft: {base: m, adapter: null, quantization: nf4}}",
        MODELS + "sections: [{id: s, content: text}]\ncontrols: [text]\nsuite: []",
        MODELS + "suite: [{name: n, kind: tool_use_fidelity, cases: builtin}]",
        MODELS
        + "suite: [{name: n, kind: adapter_revert, cases: [{prompt: p, gold: g, paraphrases: [q], _by: x}]}]",
        MODELS
        + "suite: [{name: n, kind: adapter_ablation, prompts: [p], assert_saturation_between: [0.2, 0.9]}]",
        MODELS + "suite: [{name: n, kind: calibration_drift, items: [[p, g]], assert_mean_delta_gte: -.inf}]",
        MODELS + "suite: [{name: n, kind: null_adapter, runs: 5, enabled: false, weight: 2, timeout: 60}]",
    ],
)
def test_what_collection_takes(validator: Draft202012Validator, tmp_path: Path, text: str) -> None:
    assert collected(text, tmp_path)
    assert [error.message for error in validator.iter_errors(yaml.safe_load(text))] == []


@pytest.mark.parametrize(
    "text",
    [
        "suite: []",
        "version: 2\n" + MODELS,
        MODELS + "suites: []",
        "models: {base: {base: m}, ft: {base: m, kind: hff}}",
        "models: {base: {base: m}, ft: {base: m, quantisation: nf4}}",
        "models: {base: {base: m}, ft: {base: m, api_key: abc}}",
        MODELS + "defaults: {coverage_threshold: 2}",
        MODELS + "suite: [{kind: null_adapter}]",
        MODELS + "suite: [{name: n, kind: delta_k, prompts: [p]}]",
        MODELS + "suite: [{name: n, kind: delta_kl, prompts: []}]",
        MODELS + "suite: [{name: n, kind: delta_kl, prompt: [p]}]",
        MODELS + "suite: [{name: n, kind: delta_kl, prompts: [p], divergence: tv}]",
        MODELS + "suite: [{name: n, kind: preference_flip, assert_flip_rate_gte: 1.5}]",
        MODELS + "suite: [{name: n, kind: tool_use_fidelity, cases: built-in}]",
    ],
)
def test_what_collection_refuses(validator: Draft202012Validator, tmp_path: Path, text: str) -> None:
    assert not collected(text, tmp_path)
    assert not validator.is_valid(yaml.safe_load(text))


class Opaque:
    """A type of which pydantic knows no form."""


class OwnOptions(ProbeOptions):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    metric: Opaque | None = None


@pytest.mark.parametrize("options", [ProbeOptions, OwnOptions])
def test_a_kind_of_a_plugin(options: Any) -> None:
    own = type("Own", (DeltaKL,), {"kind": "own", "options_type": classmethod(lambda cls: options)})
    schema = spec_schema(Kinds({"own": own}))
    spec = yaml.safe_load(MODELS + "suite: [{name: n, kind: own}]")
    assert Draft202012Validator(schema).is_valid(spec)
    spec["suite"][0]["prompts"] = ["p"]
    knows_its_options = options is ProbeOptions
    assert Draft202012Validator(schema).is_valid(spec) is not knows_its_options
