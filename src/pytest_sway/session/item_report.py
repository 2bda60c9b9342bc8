"""What a worker sends to the controller with pytest's report of an item: one JSON string.

(execnet itself takes no large negative integer, and one value that it does not take ends the session.)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_sway.result import ProbeResult, Record
from pytest_sway.suites.json_conversion import from_json, to_json


@dataclass(frozen=True)
class ContextReport(Record):
    """What backend, adapter and null population say of themselves, for the reports.

    Attributes:
        backend_stats: what the run cost.
        inert: whether every update of the adapter is zero.
        notes, warnings: of adapter, null population and engine.
        determinism: how far two runs can be expected to agree; empty where the backend does not say.
        determinism_notes: why.
        base_digest, adapter_digest: of the weights.
    """

    backend_stats: Mapping[str, Any] = field(default_factory=dict)
    inert: bool = False
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    determinism: str = ""
    determinism_notes: tuple[str, ...] = ()
    base_digest: str = ""
    adapter_digest: str = ""


@dataclass(frozen=True)
class ItemReport(Record):
    """One item's part in its suite.

    Attributes:
        suite: id of the suite.
        result: of its probe.
        context: of what it was measured with; None where no model was needed, or none was loaded.
        skipped_outside: whether a mark or a fixture skipped the item, and not the probe.
    """

    suite: str
    result: ProbeResult
    context: ContextReport | None = None
    skipped_outside: bool = False

    def to_text(self) -> str:
        """As one string; no NaN, no infinity."""
        return json.dumps(to_json(self), allow_nan=False)

    @classmethod
    def from_text(cls, text: str) -> ItemReport:
        """Read back what :meth:`to_text` wrote."""
        return from_json(cls, json.loads(text))
