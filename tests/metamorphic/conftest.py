"""What the package's runs share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="package", autouse=True)
def _no_answers_kept() -> Iterator[None]:
    """No run reads what another one kept: it would be compared with itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SWAY_DISABLE_NULL_CACHE", "1")
        yield
