"""Each template in conftest_templates, copied into a project, its marked lines filled in, and run."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import peft
import pytest
import transformers
import yaml

from pytest_sway.result import Gate
from tests.support.paths import QUICKSTART, ROOT

TEMPLATES = ROOT / "conftest_templates"
BASE, ADAPTERS = QUICKSTART / "base", QUICKSTART / "adapters"
PROMPTS: list[str] = yaml.safe_load((QUICKSTART / "sway.yaml").read_text())["suite"][1]["prompts"][:6]
ELSEWHERE = 'ELSEWHERE = ["In the year 1912", "She took the road to", "The price of bread is"]'
TEXTS = f"prompts: {json.dumps(PROMPTS)}"


def filled(template: str, project: Path, lines: Mapping[str, Sequence[str | None]]) -> None:
    """Copy a template and put ``lines`` in the place of those that it marks, file by file; None keeps one."""
    source = TEMPLATES / template
    shutil.copytree(source, project, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    files = [path for end in ("py", "yaml", "yml", "ini") for path in source.rglob(f"*.{end}")]
    marked = {str(path.relative_to(source)) for path in files if "# CHANGE: " in path.read_text()}
    assert marked == set(lines)
    for name, values in lines.items():
        text = (project / name).read_text().splitlines()
        places = [number for number, line in enumerate(text) if "# CHANGE: " in line]
        for number, value in zip(places, values, strict=True):
            if value is not None:
                indent = " " * (len(text[number]) - len(text[number].lstrip()))
                text[number] = indent + value
        (project / name).write_text("\n".join([*text, ""]))


def models(ft: str) -> list[str]:
    return [
        f"base: {{kind: hf, base: {BASE}, dtype: fp32, device: cpu}}",
        f"ft: {{kind: hf, {ft}, dtype: fp32, device: cpu}}",
    ]


def of_adapter(where: Path | str) -> list[str]:
    return models(f"base: {BASE}, adapter: {where}")


def results(path: Path) -> dict[str, str]:
    return {probe["name"]: probe["verdict"] for probe in json.loads(path.read_text())["probes"]}


@pytest.mark.slow
def test_hf(pytester: pytest.Pytester) -> None:
    """In a folder below the rootdir, as it would stand in a project."""
    texts = TEXTS.replace("prompts:", "prompts: &texts")
    spec = [*of_adapter(ADAPTERS / "healthy"), texts]
    filled("hf", pytester.path / "tests" / "sway", {"sway.yaml": spec, "test_adapter.py": [ELSEWHERE, None]})
    result = pytester.runpytest("--sway-json=out.json")
    result.assert_outcomes(passed=4)
    assert results(pytester.path / "out.json") == {"baseline": "pass", "moved": "pass", "strength": "pass"}
    result.stdout.fnmatch_lines(
        ["tests/sway/test_adapter.py::test_other_texts_stay_as_they_were: elsewhere *"]
    )


@pytest.mark.slow
def test_fleet(pytester: pytest.Pytester) -> None:
    for number, name in enumerate(["inert", "healthy"]):
        shutil.copytree(ADAPTERS / name, pytester.path / "out" / f"checkpoint-{number}")
    filled("fleet", pytester.path, {"sway.yaml": [*of_adapter("./out/checkpoint-*"), TEXTS]})
    result = pytester.runpytest()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    at = result.outlines.index("checkpoints, best first:")
    best, worst = result.outlines[at + 1 : at + 3]
    assert re.fullmatch(r"  0\.\d\d  passed  .*/out/checkpoint-1", best)
    assert re.fullmatch(r"  0\.00  failed  .*/out/checkpoint-0", worst)


@pytest.mark.slow
def test_two_models(pytester: pytest.Pytester) -> None:
    """The full fine-tune is the healthy adapter, merged."""
    model = transformers.AutoModelForCausalLM.from_pretrained(BASE, dtype="float32")
    merged = peft.PeftModel.from_pretrained(model, ADAPTERS / "healthy").merge_and_unload()
    merged.save_pretrained(pytester.path / "finetuned")
    spec = [*models("base: ./finetuned"), TEXTS]
    filled("two_models", pytester.path, {"sway.yaml": spec, "test_finetune.py": [ELSEWHERE, None]})
    result = pytester.runpytest("--sway-json=out.json")
    result.assert_outcomes(passed=3)
    assert results(pytester.path / "out.json") == {"baseline": "pass", "moved": "pass"}


def test_custom_backend(pytester: pytest.Pytester) -> None:
    """It brings a toy that likes "please" in place of the lines to change; a side that does not, fails."""
    kept = {"conftest.py": [None, None], "sway.yaml": [None, None, None]}
    filled("custom_backend", pytester.path, kept)
    result = pytester.runpytest("--sway-json=out.json")
    result.assert_outcomes(passed=1)
    [polite] = json.loads((pytester.path / "out.json").read_text())["probes"]
    assert polite["raw"] == pytest.approx((1 / 4 + 1 / 3 + 1 / 3) / 3)  # 1 nat, over the answers' tokens
    filled("custom_backend", pytester.path, {**kept, "conftest.py": ["return -2.0 * tokens, tokens", None]})
    pytester.runpytest().assert_outcomes(failed=1)


def lane(project: Path, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command as the workflow's shell does, with this interpreter as its ``python``."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", command],
        cwd=project,
        env={**os.environ, "PATH": path, "PYTEST_ADDOPTS": "-p no:randomly", **environment},
        capture_output=True,
        text=True,
    )


def command_of_the_workflow() -> str:
    """The one step that runs pytest, of a workflow whose shape is that of GitHub Actions."""
    workflow = yaml.load((TEMPLATES / "ci_lane/.github/workflows/sway.yml").read_text(), yaml.BaseLoader)
    assert set(workflow) == {"name", "on", "permissions", "jobs"}
    [job] = workflow["jobs"].values()
    assert set(job) == {"runs-on", "timeout-minutes", "steps"}
    assert all(("uses" in step) != ("run" in step) for step in job["steps"])
    [command] = [step["run"] for step in job["steps"] if "pytest -m" in step.get("run", "")]
    assert isinstance(command, str)
    return command


def test_the_workflow_can_be_read() -> None:
    assert command_of_the_workflow().startswith("python -m pytest -m sway ")


def test_an_annotation_reads_as_it_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """As GitHub's toolkit escapes: percent and line ends everywhere, in a title colon and comma too."""
    hook = runpy.run_path(str(TEMPLATES / "ci_lane" / "conftest.py"))["pytest_sway_report"]
    failed = SimpleNamespace(
        suite="test_a.py::test_it[a,b]", gate=Gate("failed", 0.6, ("recall: 50% of it,\nor more",))
    )
    passed = SimpleNamespace(suite="s", gate=Gate("passed", 0.6))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert hook(None, [failed, passed]) == [
        "::error title=sway test_a.py%3A%3Atest_it[a%2Cb]::recall: 50%25 of it,%0Aor more"
    ]
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert hook(None, [failed]) is None


