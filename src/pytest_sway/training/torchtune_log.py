"""torchtune's text log (``DiskLogger``): ``Step 12 | loss:1.25 lr:0.0003 grad_norm:0.5`` a line.

Standard library only.
"""

from __future__ import annotations

import re
from typing import Any

_LINE = re.compile(r"Step (\d{1,15}) \| ?(.*)")
_METRIC = re.compile(r"([^\s:]+):(?:tensor\()?([^\s:,)]+)\)?")
_NAMES = {"loss": "loss", "grad_norm": "grad_norm", "val_loss": "eval_loss"}
"""torchtune's metrics that are read, and their names in Trainer's records."""


def is_torchtune_log(content: bytes) -> bool:
    """Whether the first line is one of torchtune's."""
    first = content.lstrip().split(b"\n", 1)[0]
    return _LINE.match(first.decode(errors="replace")) is not None


def torchtune_records(content: bytes) -> list[dict[str, Any] | None]:
    """One record a line, with Trainer's keys; None for a line that is cut short or something else."""
    lines = content.decode(errors="replace").split("\n")
    return [_record(line.rstrip("\r")) for line in lines if line.strip()]


def _record(line: str) -> dict[str, Any] | None:
    match = _LINE.match(line)
    if match is None:
        return None
    metrics = dict(_METRIC.findall(match[2]))
    return {
        "step": int(match[1]),
        **{ours: metrics[name] for name, ours in _NAMES.items() if name in metrics},
    }
