"""Comments that dlm writes in front of a section that it made itself; they are not its content."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite

from pytest_sway.dlm.errors import DlmError
from pytest_sway.dlm.records import SectionType
from pytest_sway.text.message_parts import describe

ATTRIBUTE = re.compile(r'([a-z][a-z0-9_]*)="([^"\n]*)"')
ATTRIBUTES = r'(?:\s+[a-z][a-z0-9_]*="[^"\n]*")+'
_HARVESTED = re.compile(r'<!-- dlm-auto-harvest: source="[^"]*" -->')


def _is_text(value: str) -> bool:
    return bool(value)


def _is_number(value: str) -> bool:
    try:
        return isfinite(float(value))
    except ValueError:
        return False


def _is_run(value: str) -> bool:
    try:
        return int(value) >= 1
    except ValueError:
        return False


def _is_time(value: str) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_section_id(value: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{16}", value) is not None


@dataclass(frozen=True)
class _Marker:
    """A comment with attributes, each of which is needed; the types of sections that may carry it."""

    pattern: re.Pattern[str]
    section: SectionType
    attributes: Mapping[str, Callable[[str], bool]]


_MARKERS = (
    _Marker(
        re.compile(r"<!-- dlm-auto-mined:(.*) -->"),
        "preference",
        {
            "judge_name": lambda _: True,
            "judge_score_chosen": _is_number,
            "judge_score_rejected": _is_number,
            "mined_at": _is_time,
            "mined_run_id": _is_run,
        },
    ),
    _Marker(
        re.compile(r"<!-- dlm-auto-synth:(.*) -->"),
        "instruction",
        {
            "synth_teacher": _is_text,
            "synth_strategy": _is_text,
            "synth_at": _is_time,
            "source_section_id": _is_section_id,
        },
    ),
)


def without_markers(section: SectionType, lines: Sequence[str], line: int) -> list[str]:
    """The lines behind the marker comments.

    Args:
        section: its type; prose and media carry none.
        lines: of its body.
        line: of its fence, for errors.

    Raises:
        DlmError: a marker lacks an attribute, or has one that dlm does not write.
    """
    rest = list(lines)
    if section not in ("instruction", "preference"):
        return rest
    while rest and _is_marker(section, rest[0], line):
        rest = rest[1:]
    return rest


def _is_marker(section: SectionType, text: str, line: int) -> bool:
    if _HARVESTED.fullmatch(text):
        return True
    for marker in _MARKERS:
        found = marker.pattern.fullmatch(text)
        if found is not None and section == marker.section:
            _check_attributes(marker, found[1], line)
            return True
    return False


def _check_attributes(marker: _Marker, text: str, line: int) -> None:
    if re.fullmatch(ATTRIBUTES, text) is None:
        raise DlmError(
            f'found {describe(text)}, expected attributes (name="value") of a dlm-auto marker', line
        )
    pairs = ATTRIBUTE.findall(text)
    attributes = dict(pairs)
    if len(attributes) < len(pairs) or attributes.keys() != marker.attributes.keys():
        found, wanted = ", ".join(name for name, _ in pairs), ", ".join(marker.attributes)
        raise DlmError(f"a dlm-auto marker has the attributes {found}; expected {wanted}", line)
    for name, is_valid in marker.attributes.items():
        if not is_valid(attributes[name]):
            raise DlmError(
                f"the attribute {name} of a dlm-auto marker has an invalid value: "
                f"{describe(attributes[name])}",
                line,
            )
