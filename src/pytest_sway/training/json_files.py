"""Reads JSON that a trainer wrote, within limits: a file of any size and shape gives one clear error.

Python's ``json`` writes NaN and Infinity as literals, and trainers rely on that; both are read.
Standard library only.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pytest_sway.regular_files import read_regular
from pytest_sway.training.errors import TrainingDataError

_LARGEST = 256 * 1024 * 1024
"""Bytes; a log of a million steps has about 150 MB."""
_MOST_KEYS = 8
_LONGEST_KEY = 40
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_log_bytes(file: Path) -> bytes:
    """The content of a log, without a byte order mark.

    Raises:
        TrainingDataError: it cannot be read, or is larger than 256 MiB.
    """
    try:
        if (size := file.stat().st_size) > _LARGEST:
            raise TrainingDataError(
                f"{file} has {size >> 20} MiB; the limit for training logs is {_LARGEST >> 20} MiB"
            )
        return read_regular(file, _LARGEST).removeprefix(_BYTE_ORDER_MARK)
    except OSError as error:
        raise TrainingDataError(f"{file} cannot be read: {error.strerror}") from None


def parse_json(file: Path, content: bytes) -> Any:
    """The one value of a JSON file.

    Raises:
        TrainingDataError: it is not JSON; the message has line and column.
    """
    try:
        return json.loads(content.decode())
    except UnicodeDecodeError:
        raise TrainingDataError(f"{file} is not UTF-8 text, expected JSON") from None
    except json.JSONDecodeError as error:
        position = f"{file}:{error.lineno}:{error.colno}"
        raise TrainingDataError(f"{position}: not valid JSON, or truncated ({error.msg})") from None
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error).split(";")[0]
        raise TrainingDataError(f"{file}: not valid JSON ({reason})") from None


def parse_json_lines(file: Path, content: bytes) -> tuple[list[dict[str, Any]], int]:
    """The objects of a file with one JSON value a line, and how many of its lines are not JSON.

    Raises:
        TrainingDataError: its first line is not JSON.
    """
    records, bad, first = [], 0, True
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line.decode())
        except (ValueError, RecursionError) as error:
            if first:
                what = "is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else "is not JSON"
                text = f"{file}:{number}: the first line {what}; a training log has one JSON object per line"
                raise TrainingDataError(text) from None
            bad += 1
        else:
            records += [value] if isinstance(value, dict) else []
        first = False
    return records, bad


def first_keys(record: Iterable[Any]) -> tuple[str, ...]:
    """The first keys of a record of unknown form, for a message."""
    return tuple(repr(key)[:_LONGEST_KEY] for key in list(record)[:_MOST_KEYS])


def finite_or_nan(value: Any) -> float:
    """A number; NaN for anything but a finite number."""
    try:
        number = float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def logged_number(value: Any) -> float | None:
    """A number as a trainer logged it: text of a number counts too, null is NaN.

    Returns:
        NaN for NaN, infinity and null; None for what is no number at all.
    """
    if value is None:
        return math.nan
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return finite_or_nan(value)


def whole_number(value: Any) -> int | None:
    """A count or a version; None for any other value."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
