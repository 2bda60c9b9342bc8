"""Under ``-n``: the same verdicts, composite, gate and files."""

from __future__ import annotations

import json

import pytest

from conftest import SPEC


@pytest.mark.parametrize("base", ["planted", "weak"])
@pytest.mark.parametrize("workers", ["0", "2"])
def test_workers_change_nothing(planted: pytest.Pytester, base: str, workers: str) -> None:
    planted.makefile(".yaml", sway=SPEC.replace("base: planted", f"base: {base}"))
    planted.syspathinsert(planted.path)
    alone = planted.runpytest("--sway-json=alone.json", "--junitxml=alone.xml")
    spread = planted.runpytest("-n", workers, "--sway-json=spread.json", "--junitxml=spread.xml")
    assert alone.ret == spread.ret
    first, second = (json.loads((planted.path / f"{n}.json").read_text()) for n in ("alone", "spread"))
    assert first["score"] == second["score"]
    assert first["gate"] == second["gate"]
    strip = ("duration_s",)
    for one, other in zip(first["probes"], second["probes"], strict=True):
        assert {k: v for k, v in one.items() if k not in strip} == {
            k: v for k, v in other.items() if k not in strip
        }
    assert 'name="overall"' in (planted.path / "spread.xml").read_text()


BOOM = """
import os, planting
from pytest_sway.backends.planted import PlantedBackend

def answer(request):
    if "boom" in str(request):
        os._exit(3)
    return planting.answer(request)

def pytest_sway_backend(config, model):
    return PlantedBackend(answer)
"""


def test_a_crashed_worker_fails_the_gate(planted: pytest.Pytester) -> None:
    planted.makeconftest(BOOM)
    planted.makefile(
        ".yaml",
        sway=SPEC.replace("[one, two, three, four, five]\n  - name: curve", "[boom]\n  - name: curve"),
    )
    found = planted.runpytest("-n", "1", "--max-worker-restart=2")
    assert found.ret == 1
    found.stdout.fnmatch_lines(["*planned but not reported: *dk*"])


def test_a_worker_that_dies_for_good_leaves_what_it_had(planted: pytest.Pytester) -> None:
    planted.makeconftest(BOOM)
    planted.makefile(".yaml", sway=SPEC.replace("prompts: [one, two", "prompts: [boom, two", 1))
    found = planted.runpytest("-n", "1", "--max-worker-restart=0", "--sway-json=out.json")
    assert found.ret == 1
    found.stdout.fnmatch_lines(
        ["PASS  baseline*", "GATE FAILED*", "*planned but not reported: dk, curve, talk*"]
    )
    assert (planted.path / "out.json").is_file()


def test_without_xdist_nothing_is_missed(planted: pytest.Pytester) -> None:
    planted.runpytest("-p", "no:xdist").assert_outcomes(passed=4)


@pytest.mark.parametrize(
    "plugin", ["no:cacheprovider", "no:terminal", "no:junitxml", "no:timeout", "no:logging", "no:capture"]
)
def test_it_lives_without_others(planted: pytest.Pytester, plugin: str) -> None:
    assert planted.runpytest("-p", plugin, "sway.yaml").ret == 0
