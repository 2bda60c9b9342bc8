"""A suite on a server under pytest: what is reported, what it cost, and what no report holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.completions_server import BASE, CompletionsServer, error
from tests.support.paths import QUICKSTART

KEY = "sk-3f1c9"
SPEC = """
version: 1
models:
  base: &m
    {{kind: api, base: base, endpoint: "{url}", tokenizer: {base}, null_dir: nulls, api_key: "${{MY_KEY}}"}}
  ft: {{<<: *m, adapter: {adapter}}}
suite:
  - {{name: nulls, kind: null_adapter, runs: 2, exact_runs: true}}
  - {{name: facts, kind: section_internalization}}
  - {{name: dk, kind: delta_kl, prompts: [The master of the works is, A lantern, Salt], positions: 2}}
"""


@pytest.fixture
def project(
    pytester: pytest.Pytester, server: CompletionsServer, monkeypatch: pytest.MonkeyPatch
) -> pytest.Pytester:
    monkeypatch.setenv("MY_KEY", KEY)
    adapter = QUICKSTART / "adapters" / "healthy"
    text = SPEC.format(url=server.url, base=BASE, adapter=adapter)
    sections = {"sections": str(QUICKSTART / "sections.yaml"), "controls": str(QUICKSTART / "controls.yaml")}
    pytester.makefile(".yaml", sway=text + "".join(f"{name}: {path}\n" for name, path in sections.items()))
    return pytester


@pytest.mark.slow
def test_a_suite(project: pytest.Pytester, server: CompletionsServer) -> None:
    result = project.runpytest(
        "sway.yaml", "--sway-json=out.json", "--junitxml=out.xml", "--setup-show", "-v"
    )
    result.assert_outcomes(passed=3, warnings=1)
    result.stdout.fnmatch_lines(["wall *requests*", "GATE *"])
    report = json.loads((project.path / "out.json").read_text("utf-8"))
    verdicts = {probe["name"]: probe["verdict"] for probe in report["probes"]}
    assert verdicts == {"nulls": "pass", "facts": "pass", "dk": "warn"}  # two nulls are few
    stats = report["backend_stats"]
    completions = [body for path, body in server.asked if path == "/v1/completions"]
    assert 0 < stats["requests"] <= len(completions)
    assert stats["prompt_tokens"] > stats["completion_tokens"] > 0
    written = [path.read_text("utf-8", "replace") for path in project.path.glob("out.*")]
    assert not any(KEY in text for text in [*written, result.stdout.str(), result.stderr.str()])
    assert all(body["_key"] == f"Bearer {KEY}" for body in completions)
    assert list((project.path / "nulls").iterdir()) == []
    assert not server.adapters


def test_a_plan_counts_requests_and_asks_nothing(project: pytest.Pytester) -> None:
    result = project.runpytest("sway.yaml", "--sway-plan")
    result.assert_outcomes(skipped=3)
    result.stdout.fnmatch_lines(["probe *requests *tokens *requests at most*", "dk *", "all *"])


def test_a_key_that_the_server_refuses(project: pytest.Pytester, server: CompletionsServer) -> None:
    server.override = lambda *_: (401, {"error": "Unauthorized"})
    result = project.runpytest("sway.yaml")
    result.assert_outcomes(errors=3)
    result.stdout.fnmatch_lines(["*no backend: the server rejected the API key: Unauthorized (status 401)*"])
    assert KEY not in result.stdout.str()
    assert "Traceback" not in result.stdout.str()


@pytest.mark.slow
def test_a_server_that_ends_is_an_error_of_the_probe(
    project: pytest.Pytester, server: CompletionsServer, quick_retries: None
) -> None:
    def dies(self: CompletionsServer, path: str, body: dict[str, object]) -> tuple[int, object] | None:
        is_facts = "prompt_logprobs" in body and len(body["prompt"]) > 2  # type: ignore[arg-type]
        return error(503, "EngineDeadError") if is_facts else None

    server.override = dies
    result = project.runpytest("sway.yaml", "--sway-json=out.json")
    report = json.loads((project.path / "out.json").read_text("utf-8"))
    verdicts = {probe["name"]: probe["verdict"] for probe in report["probes"]}
    assert verdicts == {"nulls": "pass", "facts": "error", "dk": "warn"}
    message = next(probe["message"] for probe in report["probes"] if probe["name"] == "facts")
    assert message.startswith("the server failed on /v1/completions: EngineDeadError (status 503)")
    # nothing is kept for a server that does not prove its weights
    assert message.endswith("; run the suite again")
    assert "Traceback" not in result.stdout.str()


@pytest.mark.slow
def test_two_workers_share_the_load(project: pytest.Pytester, server: CompletionsServer) -> None:
    result = project.runpytest_subprocess("sway.yaml", "-n", "2", "-p", "xdist")
    result.assert_outcomes(passed=3)
    assert not server.adapters
    assert list((Path(project.path) / "nulls").iterdir()) == []
