"""The surfaces: terminal, JSON, JUnit, from the same results."""

from __future__ import annotations

import json
import os
import xml.etree.ElementTree as ET
from pathlib import Path

import execnet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.reports.report_files import write_file
from pytest_sway.result import ProbeResult, Verdict
from pytest_sway.suites.json_conversion import from_json, to_json
from pytest_sway.suites.non_finite import without_non_finite
from pytest_sway.text import formatting
from tests.support.fake_models import SPEC

CONTRACT_KEYS = {
    "schema_version", "sway_version", "spec_path", "base_model_id", "adapter_id", "started_at",
    "finished_at", "wall_seconds", "determinism", "backend_stats", "score", "null_stats", "probes",
}  # fmt: skip
PROBE_KEYS = {
    "name", "kind", "verdict", "score", "raw", "z_score", "base_value", "ft_value", "evidence", "message",
    "duration_s", "ci_95",
}  # fmt: skip

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=8,
)
maybe = st.none() | st.floats()


@given(
    maybe, maybe, maybe, st.none() | st.tuples(st.floats(), st.floats()), st.dictionaries(st.text(), anything)
)
def test_any_result_crosses_to_the_controller_as_standard_json(
    score: float | None,
    raw: float | None,
    z: float | None,
    ci: tuple[float, float] | None,
    evidence: dict[str, object],
) -> None:
    result = without_non_finite(
        ProbeResult("p", "k", Verdict.PASS, "m", score=score, raw=raw, z_score=z, ci_95=ci, evidence=evidence)
    )
    wire = to_json(result)
    text = json.dumps(wire, allow_nan=False)
    assert execnet.loads(execnet.dumps(text)) == text
    again = from_json(ProbeResult, json.loads(text))
    assert (again.verdict, again.raw, again.score, again.ci_95) == (
        result.verdict,
        result.raw,
        result.score,
        result.ci_95,
    )


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_non_finite_raw_is_an_error_and_an_extra_null(bad: float) -> None:
    broken = without_non_finite(ProbeResult("p", "k", Verdict.PASS, "m", score=1.0, raw=bad))
    assert (broken.verdict, broken.raw, broken.score) == (Verdict.ERROR, None, None)
    assert broken.evidence["non_finite_inputs"] == ["raw"]
    extra = without_non_finite(
        ProbeResult(
            "p", "k", Verdict.PASS, "m", score=1.0, raw=0.5, z_score=bad, evidence={"worst": [1.0, bad]}
        )
    )
    assert (extra.verdict, extra.z_score) == (Verdict.PASS, None)
    assert extra.evidence == {"worst": [1.0, None], "defensively_nulled": ["z_score", "evidence.worst"]}


def test_json_is_dlm_sways_schema_with_additions(project: pytest.Pytester) -> None:
    project.runpytest("--sway-json=deep/out.json")
    found = json.loads((project.path / "deep" / "out.json").read_text())
    assert set(found) >= CONTRACT_KEYS
    assert found["schema_version"] == 1
    assert all(set(probe) >= PROBE_KEYS for probe in found["probes"])
    assert set(found["score"]) >= {"overall", "band", "components", "weights", "findings"}
    assert set(found["null_stats"]["delta_kl"]) == {"mean", "std", "n", "degenerate"}
    (dk,) = [probe for probe in found["probes"] if probe["name"] == "dk"]
    assert dk["evidence"]["weight"] == 1.0
    assert dk["ci_95"][0] < dk["raw"] < dk["ci_95"][1]
    assert list((project.path / "deep").iterdir()) == [project.path / "deep" / "out.json"]


def test_a_link_stays_a_link_and_a_pipe_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to("real.json")
    write_file(tmp_path / "link.json", "new")
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "real.json").read_text() == "new"
    write_file(Path(os.devnull), "nothing")
    assert not Path(os.devnull).is_file()


def test_several_suites_go_into_a_folder(project: pytest.Pytester) -> None:
    (project.path / "two.sway.yaml").write_text(SPEC)
    project.runpytest("--sway-json=results")
    written = sorted(path.name for path in (project.path / "results").iterdir())
    assert written == ["sway.yaml.json", "two.sway.yaml.json"]


def test_junit_carries_scalars_composite_and_gate(project: pytest.Pytester) -> None:
    project.makefile(".yaml", sway=SPEC.replace("base: fakellm", "base: weak"))
    project.runpytest("--junitxml=j.xml")
    (suite,) = ET.parse(project.path / "j.xml").getroot()
    of_suite = {p.get("name"): p.get("value") for p in suite.findall("properties/property")}
    assert set(of_suite) == {"overall", "band", "component.adherence", "component.baseline", "gate"}
    assert of_suite["gate"].startswith("failed; 1 probe failed: dk (sway.yaml:7): ")
    cases = {case.get("name"): case for case in suite.findall("testcase")}
    assert cases["dk"].findall("properties/property") == []
    assert cases["gate"].get("classname") == "sway.yaml"
    (failure,) = cases["gate"].findall("failure")
    assert str(failure.get("message")).startswith("GATE FAILED")
    assert (suite.get("tests"), suite.get("failures")) == ("5", "2")


def test_junit_carries_a_probes_numbers_when_the_ini_asks(project: pytest.Pytester) -> None:
    project.runpytest("--junitxml=j.xml", "-o", "sway_junit_probes=true")
    (suite,) = ET.parse(project.path / "j.xml").getroot()
    (dk,) = [case for case in suite.findall("testcase") if case.get("name") == "dk"]
    of_dk = {p.get("name"): p.get("value") for p in dk.findall("properties/property")}
    assert of_dk["sway_verdict"] == "pass"
    assert float(of_dk["sway_raw"]) > 0.1  # type: ignore[arg-type]


@pytest.mark.parametrize(("arguments", "tag"), [([], None), (["-k", "dk"], "skipped")])
def test_junit_shows_a_gate_that_passed_or_was_not_asked(
    project: pytest.Pytester, arguments: list[str], tag: str | None
) -> None:
    project.runpytest("--junitxml=j.xml", *arguments)
    (suite,) = ET.parse(project.path / "j.xml").getroot()
    (gate,) = [case for case in suite.findall("testcase") if case.get("name") == "gate"]
    assert [child.tag for child in gate] == ([] if tag is None else [tag])


@pytest.mark.parametrize(
    ("value", "score", "raw", "z"),
    [
        (None, "—", "—", "—"),
        (float("nan"), "—", "—", "—"),
        (0.0, "0.00", "0.000", "+0.00σ"),
        (1234.5678, "1234.57", "1,234.568", "+1,234.57σ"),
        (10.0, "10.00", "10.000", "≥+10.00σ"),
        (-0.00001, "-0.00", "-1.0e-05", "-0.00σ"),
        (-10.0, "-10.00", "-10.000", "≤-10.00σ"),
    ],
)
def test_numbers(value: float | None, score: str, raw: str, z: str) -> None:
    assert (formatting.score(value), formatting.raw(value), formatting.z(value)) == (score, raw, z)


@pytest.mark.parametrize(("seconds", "text"), [(1.234, "1.23s"), (12.34, "12.3s"), (123.4, "123s")])
def test_durations(seconds: float, text: str) -> None:
    assert formatting.duration(seconds) == text
