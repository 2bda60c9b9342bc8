"""What pytest loads at its start: an option and three hooks, each of which imports its part when called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_sway import AnsweringBackend, ModelKey, Probe, SuiteResult


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("sway-example", "example plugin of pytest-sway")
    group.addoption("--example-csv", metavar="PATH", help="Add a row per suite to this CSV file")


@pytest.hookimpl(optionalhook=True)  # with -p no:pytest_sway nobody declares the hook
def pytest_sway_probes() -> Sequence[type[Probe[Any]]]:
    from pytest_sway_example.length_ratio import LengthRatio

    return [LengthRatio]


@pytest.hookimpl(optionalhook=True)
def pytest_sway_backend(model: ModelKey) -> AnsweringBackend | None:
    if model.kind != "custom" or model.entry_point != "pytest_sway_example":
        return None
    from pytest_sway_example.toy import ToyBackend

    return ToyBackend(model)


@pytest.hookimpl(optionalhook=True)
def pytest_sway_report(config: pytest.Config, suites: Sequence[SuiteResult]) -> str | None:
    path = config.getoption("example_csv")
    if path is None:
        return None
    from pytest_sway_example.rows import add_rows

    add_rows(config.invocation_params.dir / path, suites)
    return f"{len(suites)} row{'s' * (len(suites) > 1)} added to {path}"
