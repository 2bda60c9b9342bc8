"""Results that were written before, ours and dlm-sway's, read back as plain data."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_sway.regular_files import read_regular
from pytest_sway.result import (
    JSON,
    BaselineComparison,
    Claim,
    Digests,
    Gate,
    NullComparison,
    NullStatistics,
    NullSummary,
    Record,
    RunDeterminism,
    Sample,
    SuiteResult,
)
from pytest_sway.suites.json_conversion import from_json, json_value, to_json
from pytest_sway.text.width import clean, shorten
from pytest_sway.user_error import UserError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SCHEMA_VERSION = 1
"""Of the files that are written and read: dlm-sway's schema, with added keys only."""

_MOST_BYTES = 512 << 20
"""Of a result; one with thousands of probes has some megabytes."""
_FOUND = 60
"""Characters of what was found, at most."""


class SavedResultError(UserError):
    """A file that holds no result; the message names the file, what was found, and what is wanted."""


def read_saved_result(path: str | Path) -> SuiteResult:
    """A result file, schema 1.

    Unknown keys are ignored; missing ones and those that hold ``null`` default, but for ``probes`` (each with
    ``name``, ``kind`` and ``verdict``) and ``score.overall``. Numbers that are not finite, which dlm-sway
    writes, or that no double holds read as none. A null comparison, a null summary, determinism or a
    baseline is left out where it lacks what a report shows of it.

    Raises:
        SavedResultError: the file cannot be read, or holds something else.
    """
    try:
        content = json.loads(read_regular(Path(path), _MOST_BYTES, or_pipe=True).decode("utf-8"))
    except OSError as error:
        raise SavedResultError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise SavedResultError(
            f"{path} is not valid JSON ({error}); pass a file that --sway-json wrote"
        ) from None
    return parse_saved_result(content, str(path))


def parse_saved_result(content: Any, where: str) -> SuiteResult:
    """A result file's content.

    Raises:
        SavedResultError: ``where`` it stands, the field, what was found.
    """
    from pydantic import ValidationError

    if not isinstance(content, dict) or "probes" not in content or "score" not in content:
        raise SavedResultError(
            f"{where} does not have the fields probes and score; pass a JSON file that --sway-json wrote"
        )
    version = content.get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        raise SavedResultError(
            f"{where}: schema_version: found {version!r}, but this version of pytest-sway reads only "
            f"{SCHEMA_VERSION}"
        )
    filled = _fields(json_value(content))
    try:
        filled["gate"] = from_json(Gate, filled["gate"], strict=True)
    except ValueError:
        found = shorten(clean(repr(filled["gate"])), _FOUND)
        raise SavedResultError(
            f"{where}: gate: found {found}, expected a status, a threshold or null, and a list of reasons"
        ) from None
    try:
        return _reader().validate_python(filled)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])).replace("null_summary", "calibration")  # its key in the file
        raise SavedResultError(f"{where}: {place}: {first['msg'].lower()}") from None


def _fields(content: JSON) -> JSON:
    """The fields of a result, without parts that no report could show.

    What has no right type otherwise stays, for the error's message.
    """
    filled = {**_without_none(content), "probes": content["probes"], "score": _without_none(content["score"])}
    if isinstance(score := filled["score"], dict):
        filled["score"] = {name: _without_none(value) for name, value in score.items()}
    gate = _without_none(filled.get("gate", {}))
    filled["gate"] = {**to_json(Gate()), **gate} if isinstance(gate, dict) else gate
    if isinstance(filled["probes"], list):
        filled["probes"] = [_probe(one) if isinstance(one, dict) else one for one in filled["probes"]]
    filled["determinism"] = _part(RunDeterminism, _without_none(filled.get("determinism")))
    filled["baseline"] = _part(BaselineComparison, filled.get("baseline"))
    filled["digests"] = _part(Digests, _without_none(filled.get("digests")) or None)
    filled["null_summary"] = _null_summary(filled.get("calibration") or None)
    filled["null_stats"] = _null_statistics(filled.get("null_stats", {}))
    ranks = filled.get("null_stats_by_rank", {})
    if isinstance(ranks, dict):
        filled["null_stats_by_rank"] = {
            rank: _null_statistics(stats) for rank, stats in ranks.items() if isinstance(stats, dict)
        }
    return filled


def _probe(entry: JSON) -> JSON:
    probe: JSON = _without_none(entry)
    if isinstance(ends := probe.get("ci_95"), list) and None in ends:
        del probe["ci_95"]
    if probe.get("claim") not in list(Claim):
        probe["claim"] = None
    probe["null"] = _part(NullComparison, probe.get("null"))
    if isinstance(samples := probe.get("samples"), list):
        read = [_part(Sample, one) for one in samples]
        probe["samples"] = [sample for sample in read if sample is not None]
    return probe


def _without_none(value: Any) -> Any:
    """A dict without the keys that hold nothing."""
    if not isinstance(value, dict):
        return value
    return {key: item for key, item in value.items() if item is not None}


def _part(record_type: type[Record], value: Any) -> Any:
    """An object as a record; None where it lacks something. What is no object stays as it is."""
    if not isinstance(value, dict):
        return value
    try:
        return from_json(record_type, value, strict=True)
    except ValueError:
        return None


def _null_summary(value: Any) -> Any:
    """With those parts that can be read; None without any."""
    if not isinstance(value, dict):
        return value
    kept = {name: part for name, part in value.items() if _part(NullSummary, {name: part}) is not None}
    return _part(NullSummary, kept) if kept else None


def _null_statistics(value: Any) -> Any:
    """Those kinds' statistics that can be read."""
    if not isinstance(value, dict):
        return value
    read = {kind: _part(NullStatistics, stats) for kind, stats in value.items()}
    return {kind: stats for kind, stats in read.items() if isinstance(stats, NullStatistics)}


@cache
def _reader() -> TypeAdapter[SuiteResult]:
    from pydantic import TypeAdapter

    return TypeAdapter(SuiteResult)
