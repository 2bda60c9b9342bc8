"""``sway autogen``: a spec of a `.dlm` document, and what stands in the way of one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pytest_sway.items.suite import load_suite
from tests.cli.test_main import output, refusal
from tests.support.dlm_store import Project, handbook, write_project

ORDER = [
    "null_baseline",
    "delta_kl_doc",
    "revert_check",
    "prompt_collapse",
    "section_attribution",
    "paraphrase_invariance",
    "style_shift",
    "general_knowledge",
    "external_ppl",
    "verbatim_leak",
    "cluster_kl_topics",
    "adapter_ablation",
    "dialogue",
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    found = write_project(tmp_path)
    monkeypatch.setenv("DLM_HOME", str(found.home))
    return found


def test_a_spec_that_runs(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    lines = output(capsys, "autogen", "handbook.dlm").splitlines()
    assert lines[-1] == "next: sway run sway.yaml"
    spec = yaml.safe_load(Path("sway.yaml").read_text("utf-8"))
    assert [entry["name"] for entry in spec["suite"]] == ORDER
    assert Path(spec["models"]["ft"]["adapter"]).samefile(project.store / "adapter/versions/v0001")
    assert spec["dlm_source"] == "./handbook.dlm"
    assert "sections" not in spec
    suite = load_suite(Path("sway.yaml"))
    assert len(suite.spec.document.sections) == 7
    text = Path("sway.yaml").read_text("utf-8")
    assert "# not included: preference_flip (needs rows with chosen and rejected answers)" in text
    assert "dlm_id 01HZ4X7TGZM3J1A2B3C4D5E6F7" in text


def test_an_edited_spec_is_kept(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    output(capsys, "autogen", "handbook.dlm")
    output(capsys, "autogen", "handbook.dlm")  # nobody edited it
    spec = Path("sway.yaml")
    spec.write_text(edited := spec.read_text("utf-8").replace("standard", "thorough"), "utf-8")
    assert "sway.yaml exists and was edited" in refusal(capsys, "autogen", "handbook.dlm")
    assert spec.read_text("utf-8") == edited
    output(capsys, "autogen", "handbook.dlm", "--force")
    spec.write_text("# my notes\n" + spec.read_text("utf-8"), "utf-8")  # at the top too
    refusal(capsys, "autogen", "handbook.dlm")
    output(capsys, "autogen", "handbook.dlm", "-o", "other.yaml")
    output(capsys, "autogen", "handbook.dlm", "--force")
    assert spec.read_text("utf-8") != edited


def test_what_stands_in_the_way(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nothing.dlm: the document cannot be read" in refusal(capsys, "autogen", "nothing.dlm")
    assert "has no adapter 'tone'" in refusal(capsys, "autogen", "handbook.dlm", "--adapter", "tone")
    assert "would overwrite an input file" in refusal(capsys, "autogen", "handbook.dlm", "-o", "handbook.dlm")
    (project.store / "adapter/current.txt").unlink()
    assert "run dlm train handbook.dlm first" in refusal(capsys, "autogen", "handbook.dlm")
    project.document.write_text("no front matter")
    assert "handbook.dlm:1: " in refusal(capsys, "autogen", "handbook.dlm")


def test_the_system_prompt_stands_in_the_spec(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.document.write_text(handbook(front="system_prompt: Be brief.\n"))
    output(capsys, "autogen", "handbook.dlm")
    assert yaml.safe_load(Path("sway.yaml").read_text("utf-8"))["defaults"]["system_prompt"] == "Be brief."
    assert load_suite(Path("sway.yaml")).notes == ()


def test_quantization_and_revision(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.document.write_text(handbook(base="hf:org/name", front="training:\n  adapter: qlora\n"))
    (project.store / "manifest.json").write_text('{"base_model_revision": "' + "a" * 40 + '"}')
    output(capsys, "autogen", "handbook.dlm")
    base = yaml.safe_load(Path("sway.yaml").read_text("utf-8"))["models"]["base"]
    assert base == {"kind": "hf", "base": "org/name", "revision": "a" * 40, "quantization": "nf4"}
