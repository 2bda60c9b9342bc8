"""A plugin that runs a suite with other entries than its spec has."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_sway.items.stash_keys import CHANGE_SUITE
from pytest_sway.items.suite import Suite
from pytest_sway.mining.errors import MiningError
from pytest_sway.pytest_session import Outcomes
from pytest_sway.requests import RequestError


class ChangedSuite(Outcomes):
    """Runs a suite with other entries.

    Args:
        change: makes the entries.

    Attributes:
        suite: what was made.
    """

    def __init__(self, change: Callable[[Suite], Suite]) -> None:
        super().__init__()
        self._change = change
        self.suite: Suite | None = None

    def pytest_configure(self, config: pytest.Config) -> None:
        """Have every suite changed before it is collected."""
        config.stash[CHANGE_SUITE] = self._changed

    def _changed(self, suite: Suite) -> Suite:
        if len(suite.adapters) > 1:
            raise pytest.Collector.CollectError(
                f"the spec has {len(suite.adapters)} adapters; select one with --adapter"
            )
        try:
            self.suite = self._change(suite)
        except (MiningError, RequestError) as error:
            raise pytest.Collector.CollectError(f"{suite.path.name}: {error}") from None
        return self.suite
