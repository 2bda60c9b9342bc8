"""A spec resolved: its probes with their options, and the keys of the fixtures that they need."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pytest_sway.backends.protocols import AdapterKey, ModelKey
from pytest_sway.nulls.population import NullPlan
from pytest_sway.probes import registry
from pytest_sway.probes.base import Probe
from pytest_sway.probes.null_adapter import DEFAULT_RUNS, NullAdapter
from pytest_sway.spec.envelope import Spec, is_folder, parse, problems_of
from pytest_sway.spec.fleet import CONFIG, adapter_folders
from pytest_sway.spec.folders import no_adapter
from pytest_sway.spec.messages import Problem, SpecError, did_you_mean, shown
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
class Entry:
    """One entry of the suite.

    Attributes:
        id: its name as a test id.
        probe: kind and options.
        place: file and line, as ``sway.yaml:12``.
        line: from 1.
    """

    id: str
    probe: Probe[Any]
    place: str
    line: int

    @property
    def enabled(self) -> bool:
        """False where the spec says ``enabled: false``."""
        return bool(self.probe.options.enabled)

    @property
    def needs_model(self) -> bool:
        """Whether its fixtures load a backend."""
        return self.enabled and self.probe.needs_model


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


def load_suite(path: Path, adapters: Sequence[str] = ()) -> Suite:
    """Read and check a whole spec; no model is touched.

    Args:
        path: of the spec.
        adapters: folders, or patterns of folders, that replace ``models.ft.adapter``.

    Raises:
        SpecError: with every problem of the file.
    """
    source = read(path)
    spec, problems = parse(source, adapter_given=bool(adapters))
    entries, entry_problems = _entries(source)
    problems += entry_problems
    named, unmatched = adapter_folders(adapters, (Path(),))
    problems += _adapter_problems(named, unmatched)
    if problems or spec is None:
        raise SpecError(path, problems)
    ft = spec.envelope.models.ft
    tuned = (spec.model, ft.revision) if spec.model is not None else (None, None)
    keys = [AdapterKey(str(folder), *tuned) for folder in (named or spec.adapters)]
    null = _null_entry(entries)
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
        adapters=tuple(keys) or (AdapterKey(None, *tuned),),
        plan=_plan(null, spec.envelope.defaults.seed),
        notes=(*spec.notes, *_notes(source, entries, null)),
    )


def _entries(source: Source) -> tuple[list[Entry], list[Problem]]:
    """Every entry that is right, and what is wrong with the others."""
    raw = source.value.get("suite", [])
    entries: list[Entry] = []
    problems: list[Problem] = []
    names: dict[str, int] = {}
    ids: set[str] = set()
    for index, value in enumerate(raw if isinstance(raw, list) else []):
        line, _ = source.place(("suite", index))
        probe = _probe(source, index, value, problems)
        if probe is None:
            continue
        name = probe.name
        if name in names:
            first = names[name]
            message = f"suite[{index}].name: {name!r} is also the name in line {first}; choose another"
            problems.append(Problem(message, *source.place(("suite", index, "name"))))
        names.setdefault(name, line)
        unique = _unique(id_of(name), ids)
        entries.append(Entry(unique, probe, f"{source.path.name}:{line}", line))
    problems += _second_null(entries)
    return entries, problems


def _probe(source: Source, index: int, value: Any, problems: list[Problem]) -> Probe[Any] | None:
    path = ("suite", index)
    place = source.place(path)
    if not isinstance(value, dict):
        found = f"suite[{index}]: found {shown(value)}, expected a mapping with name: and kind:"
        problems.append(Problem(found, *place))
        return None
    missing = [key for key in ("name", "kind") if value.get(key) in (None, "")]
    if missing:
        hint = "; YAML reads a bare null as nothing: quote it" if missing[0] in value else ""
        text = f"suite[{index}]: {' and '.join(missing)} missing{hint}"
        problems.append(Problem(text, *place))
        return None
    found_class = registry.find(str(value["kind"]))
    if found_class is None:
        message = f"suite[{index}].kind: {_unknown_kind(str(value['kind']))}"
        problems.append(Problem(message, *source.place((*path, "kind"))))
        return None
    options = found_class.options_type()
    try:
        return found_class(options.model_validate(value))
    except ValidationError as error:
        problems += problems_of(error, source, path, options)
        return None


def _unknown_kind(kind: str) -> str:
    known = ", ".join(registry.kinds())
    if kind in registry.CONTRACT_ONLY:
        return f"{kind!r} is not measured by this version; it measures: {known}"
    return f"there is no {kind!r}{did_you_mean(kind, registry.kinds())}; allowed: {known}"


def _second_null(entries: Sequence[Entry]) -> list[Problem]:
    nulls = [e for e in entries if isinstance(e.probe, NullAdapter) and e.enabled]
    return [
        Problem(f"a second null_adapter ({e.probe.name!r}); a suite has one population", e.line, 1)
        for e in nulls[1:]
    ]


def _adapter_problems(named: Mapping[Path, str], unmatched: Sequence[str]) -> list[Problem]:
    return [Problem(f"--sway-adapter={pattern}: no adapter folder matches it") for pattern in unmatched] + [
        Problem(
            f"--sway-adapter={name}: there is no adapter folder"
            + (f": {no_adapter(folder)}" if is_folder(folder) else "")
        )
        for folder, name in named.items()
        if not is_folder(folder) or not (folder / CONFIG).is_file()
    ]


def _null_entry(entries: Sequence[Entry]) -> Entry | None:
    return next((e for e in entries if isinstance(e.probe, NullAdapter) and e.enabled), None)


def _plan(entry: Entry | None, seed: int) -> NullPlan | None:
    """The population; ``defaults.seed`` moves all of its draws."""
    if entry is None:
        return None
    options = entry.probe.options
    kinds = tuple(options.calibrate_kinds)
    seed_base = options.seed_base + seed
    return NullPlan(options.family, options.draws, seed_base, options.init_scale, kinds, options.cache)


def _notes(source: Source, entries: Sequence[Entry], null: Entry | None) -> list[Problem]:
    """What is done otherwise than an old spec may expect; each said once."""
    notes = [
        Problem(f"{e.probe.name}: top_k has no effect, the whole vocabulary is compared", e.line, 1)
        for e in entries
        if getattr(e.probe.options, "top_k", None) is not None
    ]
    if null is None:
        return notes
    options = null.probe.options
    if options.draws != options.runs:
        message = (
            f"{null.probe.name}: runs: {options.runs} is raised to {DEFAULT_RUNS}, since fewer than 8 "
            "draws give no true 3σ; exact_runs: true keeps it"
        )
        notes.append(Problem(message, *source.place(("suite", entries.index(null), "runs"))))
    before = [e.probe.name for e in entries[: entries.index(null)] if e.probe.scale is not None]
    if before:
        message = (
            f"{null.probe.name} stands after {', '.join(before)}: they are calibrated here all the same, "
            "but other readers of this file serve only what comes after it; move it to the top"
        )
        notes.append(Problem(message, null.line, 1))
    return notes


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
