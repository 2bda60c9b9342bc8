"""The GitHub Action: its entrypoint run for real, its comment in Node, its files checked by their linters."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.fake_models import SPEC
from tests.support.paths import ROOT

ACTION = ROOT / ".github" / "actions" / "sway"
HOSTILE = '$(touch pwned) `touch pwned` "; touch pwned; # ::error::x <img src=x> @everyone'
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


def run_gate(
    project: Path, fail_on: str = "fail", spec: str = "sway.yaml"
) -> tuple[dict[str, str], str, str]:
    """Outputs, log and step summary of the entrypoint."""
    runner = project.parent / "runner"
    runner.mkdir(exist_ok=True)
    outputs, summary = runner / "output", runner / "summary"
    for file in (outputs, summary):
        file.write_text("")
    env = {
        **os.environ,
        "RUNNER_TEMP": str(runner),
        "GITHUB_OUTPUT": str(outputs),
        "GITHUB_STEP_SUMMARY": str(summary),
        "SWAY_PYTHON": sys.executable,
        "SWAY_SPEC": spec,
        "SWAY_FAIL_ON": fail_on,
    }
    command = ["bash", str(ACTION / "entrypoint.sh")]
    done = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = (line.partition("=") for line in outputs.read_text("utf-8").splitlines())
    return {name: value for name, _, value in lines}, done.stdout + done.stderr, summary.read_text("utf-8")


@needs_bash
@pytest.mark.slow
def test_a_gate_that_passes(project: Path) -> None:
    outputs, log, summary = run_gate(project)
    assert (outputs["verdict"], outputs["exit-status"]) == ("pass", "0")
    content = json.loads(Path(outputs["report-path"]).read_text("utf-8"))
    assert float(outputs["sway-score"]) == pytest.approx(content["score"]["overall"], abs=1e-4)
    assert Path(outputs["markdown-path"]).read_text("utf-8") == summary
    assert summary.startswith("# sway report")
    assert "GATE PASSED" in log


@needs_bash
@pytest.mark.slow
def test_a_gate_that_fails(project: Path) -> None:
    (project / "sway.yaml").write_text(SPEC.replace("fakellm", "weak"))
    for fail_on, status in (("fail", "1"), ("warn", "1"), ("never", "0")):
        outputs, _, summary = run_gate(project, fail_on)
        assert (outputs["verdict"], outputs["exit-status"]) == ("fail", status)
        assert "GATE FAILED" in summary


@needs_bash
@pytest.mark.slow
def test_what_cannot_be_evaluated(project: Path) -> None:
    (project / "sway.yaml").write_text("models: {}\n")
    for spec, fail_on in (("sway.yaml", "never"), ("none.yaml", "fail"), ("--version", "fail"), ("", "fail")):
        outputs, log, summary = run_gate(project, fail_on, spec)
        assert (outputs["verdict"], outputs["exit-status"], outputs["sway-score"]) == ("error", "2", "")
        assert outputs["report-path"] == outputs["markdown-path"] == summary == ""
        assert "Traceback" not in log
    outputs, log, _ = run_gate(project, "sometimes")
    assert outputs["exit-status"] == "2"
    assert "fail-on: write fail, warn or never" in log


@needs_bash
@pytest.mark.slow
def test_hostile_names_are_inert(project: Path) -> None:
    suite = yaml.safe_load(SPEC)
    suite["suite"][1]["name"] = HOSTILE
    spec = 'a "$(touch pwned)" ; touch pwned .sway.yaml'
    (project / spec).write_text(yaml.safe_dump(suite))
    outputs, log, summary = run_gate(project, spec=spec)
    assert outputs["verdict"] == "pass"
    assert not list(project.parent.rglob("pwned"))
    assert "<img" not in summary.replace("&lt;img", "")
    stopped = re.search(r"::stop-commands::(sway-[0-9a-f]{32})\n", log)
    assert stopped is not None
    assert log.rstrip().endswith(f"::{stopped[1]}::")


def outputs_of(tmp_path: Path, status: int, *verdicts: str, fail_on: str = "fail") -> dict[str, str]:
    """What outputs.py makes of a result."""
    result = tmp_path / "result.json"
    probes = [{"verdict": verdict} for verdict in verdicts]
    result.write_text(json.dumps({"probes": probes, "score": {"overall": 0.5}}))
    command = [sys.executable, str(ACTION / "outputs.py"), str(result), "none.md", str(status), fail_on]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    ("status", "verdicts", "fail_on", "verdict", "ends"),
    [
        (0, ("pass", "warn"), "fail", "warn", "0"),
        (0, ("pass", "warn"), "warn", "warn", "1"),
        (0, ("pass", "skip"), "warn", "pass", "0"),
        (1, ("pass",), "fail", "fail", "1"),
        (0, ("error",), "fail", "fail", "1"),
        (2, ("pass",), "never", "error", "2"),
        (130, ("pass",), "never", "error", "2"),
    ],
)
def test_a_verdict_and_how_the_job_ends(
    tmp_path: Path, status: int, verdicts: tuple[str, ...], fail_on: str, verdict: str, ends: str
) -> None:
    found = outputs_of(tmp_path, status, *verdicts, fail_on=fail_on)
    assert (found["verdict"], found["exit-status"]) == (verdict, ends)


COMMENT = """
const comment = require(process.argv[1])
const calls = []
const answer = (name) => async (given) => { calls.push([name, given]) }
const recorded = JSON.parse(process.env.RECORDED)
const github = {
  rest: { issues: {
    listComments: 'list', updateComment: answer('update'), createComment: answer('create')
  } },
  paginate: async (which, given) => {
    calls.push([which, given])
    if (recorded === null) throw new Error('Resource not accessible by integration')
    return recorded
  },
}
const core = { warning: (text) => calls.push(['warning', text]) }
const context = { repo: { owner: 'o', repo: 'r' }, issue: { number: 7 } }
comment({ github, context, core }).then(() => console.log(JSON.stringify(calls)))
"""
MARKER = "<!-- sway-action:report -->"


def write_comment(
    tmp_path: Path, markdown: str, recorded: Any, verdict: str = "pass", score: str = "0.8713"
) -> list[list[Any]]:
    """The calls of GitHub's API that the comment makes."""
    (tmp_path / "report.md").write_text(markdown, "utf-8")
    env = {
        **os.environ,
        "SWAY_MARKDOWN": str(tmp_path / "report.md"),
        "SWAY_VERDICT": verdict,
        "SWAY_SCORE": score,
        "RECORDED": json.dumps(recorded),
    }
    command = ["node", "-e", COMMENT, str(ACTION / "comment.js")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    calls: list[list[Any]] = json.loads(done.stdout)
    return calls


def theirs(body: str, kind: str = "Bot", number: int = 3) -> dict[str, Any]:
    return {"id": number, "body": body, "user": {"type": kind}}


@needs_node
def test_a_comment_is_written_once_and_then_edited(tmp_path: Path) -> None:
    (_, listed), (name, made) = write_comment(tmp_path, "# sway report\n", [theirs("hello")])
    assert listed == {"owner": "o", "repo": "r", "issue_number": 7, "per_page": 100}
    assert name == "create"
    assert made["body"].startswith(f"{MARKER}\n## ✅ sway: pass · composite 0.87\n\n# sway report\n")
    earlier = [theirs(f"quoting {MARKER}"), theirs(MARKER, "User"), theirs(made["body"], number=9)]
    _, (name, edited) = write_comment(tmp_path, "# sway report\n", earlier, "fail")
    assert (name, edited["comment_id"]) == ("update", 9)
    assert "❌ sway: fail" in edited["body"]


@needs_node
def test_a_comment_is_cut_and_mentions_nobody(tmp_path: Path) -> None:
    report = f"{MARKER} thanks to @octocat and <b>\n" + "é 漢字 a line of the report\n" * 4000
    _, (_, made) = write_comment(tmp_path, report, [], "warn", "NaN; rm -rf")
    body = made["body"]
    assert len(body.encode()) <= 60 * 1024
    assert body.endswith("the whole report is in the job’s summary and its artifact.\n")
    assert body.count(MARKER) == 1
    assert "@octocat" not in body
    assert "rm -rf" not in body
    assert "\ufffd" not in body


@needs_node
def test_a_token_that_may_not_write_is_a_warning(tmp_path: Path) -> None:
    *_, (name, text) = write_comment(tmp_path, "x", None, "made up")
    assert name == "warning"
    assert "Resource not accessible" in text


def test_the_action_has_dlm_sways_inputs_and_outputs() -> None:
    content = yaml.safe_load((ACTION / "action.yml").read_text("utf-8"))
    assert {
        "spec-path", "fail-on", "comment-on-pr", "upload-artifact", "sway-version", "python-version",
    } == set(content["inputs"])  # fmt: skip
    assert {"sway-score", "verdict", "report-path"} == set(content["outputs"])
    scripts = [step["run"] for step in content["runs"]["steps"] if "run" in step]
    assert not any("${{" in script for script in scripts), "an expression in a script is an injection"
    given = [step.get("with", {}) for step in content["runs"]["steps"]]
    (script,) = (one["script"] for one in given if "script" in one)
    assert "${{" not in script


@pytest.mark.parametrize("schema", ["github-actions", "github-workflows"])
def test_github_would_read_them(schema: str) -> None:
    files = (
        [ACTION / "action.yml"] if schema == "github-actions" else (ROOT / ".github/workflows").glob("*.yml")
    )
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        f"vendor.{schema}",
        *map(str, files),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_shellcheck() -> None:
    scripts = [*ACTION.glob("*.sh"), *(file for file in (ROOT / ".ci").iterdir() if file.is_file())]
    command = [str(Path(sys.executable).parent / "shellcheck"), *map(str, scripts)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
