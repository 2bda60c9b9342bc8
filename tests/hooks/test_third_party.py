"""The package in examples/third_party, installed as a user installs it: a kind, a backend and a report."""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT

EXAMPLE = ROOT / "examples" / "third_party"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed packages that holds the example alone; built without a network."""
    source, target = tmp_path_factory.mktemp("source") / "third_party", tmp_path_factory.mktemp("site")
    shutil.copytree(EXAMPLE, source)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--target", target]
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", *options, source], check=True)
    return target


def run(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("base", "tuned"):
        shutil.copytree(EXAMPLE / name, tmp_path / name)
    shutil.copy(EXAMPLE / "sway.yaml", tmp_path)
    return tmp_path


def test_it_does_all_three_in_one_process_and_in_two(site: Path, project: Path) -> None:
    found: list[dict[str, Any]] = []
    for number in (0, 2):
        result = run(site, project, f"-n{number}", "--sway-json=out.json", "--example-csv=rows.csv")
        assert result.returncode == 0, result.stdout
        assert "\n1 row added to rows.csv\n" in result.stdout
        found.append(json.loads((project / "out.json").read_text()))
    alone, workers = ([{**p, "duration_s": 0} for p in suite["probes"]] for suite in found)
    assert alone == workers
    _, moved, length = alone
    assert (moved["verdict"], moved["null"]["n"]) == ("pass", 8)
    assert (length["kind"], length["category"], length["verdict"]) == ("length_ratio", "calibration", "pass")
    lengths = length["evidence"]["lengths"]
    assert len(lengths) == 10
    mean = math.prod((1 + tuned) / (1 + base) for base, tuned in lengths) ** (1 / 10)
    assert length["raw"] == pytest.approx(mean)
    assert [one["item"] for one in length["samples"]][:2] == ["the lamp", "the keeper"]
    rows = list(csv.DictReader((project / "rows.csv").open()))
    assert [(row["suite"], row["gate"], row["band"]) for row in rows] == [
        ("sway.yaml", "passed", "healthy")
    ] * 2
    assert float(rows[0]["composite"]) == pytest.approx(found[0]["score"]["overall"], abs=0.0005)


def test_its_options_are_checked_like_ours(site: Path, project: Path) -> None:
    spec = project / "sway.yaml"
    spec.write_text(spec.read_text().replace("max_new_tokens: 24", "max_new_token: 24"))
    result = run(site, project)
    assert result.returncode == 2
    assert (
        "suite[2].max_new_token: unknown key 'max_new_token' (did you mean 'max_new_tokens'?)"
        in result.stdout
    )


def test_shorter_than_half_is_harm_and_cut_answers_say_nothing(site: Path, project: Path) -> None:
    spec = project / "sway.yaml"
    strict = spec.read_text().replace("max_new_tokens: 24", "assert_ratio_lte: 1.1")
    spec.write_text(strict)
    result = run(site, project, "sway.yaml::length")
    assert result.returncode == 1
    assert "FAIL length_ratio: harm: halvings of the length" in result.stdout
    spec.write_text(strict.replace("assert_ratio_lte: 1.1", "max_new_tokens: 1"))
    result = run(site, project, "sway.yaml::length", "-rs")
    assert "every answer was cut at max_new_tokens: 1; raise it" in result.stdout


def test_a_model_of_another_kind_is_left_to_others(site: Path, project: Path) -> None:
    spec = project / "sway.yaml"
    spec.write_text(spec.read_text().replace("pytest_sway_example}", "another}"))
    result = run(site, project, "sway.yaml::moved")
    assert result.returncode == 1
    assert "no backend: models.ft.entry_point: found 'another'; write package.module:Class" in result.stdout


def test_it_lives_without_pytest_sway(site: Path, project: Path) -> None:
    (project / "test_it.py").write_text("def test_it(): pass\n")
    result = run(site, project, "-p", "no:pytest_sway", "-W", "error", "test_it.py")
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_schema_for_editors_knows_its_kind(site: Path, project: Path) -> None:
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    for command in (
        ["pytest_sway", "schema", "--out", "s.json"],
        ["check_jsonschema", "--schemafile", "s.json", "sway.yaml"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=project,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
        )
        assert done.returncode == 0, done.stdout
