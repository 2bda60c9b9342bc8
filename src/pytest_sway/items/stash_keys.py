"""What the worker side keeps on the stash of an item, and a command on the config's. Loaded at start-up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_sway.engine.portable_answers import PortableAnswers
    from pytest_sway.items.run_probe import MeasurementContext
    from pytest_sway.items.suite import Suite
    from pytest_sway.result import ProbeResult
    from pytest_sway.session.item_report import ContextReport
    from pytest_sway.suites.cost_plan import PlannedProbe

CHANGE_SUITE: pytest.StashKey[Callable[[Suite], Suite]] = pytest.StashKey()
"""On the stash of the config: what a command makes of every suite before it is collected."""
ANSWER_RECORD: pytest.StashKey[PortableAnswers] = pytest.StashKey()
"""On the stash of the config: takes every answer of the session, to be packed."""
SHOW_PROGRESS: pytest.StashKey[Callable[[int, int], None]] = pytest.StashKey()
"""On the stash of the config: takes after each batch how many of a round's tokens are done, of how many."""
INVALID_MARK: pytest.StashKey[str] = pytest.StashKey()
"""Why the item's mark cannot be followed; the item fails with this message."""
MEASURED_IN_TEST: pytest.StashKey[list[ProbeResult]] = pytest.StashKey()
"""What its body measured through the fixture ``sway``."""
PLANNED: pytest.StashKey[PlannedProbe] = pytest.StashKey()
"""What its probe would cost, under ``--sway-plan``."""
SERVED_CONTEXT: pytest.StashKey[ContextReport] = pytest.StashKey()
"""What a daemon measured its probe with, under ``--sway-server``."""
MEASUREMENT_CONTEXT: pytest.StashKey[MeasurementContext] = pytest.StashKey()
"""What its probe is measured with, until its teardown."""
