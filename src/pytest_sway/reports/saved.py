"""Results that were written before, ours and dlm-sway's, read back as plain data."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_sway.result import SuiteResult, wired

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


class SavedResultError(Exception):
    """A file that holds no result; the message names the file, what was found, and what is wanted."""


def read(path: str | Path) -> SuiteResult:
    """A result file, schema 1.

    Unknown keys are ignored; missing ones default, but for ``probes`` (each with ``name``, ``kind`` and
    ``verdict``) and ``score.overall``. Numbers that are not finite, which dlm-sway writes, read as none.

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
    filled = {**_DEFAULTS, **wired(content)}
    if isinstance(filled["score"], dict):
        filled["score"] = {**_SCORE, **filled["score"]}
    if isinstance(filled["probes"], list):
        filled["probes"] = [{"message": "", **p} if isinstance(p, dict) else p for p in filled["probes"]]
    try:
        return _reader().validate_python(filled)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise SavedResultError(f"{where}: {field}: {first['msg'].lower()}") from None


@cache
def _reader() -> TypeAdapter[SuiteResult]:
    from pydantic import TypeAdapter

    return TypeAdapter(SuiteResult)
