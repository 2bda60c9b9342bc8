"""The real dlm beside us: its harvest reads our report, its preference judge runs on our package."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pytest_sway.cli.main import main
from pytest_sway.dlm.reader import read_dlm
from tests.support.dlm_store import handbook, write_project
from tests.support.paths import ROOT

dlm = pytest.importorskip("dlm", reason="pip install --no-deps document-language-model python-ulid cbor2")

COMPAT = ROOT / "compat" / "dlm_sway" / "src"
EFFECT_KINDS = {
    "delta_kl",
    "adapter_revert",
    "section_internalization",
    "paraphrase_invariance",
    "preference_flip",
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    found = write_project(tmp_path, handbook(body=PREFERENCES), adapter="random")
    monkeypatch.setenv("DLM_HOME", str(found.home))
    monkeypatch.chdir(tmp_path)
    return found


PREFERENCES = "\n::preference::\n" + "\n\n".join(
    f"### Prompt\nTell me fact {number} of the works.\n### Chosen\nThe works has {number} red lanterns.\n"
    f"### Rejected\nThere are no lanterns number {number} here."
    for number in range(8)
)


@pytest.mark.slow
def test_a_failing_report_becomes_probes_of_the_document(project):
    from dlm.data.sections_to_rows import sections_to_rows
    from dlm.doc.parser import parse_file
    from dlm.harvest.applier import apply_plan
    from dlm.harvest.diff import build_plan
    from dlm.harvest.sway_reader import read_sway_report

    assert main(["autogen", "handbook.dlm"]) == 0
    assert main(["run", "sway.yaml", "--json", "report.json"]) in (0, 1)
    report = json.loads(Path("report.json").read_text("utf-8"))
    failed = [probe for probe in report["probes"] if probe["verdict"] == "fail"]
    effects = {probe["kind"] for probe in failed} & EFFECT_KINDS
    assert effects  # a random adapter has learned nothing

    candidates = read_sway_report("report.json", strict=True)
    assert {one.probe_kind for one in candidates} >= effects

    parsed = parse_file(project.document)
    apply_plan(parsed, build_plan(parsed, candidates), target=project.document)
    sections_to_rows(list(parse_file(project.document).sections))  # dlm can train on it
    file, notes = read_dlm(project.document)
    harvested = [s for s in file.sections if s.content.startswith("### Q !probe")]
    assert len(harvested) == len({(c.prompt, c.reference) for c in candidates})
    assert not notes
    spec = yaml.safe_load(Path("sway.yaml").read_text("utf-8"))
    assert spec["dlm_source"] == "./handbook.dlm"
    assert main(["run", "sway.yaml", "--dry-run"]) == 0  # and the spec reads the longer document


@pytest.mark.slow
def test_the_judge_of_dlms_preference_miner(tmp_path):
    project = write_project(tmp_path)
    code = f"""
from pathlib import Path
from dlm.preference.judge import build_judge
judge = build_judge("sway", dlm_path=Path({str(project.document)!r}))
pair = judge.score_pair(
    "Who founded the lantern works?",
    "The works was founded by Odile Marrow, a widow who had once been a sail maker.",
    "The works was founded by a painter from the hills, who had never seen the sea before.",
)
print(pair.score_a, pair.score_b)
"""
    paths = [str(COMPAT), str(Path(dlm.__file__).parents[1])]
    run = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {paths}\n{code}"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "", "DLM_HOME": str(project.home), "HF_HUB_OFFLINE": "1"},
    )
    assert run.returncode == 0, run.stderr
    learned, other = map(float, run.stdout.split())
    assert learned > other + 0.5


def test_the_names_that_dlm_imports(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(COMPAT))
    project = write_project(tmp_path)
    monkeypatch.setenv("DLM_HOME", str(project.home))
    from dlm_sway.core.errors import SwayError
    from dlm_sway.integrations.dlm.autogen import build_spec_dict
    from dlm_sway.integrations.dlm.resolver import resolve_dlm

    spec = build_spec_dict(resolve_dlm(project.document), dlm_source="handbook.dlm")
    (tmp_path / "sway.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    assert main(["run", str(tmp_path / "sway.yaml"), "--dry-run"]) == 0
    with pytest.raises(SwayError, match=r"nothing\.dlm"):
        resolve_dlm(tmp_path / "nothing.dlm")
