"""A spec resolved: its probes with their options, and the keys of the fixtures that they need."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pytest_sway.backends.protocols import AdapterKey, ModelKey
from pytest_sway.items.entry import Entry
from pytest_sway.items.null_entry import null_of
from pytest_sway.nulls.population import NullPlan
from pytest_sway.probes.base import Claim, Probe, Setting
from pytest_sway.probes.registry import Kinds
from pytest_sway.probes.thresholds import threshold_notes
from pytest_sway.spec.envelope import Spec, parse
from pytest_sway.spec.fleet import adapter_folders
from pytest_sway.spec.folders import why_no_adapter
from pytest_sway.spec.messages import Problem, SpecError, did_you_mean, shown
from pytest_sway.spec.problems import problems_of
from pytest_sway.spec.source import Source, read

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
class Suite:
    """Everything that collection needs to know of a spec."""

    path: Path
    spec: Spec
    entries: tuple[Entry, ...]
    model: ModelKey
    adapters: tuple[AdapterKey, ...]
    plan: NullPlan | None
    notes: tuple[Problem, ...]

    def setting(
        self,
        adapter: AdapterKey | None,
        capabilities: frozenset[str] = frozenset(),
        context: int | None = None,
    ) -> Setting:
        """What its probes are told beside their options."""
        return Setting(
            document=self.spec.document,
            folder=self.path.parent,
            adapter=Path(adapter.path) if adapter is not None and adapter.path is not None else None,
            policy=self.spec.envelope.defaults.prompt_policy,
            capabilities=capabilities,
            context=context,
            timeout=self.spec.envelope.defaults.timeout,
        )

    @cached_property
    def labels(self) -> dict[AdapterKey, str]:
        """The shortest tails of the adapters' paths that tell them apart."""
        paths = [Path(key.path or key.model or "base").parts for key in self.adapters]
        tails: list[str] = []
        for depth in range(1, max(map(len, paths)) + 1):
            tails = ["/".join(parts[-depth:]) for parts in paths]
            if len(set(tails)) == len(tails):
                break
        return dict(zip(self.adapters, tails, strict=True))


def load_suite(path: Path, adapters: Sequence[str] = (), kinds: Kinds | None = None) -> Suite:
    """Read and check a whole spec; no model is touched.

    Args:
        path: of the spec.
        adapters: folders, or patterns of folders, that replace ``models.ft.adapter``.
        kinds: that its entries may name; by default ours.

    Raises:
        SpecError: with every problem of the file.
    """
    source = read(path)
    spec, problems = parse(source, adapter_given=bool(adapters))
    entries, entry_problems = _entries(source, kinds or Kinds())
    problems += entry_problems
    named, unmatched = adapter_folders(adapters, (Path(),))
    problems += _adapter_problems(named, unmatched)
    null = null_of(source, entries)
    problems += null.problems
    if problems or spec is None:
        raise SpecError(path, problems)
    ft = spec.envelope.models.ft
    tuned = (spec.model, ft.revision) if spec.model is not None else (None, None)
    folders: list[str | None] = [str(folder) for folder in (named or spec.adapters)]
    keys = [AdapterKey(folder, *tuned) for folder in folders or [None]]
    return Suite(
        path=path,
        spec=spec,
        entries=tuple(entries),
        model=ModelKey(
            kind=ft.kind,
            base=spec.base,
            revision=ft.revision if spec.model is None else spec.envelope.models.base.revision,
            dtype=ft.dtype,
            device=ft.device,
            trust_remote_code=ft.trust_remote_code,
            entry_point=ft.entry_point,
            endpoint=ft.endpoint,
        ),
        adapters=tuple(keys),
        plan=null.plan(spec.envelope.defaults.seed),
        notes=(*spec.notes, *_notes(source, entries), *null.notes),
    )


def _entries(source: Source, kinds: Kinds) -> tuple[list[Entry], list[Problem]]:
    """Every entry that is right, and what is wrong with the others."""
    raw = source.value.get("suite", [])
    entries: list[Entry] = []
    problems: list[Problem] = []
    names: dict[str, int] = {}
    ids: set[str] = set()
    for index, value in enumerate(raw if isinstance(raw, list) else []):
        line, _ = source.place(("suite", index))
        probe = _probe(source, index, value, kinds, problems)
        if probe is None:
            continue
        name = probe.name
        if name in names:
            first = names[name]
            message = f"suite[{index}].name: {name!r} is also the name in line {first}; choose another"
            problems.append(Problem(message, *source.place(("suite", index, "name"))))
        names.setdefault(name, line)
        unique = _unique(id_of(name), ids)
        entries.append(Entry(unique, probe, f"{source.path.name}:{line}", line, index))
    return entries, problems


def _probe(
    source: Source, index: int, value: Any, kinds: Kinds, problems: list[Problem]
) -> Probe[Any] | None:
    path = ("suite", index)
    place = source.place(path)
    if not isinstance(value, dict):
        found = f"suite[{index}]: found {shown(value)}, expected a mapping with name: and kind:"
        problems.append(Problem(found, *place))
        return None
    missing = [key for key in ("name", "kind") if value.get(key) in (None, "")]
    if missing:
        is_null = missing[0] in value and value[missing[0]] is None
        hint = "; YAML reads a bare null as nothing: quote it" if is_null else ""
        text = f"suite[{index}]: {' and '.join(missing)} missing{hint}"
        problems.append(Problem(text, *place))
        return None
    kind = source.written.get((*path, "kind"), value["kind"])
    found_class = kinds.find(kind) if isinstance(kind, str) else None
    if found_class is None:
        message = f"suite[{index}].kind: {_unknown_kind(kind, kinds)}"
        problems.append(Problem(message, *source.place((*path, "kind"))))
        return None
    options = found_class.options_type()
    try:
        return found_class(options.model_validate(value, context=kinds))
    except ValidationError as error:
        problems += problems_of(error, source, path, options)
        return None


def _unknown_kind(kind: Any, kinds: Kinds) -> str:
    return f"there is no {shown(kind)}{did_you_mean(str(kind), kinds)}; allowed: {', '.join(kinds)}"


def _adapter_problems(named: Mapping[Path, str], unmatched: Sequence[str]) -> list[Problem]:
    return [Problem(f"--sway-adapter={pattern}: no adapter folder matches it") for pattern in unmatched] + [
        Problem(f"--sway-adapter={name}: there is no adapter folder{why}")
        for folder, name in named.items()
        if (why := why_no_adapter(folder)) is not None
    ]


def _notes(source: Source, entries: Sequence[Entry]) -> list[Problem]:
    """What is done otherwise than an old spec may expect, and what thresholds switch off."""
    return [
        Problem(f"{entry.probe.name}: {text}", *source.place(("suite", entry.index, field)))
        for entry in entries
        for field, text in _entry_notes(entry)
    ]


def _entry_notes(entry: Entry) -> Iterator[tuple[str, str]]:
    """What is said of one entry, with the field that it is about."""
    options = entry.probe.options
    if getattr(options, "top_k", None) is not None:
        yield "top_k", "top_k has no effect, the whole vocabulary is compared"
    if entry.probe.claim is Claim.NO_HARM and "assert_z_gte" in options.model_fields_set:
        yield "assert_z_gte", "assert_z_gte has no effect, harm is judged by its margin alone"
    if options.weight < 0:
        yield "weight", f"weight: {options.weight:g} counts as 0"
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
