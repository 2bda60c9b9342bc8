"""The quickstart's battery is the one that the known adapters are evaluated with."""

from __future__ import annotations

from pytest_sway.items.suite import load_suite
from pytest_sway.probes import registry
from tests.known_adapters.battery import FIRST, read, suite
from tests.support.paths import QUICKSTART


def test_the_shipped_battery_is_the_known_adapters() -> None:
    assert read(QUICKSTART / "battery.sway.yaml")["suite"] == suite(FIRST)


def test_it_holds_every_kind_that_judges_once_and_its_document() -> None:
    loaded = load_suite(QUICKSTART / "battery.sway.yaml")
    judging = [kind for kind in registry.kinds() if kind != "samples"]
    assert sorted(entry.probe.kind for entry in loaded.entries) == judging
    assert len(loaded.spec.document.sections) == len(loaded.spec.document.controls) == 6
    assert loaded.notes == ()