@pytest.mark.slow
def test_ci_lane(tmp_path: Path) -> None:
    """The workflow's own command fails with the gate; the ordinary lane loads no model."""
    filled(
        "ci_lane",
        tmp_path,
        {
            ".github/workflows/sway.yml": [None, None],
            "sway.yaml": [*of_adapter(ADAPTERS / "inert"), None, TEXTS],
        },
    )
    (tmp_path / "test_other.py").write_text("def test_it(): pass\n")
    result = lane(tmp_path, command_of_the_workflow(), GITHUB_ACTIONS="true")
    assert result.returncode == 1, result.stderr
    assert "test_other" not in result.stdout
    assert json.loads((tmp_path / "reports/sway.json").read_text())["gate"]["status"] == "failed"
    suite = ET.parse(tmp_path / "reports/junit.xml").getroot().find("testsuite")
    assert suite is not None
    names = {case.attrib["name"] for case in suite.iter("testcase")}
    assert {"baseline", "moved"} <= names
    assert "test_it" not in names
    annotations = [
        line for line in result.stdout.splitlines() if line.startswith("::error title=sway sway.yaml::")
    ]
    assert "::1 probe failed: moved" in annotations[0]
    ordinary = lane(tmp_path, "python -m pytest", GITHUB_ACTIONS="true")
    assert ordinary.returncode == 0
    assert "1 passed, 2 deselected" in ordinary.stdout
    assert "::error" not in ordinary.stdout


@pytest.mark.slow
def test_ci_lane_passes_with_its_gate(project: pytest.Pytester) -> None:
    serving, spec = (project.path / name for name in ("conftest.py", "sway.yaml"))
    hook, text = serving.read_text(), spec.read_text()
    shutil.copytree(TEMPLATES / "ci_lane", project.path, dirs_exist_ok=True)
    spec.write_text(text)
    serving.write_text(f"{serving.read_text()}\n\n{hook}")
    result = lane(project.path, command_of_the_workflow(), GITHUB_ACTIONS="true")
    assert result.returncode == 0, result.stdout
    assert "GATE PASSED" in result.stdout
    assert "::error" not in result.stdout
