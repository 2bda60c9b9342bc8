"""A spec resolved: its probes with their options, and the keys of the fixtures that they need."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pytest_sway.backends.base import AdapterKey, ModelKey
from pytest_sway.backends.null_population import NullPlan
from pytest_sway.items.null_adapter_entry import null_of
from pytest_sway.items.suite_entry import SuiteEntry
from pytest_sway.probes.base import Claim, Probe, ProbeContext
from pytest_sway.probes.judging.thresholds import threshold_notes
from pytest_sway.probes.registry import Kinds
from pytest_sway.spec.adapter_files import why_not_served
from pytest_sway.spec.adapter_paths import FolderNote, NamedAdapters, once
from pytest_sway.spec.adapter_patterns import LeftOut
from pytest_sway.spec.errors import Problem, SpecError, describe, did_you_mean
from pytest_sway.spec.hub_names import HubName, is_hub_name
from pytest_sway.spec.model_folders import is_folder, listed, why_no_adapter
from pytest_sway.spec.schema import Spec, named_adapters, parse
from pytest_sway.spec.validation import problems_of
from pytest_sway.spec.yaml_source import Source, read

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
    """Everything that collection needs to know of a spec.

    Attributes:
        adapters: those that are evaluated.
        notes: what is done otherwise than the spec may expect.
        left_out: matches of a pattern that are not evaluated.
        adapter_notes: which other folders an adapter stands for.
    """

    path: Path
    spec: Spec
    entries: tuple[SuiteEntry, ...]
    model: ModelKey
    adapters: tuple[AdapterKey, ...]
    plan: NullPlan | None
    notes: tuple[Problem, ...]
    left_out: tuple[LeftOut, ...] = ()
    adapter_notes: tuple[FolderNote, ...] = ()

    def probe_context(
        self,
        adapter: AdapterKey | None,
        capabilities: frozenset[str] = frozenset(),
        context_length: int | None = None,
    ) -> ProbeContext:
        """What its probes know beside their options."""
        return ProbeContext(
            document=self.spec.document,
            folder=self.path.parent,
            adapter=_folder_of(adapter),
            policy=self.spec.envelope.defaults.prompt_policy,
            capabilities=capabilities,
            context_length=context_length,
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

    @property
    def candidates(self) -> list[LeftOut]:
        """What is left out and should have been an adapter: the gate fails for each."""
        return [one for one in self.left_out if one.is_candidate]

    @property
    def warnings(self) -> list[Problem]:
        """What a user should know before the run: ``notes``, and the candidates with their reasons."""
        line, column = self.spec.source.place(("models", "ft", "adapter"))
        texts = [f"adapter {one.shown} is not evaluated: {one.reason}" for one in self.candidates]
        return [*self.notes, *(Problem(text, line, column) for text in texts)]

    def notes_on(self, adapter: AdapterKey) -> Iterator[str]:
        """What the reports say of an adapter and of what was named beside it."""
        for note in self.adapter_notes:
            if str(note.folder) == adapter.path:
                yield note.text
        if left_out := [one.shown for one in self.candidates]:
            yield f"not evaluated, with a report of their own: {listed(left_out)}"
        if others := [one.shown for one in self.left_out if not one.is_candidate]:
            yield f"not evaluated, since these are no adapter folders: {listed(others)}"

    @cached_property
    def left_out_labels(self) -> dict[LeftOut, str]:
        """For each of the candidates, the shortest tail of its path that nothing else is called by."""
        taken, found = set(self.labels.values()), {}
        for one in self.candidates:
            parts = one.path.parts
            tails = ["/".join(parts[-depth:]) for depth in range(1, len(parts) + 1)]
            found[one] = next((tail for tail in tails if tail not in taken), str(one.path))
            taken.add(found[one])
        return found


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
    kind = spec.envelope.models.ft.kind if spec is not None else ""
    given = named_adapters(kind, adapters, (Path(),))
    problems += _adapter_problems(given, kind)
    null = null_of(source, entries, check_files=kind == "hf")
    problems += null.problems
    if problems or spec is None:
        raise SpecError(path, problems)
    ft = spec.envelope.models.ft
    tuned = (spec.model, ft.revision) if spec.model is not None else (None, None)
    named = given if adapters else spec.named
    if ft.kind == "hf":  # of another kind the files are not ours to compare
        named = once(named)
    roots = (path.parent, Path())
    folders: list[str | None] = [
        name if ft.kind == "hf" and is_hub_name(name, roots) else str(folder)
        for folder, name in named.folders.items()
    ]
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
            chat_template=str(spec.chat_template) if spec.chat_template is not None else None,
            chat_template_kwargs=json.dumps(spec.envelope.defaults.chat_template_kwargs, sort_keys=True),
        ),
        adapters=tuple(keys),
        plan=null.plan(spec.envelope.defaults.seed),
        notes=(*spec.notes, *_notes(source, entries), *null.notes),
        left_out=named.left_out,
        adapter_notes=named.notes,
    )


def _folder_of(adapter: AdapterKey | None) -> Path | None:
    """An adapter's folder; None for a name on the hub, whose files are known when it is attached."""
    if adapter is None or adapter.path is None:
        return None
    folder = Path(adapter.path)
    return folder if is_folder(folder) or HubName.of(adapter.path) is None else None


def _entries(source: Source, kinds: Kinds) -> tuple[list[SuiteEntry], list[Problem]]:
    """Every entry that is right, and what is wrong with the others."""
    raw = source.value.get("suite", [])
    entries: list[SuiteEntry] = []
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
        entries.append(SuiteEntry(unique, probe, f"{source.path.name}:{line}", line, index))
    return entries, problems


def _probe(
    source: Source, index: int, value: Any, kinds: Kinds, problems: list[Problem]
) -> Probe[Any] | None:
    path = ("suite", index)
    place = source.place(path)
    if not isinstance(value, dict):
        found = f"suite[{index}]: found {describe(value)}, expected a mapping with name: and kind:"
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
    return f"there is no {describe(kind)}{did_you_mean(str(kind), kinds)}; allowed: {', '.join(kinds)}"


def _adapter_problems(given: NamedAdapters, kind: str) -> list[Problem]:
    return [
        Problem(f"--sway-adapter={pattern}: no adapter folder matches it{why}")
        for pattern, why in given.unmatched.items()
    ] + [
        Problem(f"--sway-adapter={name}: {why}")
        for folder, name in given.folders.items()
        if (why := _why_refused(folder, name, kind)) is not None
    ]


def _why_refused(folder: Path, name: str, kind: str) -> str | None:
    """Why what the command line names cannot be evaluated."""
    if not name.strip():
        return "is empty; name the folder of an adapter"
    if is_hub_name(name, (Path(),)):
        return None
    if (why := why_no_adapter(folder)) is not None:
        return f"there is no adapter folder{why}"
    return why_not_served(folder) if kind == "hf" else None


def _notes(source: Source, entries: Sequence[SuiteEntry]) -> list[Problem]:
    """What is done otherwise than an old spec may expect, and what thresholds switch off."""
    return [
        Problem(f"{entry.probe.name}: {text}", *source.place(("suite", entry.index, field)))
        for entry in entries
        for field, text in _entry_notes(entry)
    ]


def _entry_notes(entry: SuiteEntry) -> Iterator[tuple[str, str]]:
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
