"""A plugin that leaves only the samples of a suite to be run."""

from __future__ import annotations

import pytest

from pytest_sway.items.item_key import item_key
from pytest_sway.probes.samples import Samples
from pytest_sway.pytest_session import Outcomes


class SamplesAlone(Outcomes):
    """Deselects every other item."""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep the items of samples."""
        kept = [item for item in items if (key := item_key(item)) and isinstance(key.entry.probe, Samples)]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept
