"""One entry of a spec's suite: a probe and where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pytest_sway.probes.base import Probe


@dataclass(frozen=True)
class SuiteEntry:
    """One entry of the suite.

    Attributes:
        id: its name as a test id.
        probe: kind and options.
        place: file and line, as ``sway.yaml:12``.
        line: from 1.
        index: its place in the spec's ``suite``, from 0.
    """

    id: str
    probe: Probe[Any]
    place: str
    line: int
    index: int

    @property
    def enabled(self) -> bool:
        """False where the spec says ``enabled: false``."""
        return bool(self.probe.options.enabled)

    @property
    def needs_model(self) -> bool:
        """Whether its fixtures load a backend."""
        return self.enabled and self.probe.needs_model
