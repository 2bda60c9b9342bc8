"""One run of the product, and two plain models, for all of the package's tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.arithmetic import made_files
from tests.arithmetic.plain_model import TUNED, Embedder, PlainModel
from tests.arithmetic.spec import BASE_MODEL, HEALTHY, MILD, RAW_SUITE, spec, suite, tool_suite
from tests.known_adapters.evaluation import Report, run_pytest
from tests.support.merged_models import merge
from tests.support.paths import KNOWN_ADAPTERS


def run_product(specs: Mapping[str, dict[str, Any]], folder: Path) -> dict[str, Report]:
    """Evaluate specs by one real pytest run; their JSON reports.

    Every text is scored by itself: a batch of several rounds fp32 otherwise than one text alone, by up to
    2e-5 of a slope or of a share of variance.

    Raises:
        FileNotFoundError: there is none.
    """
    for name, one in specs.items():
        (folder / f"{name}.sway.yaml").write_text(yaml.safe_dump(one, sort_keys=False), "utf-8")
    output = run_pytest(
        folder, *(f"{name}.sway.yaml" for name in specs), "--sway-exact", "--sway-json=reports"
    )
    reports = [json.loads(path.read_text("utf-8")) for path in (folder / "reports").glob("*.json")]
    by_name = {Path(report["spec_path"]).name.removesuffix(".sway.yaml"): report for report in reports}
    if by_name.keys() != specs.keys():
        raise FileNotFoundError(f"reports of {sorted(by_name)}:\n{output}")
    return by_name


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the package's own."""
    return tmp_path_factory.mktemp("arithmetic")


@pytest.fixture(scope="package")
def null_adapters(folder: Path) -> list[Path]:
    """The null population."""
    return made_files.write_nulls(folder)


@pytest.fixture(scope="package")
def trainings(folder: Path) -> Path:
    """What trainings left behind."""
    return made_files.write_trainings(folder)


@pytest.fixture(scope="package")
def tool_base(folder: Path) -> Path:
    """A base that calls tools."""
    return merge(BASE_MODEL, KNOWN_ADAPTERS / "adapters/tools", folder / "tool_base")


@pytest.fixture(scope="package")
def reports(folder: Path, null_adapters: list[Path], trainings: Path, tool_base: Path) -> dict[str, Report]:
    """What the product reports of the healthy adapter, with a chat and without, and of one with tools."""
    specs = {
        "healthy": spec(BASE_MODEL, HEALTHY, suite(null_adapters, trainings)),
        "tools": spec(tool_base, MILD, tool_suite(null_adapters)),
        "raw": spec(BASE_MODEL, HEALTHY, RAW_SUITE, policy="raw"),
    }
    return run_product(specs, folder)


@pytest.fixture(scope="package")
def reported(reports: dict[str, Report]) -> dict[str, dict[str, Any]]:
    """Every probe's entry of the healthy adapter, by its name."""
    return {probe["name"]: probe for probe in reports["healthy"]["probes"]}


@pytest.fixture(scope="package")
def reported_with_tools(reports: dict[str, Report]) -> dict[str, dict[str, Any]]:
    """Every probe's entry of the adapter on the base that calls tools, by its name."""
    return {probe["name"]: probe for probe in reports["tools"]["probes"]}


@pytest.fixture(scope="package")
def plain(null_adapters: list[Path]) -> PlainModel:
    """The same base and adapters without the product."""
    return PlainModel(BASE_MODEL, {TUNED: HEALTHY, **{null.name: null for null in null_adapters}})


@pytest.fixture(scope="package")
def plain_tools(tool_base: Path) -> PlainModel:
    """The base that calls tools and its adapter without the product."""
    return PlainModel(tool_base, {TUNED: MILD})


@pytest.fixture(scope="package")
def embedder() -> Embedder:
    """Sentence vectors without the product."""
    return Embedder()
