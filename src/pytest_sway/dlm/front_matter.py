"""The YAML between the first two ``---`` lines of a ``.dlm`` file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from pytest_sway.dlm.errors import DlmError
from pytest_sway.dlm.records import ADAPTER_NAME
from pytest_sway.dlm.yaml_limits import MOST_CHARS, check_nodes
from pytest_sway.text.message_parts import describe

KNOWN_VERSION = 15
"""The newest ``dlm_version`` that the reader was compared with (dlm 0.10.0)."""
_DELIMITER = "---"
_ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
_QLORA = "qlora"


@dataclass(frozen=True)
class FrontMatter:
    """What is read of it; other fields are for training.

    Attributes are those of :class:`~pytest_sway.dlm.records.DlmFile`.
    """

    dlm_id: str
    base_model: str
    system_prompt: str
    adapters: tuple[str, ...]
    qlora: tuple[str, ...]
    sources: tuple[str, ...]


def split_front_matter(text: str) -> tuple[str, str, int]:
    """The YAML, the body, and the line in which the body begins.

    Raises:
        DlmError: one of the two ``---`` lines is missing.
    """
    lines = text.split("\n")
    if lines[0] != _DELIMITER:
        raise DlmError(f"found {describe(lines[0])}, expected --- to open the front matter", 1)
    try:
        end = lines.index(_DELIMITER, 1)
    except ValueError:
        raise DlmError("the front matter has no closing line ---", 1) from None
    return "\n".join(lines[1:end]), "\n".join(lines[end + 1 :]), end + 2


def read_front_matter(text: str) -> FrontMatter:
    """The fields that matter here.

    Raises:
        DlmError: not YAML, no mapping, or a field that is missing or of another type.
    """
    fields = _mapping(text)
    version = fields.get("dlm_version", 1)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise DlmError(f"dlm_version: found {describe(version)}, expected an integer ≥ 1", 2)
    if version > KNOWN_VERSION:
        raise DlmError(
            f"dlm_version {version} is newer than {KNOWN_VERSION}, the newest version that can be read "
            "without dlm; install dlm (pip install -U document-language-model)",
            2,
        )
    training = fields.get("training", {})
    if not isinstance(training, dict):
        raise DlmError(f"training: found {describe(training)}, expected a mapping", 2)
    adapters = _named(training.get("adapters"))
    methods = adapters or {"": training}
    return FrontMatter(
        _text(fields, "dlm_id", _ULID, "a ULID (26 characters)"),
        _text(fields, "base_model", re.compile(r"(?s).+"), "a key of dlm's registry, or hf:org/name"),
        _optional_text(fields, "system_prompt"),
        tuple(adapters),
        tuple(name for name, one in methods.items() if one.get("adapter") == _QLORA),
        _sources(training.get("sources")),
    )


def _mapping(text: str) -> dict[str, Any]:
    if len(text) > MOST_CHARS:
        raise DlmError(
            f"the front matter has {len(text):,} characters; the limit is {MOST_CHARS:,}. Is its closing "
            "line --- missing?",
            1,
        )
    try:
        value = _safe_load(text) if text.strip() else {}
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 2 if error.problem_mark is not None else 2
        raise DlmError(f"the front matter is not valid YAML: {error.problem}", line) from None
    except (yaml.YAMLError, RecursionError, ValueError, LookupError, AttributeError) as error:
        raise DlmError(f"the front matter is not valid YAML: {' '.join(str(error).split())}", 2) from None
    if not isinstance(value, dict):
        raise DlmError(f"the front matter is {describe(value)}, expected a mapping with the field dlm_id", 2)
    return value


def _safe_load(text: str) -> Any:
    """As ``yaml.safe_load``, but nothing is built that is too large."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        check_nodes(node)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _text(fields: Mapping[str, Any], name: str, pattern: re.Pattern[str], wanted: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        found = f"found {describe(value)}" if name in fields else "the field is missing"
        raise DlmError(f"{name}: {found}, expected {wanted}", 2)
    return value


def _optional_text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise DlmError(f"{name}: found {describe(value)}, expected a string", 2)
    return value or ""


def _named(value: Any) -> dict[str, Mapping[str, Any]]:
    """``training.adapters``: names with the settings of each."""
    if value is None:
        return {}
    if not isinstance(value, dict) or not value:
        found = f"training.adapters: found {describe(value)}"
        raise DlmError(f"{found}, expected a mapping with the adapter names as keys", 2)
    for name, settings in value.items():
        if not isinstance(name, str) or not ADAPTER_NAME.fullmatch(name):
            raise DlmError(f"training.adapters: found {describe(name)}, expected a name such as tone_2", 2)
        if not isinstance(settings, dict):
            raise DlmError(f"training.adapters.{name}: found {describe(settings)}, expected a mapping", 2)
    return value


def _sources(value: Any) -> tuple[str, ...]:
    """The paths of ``training.sources``."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise DlmError(f"training.sources: found {describe(value)}, expected a list", 2)
    paths = [one.get("path") if isinstance(one, dict) else None for one in value]
    for at, path in enumerate(paths):
        if not isinstance(path, str) or not path:
            raise DlmError(f"training.sources[{at}].path: found {describe(path)}, expected a path", 2)
    return tuple(str(path) for path in paths)
