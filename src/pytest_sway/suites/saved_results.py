"""Results that were written before, ours and dlm-sway's, read back as plain data."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_sway.reports import saved_schema
from pytest_sway.result import JSON, SuiteResult, json_value
from pytest_sway.text.width import clean, short

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SCHEMA_VERSION = 1
"""Of the files that are written and read: the contract's, with added keys only."""

_DEFAULTS: dict[str, Any] = {
    "suite": "",
    "spec_path": "",
    "base_model_id": "",
    "adapter_id": "",
    "started_at": "",
    "finished_at": "",
    "wall_seconds": 0.0,
    "determinism": None,
    "backend_stats": {},
    "null_stats": {},
    "null_stats_by_rank": {},
    "gate": {"status": "unknown", "threshold": None, "reasons": []},
}
"""What a file of another version may lack; dlm-sway's knows no suite id and no gate."""
_SCORE: dict[str, Any] = {"band": "", "components": {}, "weights": {}, "findings": []}
_FOUND = 60
"""Characters of what was found, at most."""


class SavedResultError(Exception):
    """A file that holds no result; the message names the file, what was found, and what is wanted."""


def read_saved_result(path: str | Path) -> SuiteResult:
    """A result file, schema 1.

    Unknown keys are ignored; missing ones and those that hold ``null`` default, but for ``probes`` (each with
    ``name``, ``kind`` and ``verdict``) and ``score.overall``. Numbers that are not finite, which dlm-sway
    writes, or that no double holds read as none. What was said of nulls, calibration, determinism or an
    earlier baseline is left out where it lacks what a report shows of it.

    Raises:
        SavedResultError: the file cannot be read, or holds something else.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SavedResultError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise SavedResultError(f"{path}: is no JSON ({error}); give a file that --sway-json wrote") from None
    return suite_of(content, str(path))


def suite_of(content: Any, where: str) -> SuiteResult:
    """A result file's content.

    Raises:
        SavedResultError: ``where`` it stands, the field, what was found.
    """
    from pydantic import ValidationError

    if not isinstance(content, dict) or "probes" not in content or "score" not in content:
        raise SavedResultError(f"{where}: is no result: give a JSON file that --sway-json wrote")
    version = content.get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        raise SavedResultError(
            f"{where}: schema_version: found {version!r}, this version reads {SCHEMA_VERSION}"
        )
    filled = _filled(json_value(content))
    if not saved_schema.fits(filled["gate"], saved_schema.GATE):
        found = short(clean(repr(filled["gate"])), _FOUND)
        raise SavedResultError(
            f"{where}: gate: found {found}, wants a status, a threshold or null, and a list of reasons"
        )
    try:
        return _reader().validate_python(filled)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise SavedResultError(f"{where}: {field}: {first['msg'].lower()}") from None


def _filled(content: JSON) -> JSON:
    """With what is missing, and without what cannot be shown; what has another type stays, to be told."""
    filled = {**_DEFAULTS, **_known(content), "probes": content["probes"]}
    filled["gate"] = _over(_DEFAULTS["gate"], filled["gate"])
    filled["score"] = _over(_SCORE, content["score"])
    if isinstance(score := filled["score"], dict):
        filled["score"] = {**score, **{name: _known(score[name]) for name in ("components", "weights")}}
    if isinstance(filled["probes"], list):
        filled["probes"] = [_probe(one) if isinstance(one, dict) else one for one in filled["probes"]]
    filled["determinism"] = _shown(_known(filled["determinism"]), {"notes": []}, saved_schema.DETERMINISM)
    filled["baseline"] = _shown(filled.get("baseline"), {}, saved_schema.BASELINE)
    filled["calibration"] = _parts(filled.get("calibration", {}), saved_schema.CALIBRATION)
    if isinstance(stats := filled["null_stats"], dict):
        filled["null_stats"] = _parts(stats, dict.fromkeys(stats, saved_schema.NULL_STATS))
    return filled


def _probe(entry: JSON) -> JSON:
    probe = {"message": "", **_known(entry)}
    if isinstance(ends := probe.get("ci_95"), list) and None in ends:
        del probe["ci_95"]
    probe["null"] = _shown(probe.get("null"), {}, saved_schema.NULL)
    return probe


def _known(value: Any) -> Any:
    """A dict without the keys that hold nothing."""
    if not isinstance(value, dict):
        return value
    return {key: item for key, item in value.items() if item is not None}


def _over(defaults: JSON, value: Any) -> Any:
    return {**defaults, **_known(value)} if isinstance(value, dict) else value


def _shown(value: Any, defaults: JSON, shape: Any) -> Any:
    """A part that a report can show, else None."""
    if not isinstance(value, dict) or saved_schema.fits({**defaults, **value}, shape):
        return value
    return None


def _parts(value: Any, wanted: JSON) -> Any:
    """Those parts of a dict that a report can show."""
    if not isinstance(value, dict):
        return value
    return {
        name: part
        for name, part in value.items()
        if name not in wanted or saved_schema.fits(part, wanted[name])
    }


@cache
def _reader() -> TypeAdapter[SuiteResult]:
    from pydantic import TypeAdapter

    return TypeAdapter(SuiteResult)
