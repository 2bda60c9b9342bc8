"""The entries of a spec's suite: a probe each, with its test id and its line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from pytest_sway.probes.base import Probe
from pytest_sway.probes.judging.thresholds import threshold_notes
from pytest_sway.probes.registry import Kinds
from pytest_sway.result import Claim
from pytest_sway.spec.problems import Problem
from pytest_sway.spec.validation_errors import validation_problems
from pytest_sway.spec.yaml_source import Source
from pytest_sway.text.message_parts import describe, did_you_mean

_RESERVED = frozenset(
    {
        "collect_ignore",
        "collect_ignore_glob",
        "load_tests",
        "pytest_plugins",
        "pytestmark",
        "setUpModule",
        "setup_function",
        "setup_module",
        "tearDownModule",
        "teardown_function",
        "teardown_module",
    }
)
"""Names that pytest reads from a module; an entry of that name gets an underscore in its id."""


@dataclass(frozen=True)
class SuiteEntry:
    """One entry of the suite.

    Attributes:
        id: its name as a test id.
        probe: kind and options.
        location: file and line, as ``sway.yaml:12``.
        line: from 1.
        index: in the spec's ``suite``, from 0.
    """

    id: str
    probe: Probe[Any]
    location: str
    line: int
    index: int

    @property
    def enabled(self) -> bool:
        """False where the spec says ``enabled: false``."""
        return bool(self.probe.options.enabled)

    @property
    def needs_model(self) -> bool:
        """Whether its fixtures load a backend."""
        return self.enabled and self.probe.needs_model


def read_entries(source: Source, kinds: Kinds) -> tuple[list[SuiteEntry], list[Problem]]:
    """Every valid entry, and what is wrong with the other ones."""
    raw = source.value.get("suite", [])
    entries: list[SuiteEntry] = []
    problems: list[Problem] = []
    names: dict[str, int] = {}
    ids: set[str] = set()
    for index, value in enumerate(raw if isinstance(raw, list) else []):
        line, _ = source.locate(("suite", index))
        probe = _probe(source, index, value, kinds, problems)
        if probe is None:
            continue
        name = probe.name
        if name in names:
            first = names[name]
            message = f"suite[{index}].name: {name!r} is already used on line {first}; choose another name"
            problems.append(Problem(message, *source.locate(("suite", index, "name"))))
        names.setdefault(name, line)
        unique = _unique(id_of(name), ids)
        entries.append(SuiteEntry(unique, probe, f"{source.path.name}:{line}", line, index))
    return entries, problems


def _probe(
    source: Source, index: int, value: Any, kinds: Kinds, problems: list[Problem]
) -> Probe[Any] | None:
    path = ("suite", index)
    place = source.locate(path)
    if not isinstance(value, dict):
        found = f"suite[{index}]: found {describe(value)}, expected a mapping with the keys name and kind"
        problems.append(Problem(found, *place))
        return None
    missing = [key for key in ("name", "kind") if value.get(key) in (None, "")]
    if missing:
        is_null = missing[0] in value and value[missing[0]] is None
        hint = "; YAML reads null without quotes as no value: to use this word, write it in quotes"
        hint = hint if is_null else ""
        text = f"suite[{index}]: missing {' and '.join(missing)}{hint}"
        problems.append(Problem(text, *place))
        return None
    kind = source.written.get((*path, "kind"), value["kind"])
    found_class = kinds.find(kind) if isinstance(kind, str) else None
    if found_class is None:
        message = f"suite[{index}].kind: {_unknown_kind(kind, kinds)}"
        problems.append(Problem(message, *source.locate((*path, "kind"))))
        return None
    options = found_class.options_type()
    try:
        return found_class(options.model_validate(value, context=kinds))
    except ValidationError as error:
        problems += validation_problems(error, source, path, options)
        return None


def _unknown_kind(kind: Any, kinds: Kinds) -> str:
    return f"there is no kind {describe(kind)}{did_you_mean(str(kind), kinds)}; allowed: {', '.join(kinds)}"


def entry_notes(source: Source, entries: Sequence[SuiteEntry]) -> list[Problem]:
    """What is done otherwise than an old spec may expect, and what thresholds switch off."""
    return [
        Problem(f"{entry.probe.name}: {text}", *source.locate(("suite", entry.index, field)))
        for entry in entries
        for field, text in _notes(entry)
    ]


def _notes(entry: SuiteEntry) -> Iterator[tuple[str, str]]:
    """The notes on one entry, each with its field."""
    options = entry.probe.options
    if getattr(options, "top_k", None) is not None:
        yield "top_k", "top_k has no effect, because the full vocabulary is compared"
    if entry.probe.claim is Claim.NO_HARM and "assert_z_gte" in options.model_fields_set:
        yield (
            "assert_z_gte",
            "assert_z_gte has no effect, because a no-harm probe is judged only by its margin",
        )
    if options.weight < 0:
        yield "weight", f"weight: {options.weight:g} is treated as 0"
    yield from threshold_notes(options)


def id_of(name: str) -> str:
    """A probe's name as a test id: word characters of any script, ``-`` and ``.``; else ``_``."""
    text = re.sub(r"[^\w.-]+", "_", name, flags=re.UNICODE) or "_"
    special = text in _RESERVED or text.startswith(("__", "pytest_"))
    return f"{text}_" if special else text


def _unique(text: str, taken: set[str]) -> str:
    candidate, number = text, 2
    while candidate in taken:
        candidate, number = f"{text}-{number}", number + 1
    taken.add(candidate)
    return candidate
