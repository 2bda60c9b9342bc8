"""What a worker sends to the controller with pytest's report of an item: one JSON string.

(execnet itself takes no large negative integer, and one value that it does not take ends the session.)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pytest_sway.result import ProbeResult, json_value


@dataclass(frozen=True)
class ContextReport:
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

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ContextReport:
        """Read back what JSON made of it."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        return cls(**values)


@dataclass(frozen=True)
class ItemReport:
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

    def to_json(self) -> str:
        """As one string; no NaN, no infinity."""
        context = None if self.context is None else json_value(asdict(self.context))
        data = {
            "suite": self.suite,
            "result": self.result.to_wire(),
            "context": context,
            "skipped_outside": self.skipped_outside,
        }
        return json.dumps(data, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> ItemReport:
        """Read back what :meth:`to_json` wrote."""
        data = json.loads(text)
        context = None if data["context"] is None else ContextReport.from_json(data["context"])
        return cls(data["suite"], ProbeResult.from_wire(data["result"]), context, data["skipped_outside"])
