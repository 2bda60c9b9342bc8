"""Results of earlier runs: what can be read back, and what is told where a file is something else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.reports import json_report
from pytest_sway.reports.saved import SavedResultError, read, suite_of
from pytest_sway.result import Verdict

RIVALS = Path(__file__).parent / "saved" / "dlm-sway-0.1.0.json"
"""Written by dlm-sway 0.1.0 on the quickstart's healthy adapter."""


def test_what_was_written_is_read_back_whole(planted: pytest.Pytester) -> None:
    planted.runpytest("--sway-json=out.json")
    text = (planted.path / "out.json").read_text(encoding="utf-8")
    suite = read(planted.path / "out.json")
    assert json.loads(json_report.text(suite)) == json.loads(text)
    (dk,) = [probe for probe in suite.probes if probe.name == "dk"]
    assert dk.verdict is Verdict.PASS
    assert [one["item"] for one in dk.samples] == ["one", "two", "three", "four", "five"]
    assert sum(one["value"] for one in dk.samples) / 5 == pytest.approx(dk.raw)


def test_a_result_of_dlm_sway_is_read() -> None:
    suite = read(RIVALS)
    written = json.loads(RIVALS.read_text())
    assert [probe.name for probe in suite.probes] == ["baseline", "moved", "strength"]
    assert [probe.raw for probe in suite.probes] == [probe["raw"] for probe in written["probes"]]
    assert suite.score.overall == written["score"]["overall"]
    assert suite.probes[1].samples == []
    assert suite.gate["status"] == "unknown"


PROBE = {"name": "a", "kind": "delta_kl", "verdict": "pass"}
GOOD: dict[str, Any] = {"score": {"overall": 0.5}, "probes": [PROBE]}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ([], "r.json: is no result"),
        ({"score": {"overall": 0.5}}, "r.json: is no result"),
        ({**GOOD, "schema_version": 2}, "r.json: schema_version: found 2, this version reads 1"),
        ({**GOOD, "score": {}}, "r.json: score.overall: field required"),
        ({**GOOD, "probes": [{"name": "a", "kind": "b"}]}, "r.json: probes.0.verdict: field required"),
        ({**GOOD, "probes": [{**PROBE, "verdict": "fine"}]}, "r.json: probes.0.verdict: input should"),
        ({**GOOD, "probes": [3]}, "r.json: probes.0: "),
        ({**GOOD, "probes": None}, "r.json: probes: "),
    ],
)
def test_what_is_no_result_is_told_in_one_line(content: Any, told: str) -> None:
    with pytest.raises(SavedResultError) as caught:
        suite_of(content, "r.json")
    assert str(caught.value).startswith(told)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_or_is_no_json_is_told(tmp_path: Path) -> None:
    with pytest.raises(SavedResultError, match=r"none\.json: cannot be read: No such file"):
        read(tmp_path / "none.json")
    (tmp_path / "half.json").write_text('{"probes": [')
    with pytest.raises(SavedResultError, match=r"half\.json: is no JSON"):
        read(tmp_path / "half.json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SavedResultError, match=r"bytes\.json: is no JSON"):
        read(tmp_path / "bytes.json")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
keys = ["name", "kind", "verdict", "score", "raw", "ci_95", "evidence", "samples", "null", "weight"]


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(keys, anything)), st.floats())
def test_any_probe_is_read_or_told_in_one_line(probe: dict[str, Any], overall: float) -> None:
    content = {"score": {"overall": overall}, "probes": [{**PROBE, **probe}]}
    try:
        suite = suite_of(content, "r.json")
    except SavedResultError as error:
        assert str(error).startswith("r.json: ")
    else:
        assert json.loads(json_report.text(suite))["score"]["overall"] == overall
