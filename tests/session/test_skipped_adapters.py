"""What a pattern names and is no adapter: the others are evaluated, and the gate fails for it by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_sway.reports import html, markdown
from pytest_sway.reports.terminal import lines
from pytest_sway.suites.saved_results import read_saved_result
from tests.support import worker_project
from tests.support.adapter_stubs import adapter_stub
from tests.support.fake_models import SPEC

DK = SPEC.partition("  - {name: baseline")[0] + "  - {name: dk, kind: delta_kl, prompts: [one, two, three]}\n"
"""One probe, for runs whose numbers do not matter."""
TWO = DK + "  - {name: again, kind: delta_kl, prompts: [one, two, four]}\n"
LOST = "run/checkpoint-30: contains no adapter_config.json"


@pytest.fixture
def fleet(project: pytest.Pytester) -> pytest.Pytester:
    """Two adapters, a checkpoint without a config, and a folder of logs; a pattern matches them all."""
    for name in ("checkpoint-9", "checkpoint-10"):
        adapter_stub(project.path / "run" / name)
    for name in ("checkpoint-30", "logs"):
        (project.path / "run" / name).mkdir()
    name_adapters(project, '"run/*"')
    return project


def name_adapters(fleet: pytest.Pytester, adapter: str, spec: str = DK) -> None:
    fleet.makefile(".yaml", sway=spec.replace("adapters/good", adapter))


def results(folder: Path) -> dict[str, Any]:
    return {path.stem: json.loads(path.read_text()) for path in folder.iterdir()}


def test_the_others_are_evaluated_and_the_gate_fails(fleet: pytest.Pytester) -> None:
    found = fleet.runpytest("--sway-json=out", "--sway-md=md", "--junitxml=x.xml", "sway.yaml")
    found.assert_outcomes(passed=2, warnings=1)
    assert found.ret == 1
    found.stdout.fnmatch_lines(
        [
            f"*SwayWarning: adapter {LOST.replace(':', ' is not evaluated:')}",
            "*sway: sway.yaml[[]checkpoint-9[]]*",
            "note: adapters not evaluated (reported separately): run/checkpoint-30",
            "note: not evaluated, because they are not adapter folders: run/logs",
            "GATE PASSED",
            "*sway: sway.yaml[[]checkpoint-30[]]*",
            "FAILED: not evaluated",
            f"  • {LOST}",
            "GATE FAILED sway.yaml[[]checkpoint-30[]]",
            f"  - not evaluated: {LOST}",
        ]
    )
    assert found.stdout.str().count("GATE PASSED") == 2
    written = results(fleet.path / "out")
    lost = written.pop("sway.yaml_checkpoint-30")
    assert lost["not_evaluated"] == LOST
    assert lost["adapter_id"] == str(fleet.path / "run" / "checkpoint-30")
    assert lost["gate"] == {"status": "failed", "threshold": 0.6, "reasons": [f"not evaluated: {LOST}"]}
    assert [one["not_evaluated"] for one in written.values()] == ["", ""]
    page = (fleet.path / "md" / "sway.yaml_checkpoint-30.md").read_text()
    assert f"**FAILED**: not evaluated\n\n- {LOST}" in page.replace("\\_", "_")
    gate = next(
        case for case in worker_project.testcases(fleet.path / "x.xml") if "checkpoint-30" in str(case)
    )
    assert "failure" in str(gate)


@pytest.mark.slow
def test_every_surface_shows_a_result_that_was_read_back(fleet: pytest.Pytester) -> None:
    fleet.runpytest("--sway-json=out", "sway.yaml")
    suite = read_saved_result(fleet.path / "out" / "sway.yaml_checkpoint-30.json")
    shown = "\n".join("".join(span.text for span in line) for line in lines(suite, 80))
    assert shown.startswith(f"FAILED: not evaluated\n  • {LOST}\nGATE FAILED")
    assert LOST in html.page(suite, "")
    assert "Overall" not in markdown.text(suite)


@pytest.mark.slow
@pytest.mark.parametrize("argument", ["-qq", "-pno:terminal"])
def test_a_quiet_run_says_it_too(fleet: pytest.Pytester, argument: str) -> None:
    found = fleet.runpytest(argument, "sway.yaml")
    assert found.ret == 1
    assert "checkpoint-30" in found.stdout.str() + found.stderr.str()


@pytest.mark.parametrize(
    "part",
    [
        "-kdk",
        *(
            pytest.param(part, marks=pytest.mark.slow)
            for part in ("-kcheckpoint-9", "--deselect=sway.yaml::dk[checkpoint-9]", "--sway-limit=3")
        ),
    ],
)
def test_a_part_of_the_fleet_is_not_gated(fleet: pytest.Pytester, part: str) -> None:
    name_adapters(fleet, '"run/*"', TWO)
    found = fleet.runpytest(part, "sway.yaml")
    assert found.ret == 0
    found.stdout.fnmatch_lines(
        [
            "*sway: sway.yaml[[]checkpoint-30[]]*",
            "PARTIAL: not evaluated",
            "not gated: only some adapters or probes were selected; not evaluated:*",
        ]
    )


@pytest.mark.slow
def test_nothing_is_said_where_nothing_of_the_fleet_runs(fleet: pytest.Pytester) -> None:
    fleet.makepyfile("def test_other(): pass")
    found = fleet.runpytest("-k", "other", "-W", "ignore")
    assert found.ret == 0
    found.stdout.no_fnmatch_line("*checkpoint-30*")


@pytest.mark.slow
def test_the_command_line_and_a_mark_name_them_alike(fleet: pytest.Pytester) -> None:
    fleet.makepyfile(
        test_mark="""
        import pytest

        @pytest.mark.sway("sway.yaml")
        def test_marked(sway_result): pass
        """
    )
    found = fleet.runpytest("--sway-adapter=run/check*", "--sway-json=out", "test_mark.py", "sway.yaml")
    assert found.ret == 1
    found.assert_outcomes(passed=4, warnings=1)
    assert {"sway.yaml_checkpoint-30", "test_mark.py_test_marked_checkpoint-30"} <= results(
        fleet.path / "out"
    ).keys()


@pytest.mark.slow
def test_folders_of_one_name_are_distinguished(fleet: pytest.Pytester) -> None:
    for name in ("old/checkpoint-30", "old/checkpoint-9"):
        (fleet.path / name).mkdir(parents=True)
    adapter_stub(fleet.path / "old" / "checkpoint-1")
    name_adapters(fleet, "['run/check*', 'old/*']")
    fleet.runpytest("--sway-json=out", "sway.yaml")
    labels = ["1", "9", "10", "30"]
    expected = {f"sway.yaml_checkpoint-{label}" for label in labels}
    expected |= {"sway.yaml_old_checkpoint-30", "sway.yaml_old_checkpoint-9"}
    assert results(fleet.path / "out").keys() == expected


@pytest.mark.slow
def test_an_adapter_that_the_baseline_has_is_compared(fleet: pytest.Pytester) -> None:
    adapter_stub(fleet.path / "run" / "checkpoint-30")
    assert fleet.runpytest("--sway-json=before", "sway.yaml").ret == 0
    (fleet.path / "run" / "checkpoint-30" / "adapter_config.json").unlink()
    found = fleet.runpytest("--sway-baseline=before", "--sway-fail-on-regression=0.1", "sway.yaml")
    assert found.ret == 1
    text = found.stdout.str()
    assert text.count("GATE PASSED") == 2
    assert "baseline" in text.partition("FAILED: not evaluated")[2]


@pytest.mark.slow
def test_workers_report_what_a_run_alone_does(pytester: pytest.Pytester) -> None:
    worker_project.make(pytester)
    spec = pytester.path / "fleet.sway.yaml"
    spec.write_text(spec.read_text().replace('"fleet_*"', '"[cf][hl]*"'))
    (pytester.path / "checkpoint-7").mkdir()
    (pytester.path / "fleet_link").symlink_to("fleet_one")
    alone = worker_project.run(pytester, "alone", "-p", "no:xdist", spec.name)
    assert alone[0] == 1
    assert len(alone[1]) == 3
    assert worker_project.run(pytester, "spread", "-n", "2", spec.name) == alone
