"""A project that gives workers something to share out, and how two runs of it are compared."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.support.fake_models import SPEC
from tests.support.saved_results import steady

CONFTEST = """
import os
from tests.support import fake_models
from pathlib import Path
from pytest_sway.requests import Divergence

def pytest_sway_backend(config, model):
    backend = fake_models.backend(model)
    log(config, f"load {model.base}")
    served = backend.answer

    def answer(requests):
        for request in requests:
            null = isinstance(request, Divergence) and (request.q.null or request.p.null)
            if null:
                log(config, f"null {request.q.adapter}")
        return served(requests)

    backend.answer = answer
    return backend

def log(config, text):
    with (config.rootpath / "log.txt").open("a") as file:
        file.write(f"{os.getpid()} {text}\\n")
"""
"""Answers are fake; who loads what, and who asks a null, is written to ``log.txt``."""

MARKED = """
import pytest

@pytest.mark.sway("sway.yaml", threshold=0.5)
def test_marked(sway_result):
    assert sway_result.verdict != "error"
"""

PLAIN = """
import pytest

@pytest.mark.parametrize("i", range(6))
def test_plain(i): pass

def test_skipped():
    pytest.skip("why not")
"""


def make(pytester: pytest.Pytester) -> None:
    """A spec, one on another model (which fails its gate), a fleet of two, a mark, plain tests."""
    pytester.makeconftest(CONFTEST)
    pytester.makeini("[pytest]\nsway_junit_probes = true")
    for name in ("one", "two"):
        folder = pytester.mkpydir(f"fleet_{name}")
        (folder / "adapter_config.json").write_text("{}")
    fleet = SPEC.replace("base: fakellm", "base: fakellm-fleet").replace("adapters/good", '"fleet_*"')
    for name, text in {
        "sway": SPEC,
        "weak.sway": SPEC.replace("base: fakellm", "base: weak-other").replace(
            "adapters/good", "adapters/weak"
        ),
        "fleet.sway": fleet,
    }.items():
        (pytester.path / f"{name}.yaml").write_text(text, encoding="utf-8")
    pytester.makepyfile(test_marked=MARKED, test_plain=PLAIN)
    pytester.syspathinsert(pytester.path)


def run(pytester: pytest.Pytester, name: str, *arguments: str) -> tuple[int, dict[str, Any], set[Any]]:
    """Exit status, results and JUnit testcases of a run."""
    (pytester.path / "log.txt").unlink(missing_ok=True)
    folder = pytester.mkdir(name)
    found = pytester.runpytest(f"--sway-json={folder}", f"--junitxml={name}.xml", *arguments)
    return int(found.ret), results(folder), testcases(pytester.path / f"{name}.xml")


def results(folder: Path) -> dict[str, Any]:
    """Every result file, without times and without what a worker's cache did."""
    return {
        path.name: steady(json.loads(path.read_text(encoding="utf-8")), frozenset({"backend_stats"}))
        for path in folder.glob("*.json")
    }


def testcases(path: Path) -> set[Any]:
    """Names, outcomes and properties of the testcases."""
    return {
        (
            case.get("classname"),
            case.get("name"),
            tuple(sorted(child.tag for child in case if child.tag != "properties")),
            tuple((p.get("name"), p.get("value")) for p in case.iter("property")),
        )
        for case in ET.parse(path).iter("testcase")
    }


def logged(pytester: pytest.Pytester, what: str) -> dict[str, Counter[str]]:
    """How often each process did it: by process, by model (``load``) or adapter (``null``)."""
    found: dict[str, Counter[str]] = {}
    for line in (pytester.path / "log.txt").read_text(encoding="utf-8").splitlines():
        pid, verb, name = line.split(" ", 2)
        if verb == what:
            found.setdefault(pid, Counter())[name] += 1
    return found
