"""Suite-level properties in pytest's own JUnit XML."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pytest_sway.result import SuiteResult


def add_properties(config: pytest.Config, suites: Sequence[SuiteResult]) -> None:
    """Composite, band, categories and gate of every suite, where ``--junitxml`` asked for a file.

    With one suite the names are the contract's (``overall``, ``band``, ``component.<category>``); with
    several they are led by the suite's id.
    """
    try:
        from _pytest.junitxml import xml_key
    except ImportError:  # a pytest that moved it: the testcases still carry their scalars
        return
    xml = config.stash.get(xml_key, None)
    if xml is None:
        return
    for suite in suites:
        lead = f"{suite.suite}." if len(suites) > 1 else ""
        for name, value in _properties(suite).items():
            xml.add_global_property(lead + name, value)


def _properties(suite: SuiteResult) -> dict[str, str]:
    score = suite.score
    components = {f"component.{name}": f"{v:.4f}" for name, v in score.components.items()}
    gate = "; ".join([suite.gate["status"], *suite.gate["reasons"]])
    return {"overall": f"{score.overall:.4f}", "band": score.band, **components, "gate": gate}
