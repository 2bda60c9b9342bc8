"""What was not measured, and what could not be compared, by reason; for every surface."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pytest_sway.result import ProbeResult, Verdict

_EXTRA = re.compile(r"[\w,-]+", re.ASCII)
"""Names of extras, as they stand in brackets."""


def skip_reasons(probes: Sequence[ProbeResult]) -> dict[str, list[str]]:
    """The names of the probes that were skipped, by reason."""
    reasons: dict[str, list[str]] = {}
    for probe in probes:
        if probe.verdict is Verdict.SKIP:
            reasons.setdefault(probe.message or "no reason given", []).append(probe.name)
    return reasons


def pip_line(probes: Sequence[ProbeResult]) -> str:
    """What installs all that probes were skipped for want of; empty where nothing is wanting."""
    named = {str(p.evidence["missing_extra"]) for p in probes if "missing_extra" in p.evidence}
    extras = {name for name in named if _EXTRA.fullmatch(name)}  # a reader may paste the line into a shell
    return f"pip install 'pytest-sway[{','.join(sorted(extras))}]'" if extras else ""


def no_z_reasons(probes: Sequence[ProbeResult]) -> dict[str, list[str]]:
    """The names of the probes whose nulls were asked and gave no z, by reason."""
    reasons: dict[str, list[str]] = {}
    for probe in probes:
        if probe.null is not None and probe.null.z is None:
            reasons.setdefault(probe.null.reason, []).append(probe.name)
    return reasons
