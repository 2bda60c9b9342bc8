"""A spec resolved: its probes with their options, and the keys of the fixtures that they need."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from pytest_sway.backends.base import AdapterKey, ModelKey
from pytest_sway.backends.null_population import NullPlan
from pytest_sway.items.null_adapter_entry import read_null_entry
from pytest_sway.items.samples_entry import with_samples
from pytest_sway.items.suite_entries import SuiteEntry, entry_notes, read_entries
from pytest_sway.probes.base import ProbeContext
from pytest_sway.probes.registry import Kinds
from pytest_sway.requests import Profile
from pytest_sway.spec.adapter_file_checks import why_not_served
from pytest_sway.spec.adapter_folders import why_no_adapter
from pytest_sway.spec.adapter_globs import ExcludedMatch
from pytest_sway.spec.hub_names import HubName, is_hub_name
from pytest_sway.spec.model_kinds import FILE_KINDS, is_gguf_adapter, server_address
from pytest_sway.spec.named_adapters import (
    FolderNote,
    NamedAdapters,
    find_adapters_of_kind,
    without_duplicates,
)
from pytest_sway.spec.parser import parse
from pytest_sway.spec.path_lookup import is_file, is_folder
from pytest_sway.spec.problems import Problem, SpecError
from pytest_sway.spec.schema import Spec
from pytest_sway.spec.yaml_source import read_spec
from pytest_sway.text.message_parts import shorten_list


@dataclass(frozen=True)
class Suite:
    """Everything that collection needs to know of a spec.

    Attributes:
        adapters: those that are evaluated.
        notes: what is done otherwise than the spec may expect.
        left_out: matches of a pattern that are not evaluated.
        adapter_notes: which identical folders an adapter represents.
    """

    path: Path
    spec: Spec
    entries: tuple[SuiteEntry, ...]
    model: ModelKey
    adapters: tuple[AdapterKey, ...]
    plan: NullPlan | None
    notes: tuple[Problem, ...]
    left_out: tuple[ExcludedMatch, ...] = ()
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
            system_prompt=self.spec.system_prompt,
            profile=self.spec.envelope.defaults.profile,
            capabilities=capabilities,
            context_length=context_length,
            timeout=self.spec.envelope.defaults.timeout,
        )

    @cached_property
    def adapter_labels(self) -> dict[AdapterKey, str]:
        """The shortest tails of the adapters' paths that tell them apart."""
        paths = [Path(key.path or key.model or "base").parts or (".",) for key in self.adapters]
        tails: list[str] = []
        for depth in range(1, max(map(len, paths)) + 1):
            tails = ["/".join(parts[-depth:]) for parts in paths]
            if len(set(tails)) == len(tails):
                break
        return dict(zip(self.adapters, tails, strict=True))

    @property
    def candidates(self) -> list[ExcludedMatch]:
        """What is left out and should have been an adapter: the gate fails for each."""
        return [one for one in self.left_out if one.is_candidate]

    @property
    def warnings(self) -> list[Problem]:
        """What a user should know before the run: ``notes``, and the candidates with their reasons."""
        line, column = self.spec.source.locate(("models", "ft", "adapter"))
        texts = [f"adapter {one.name} is not evaluated: {one.reason}" for one in self.candidates]
        return [*self.notes, *(Problem(text, line, column) for text in texts)]

    def notes_on(self, adapter: AdapterKey) -> Iterator[str]:
        """What the reports say of an adapter and of the folders that were left out."""
        for note in self.adapter_notes:
            if str(note.folder) == adapter.path:
                yield note.text
        if left_out := [one.name for one in self.candidates]:
            yield f"adapters not evaluated (reported separately): {shorten_list(left_out)}"
        if others := [one.name for one in self.left_out if not one.is_candidate]:
            yield f"not evaluated, because they are not adapter folders: {shorten_list(others)}"

    @cached_property
    def left_out_labels(self) -> dict[ExcludedMatch, str]:
        """For each of the candidates, the shortest tail of its path that nothing else is called by."""
        taken, found = set(self.adapter_labels.values()), {}
        for one in self.candidates:
            parts = one.path.parts
            tails = ["/".join(parts[-depth:]) for depth in range(1, len(parts) + 1)]
            found[one] = next((tail for tail in tails if tail not in taken), str(one.path))
            taken.add(found[one])
        return found


def load_suite(
    path: Path,
    adapters: Sequence[str] = (),
    kinds: Kinds | None = None,
    *,
    samples: int | None = None,
    profile: Profile | None = None,
) -> Suite:
    """Read and check a whole spec; no model is touched.

    Args:
        path: of the spec.
        adapters: folders, or patterns of folders, that replace ``models.ft.adapter``.
        kinds: that its entries may name; by default ours.
        samples: how many answers are shown side by side; None: as the suite says.
        profile: how much is measured; None: as the spec says.

    Raises:
        SpecError: with every problem of the file.
    """
    source = read_spec(path)
    spec, problems = parse(source, adapters=adapters or None)
    if spec is not None and profile is not None:
        defaults = spec.envelope.defaults.model_copy(update={"profile": profile})
        spec = replace(spec, envelope=spec.envelope.model_copy(update={"defaults": defaults}))
    entries, entry_problems = read_entries(source, kinds or Kinds())
    problems += entry_problems
    kind = spec.envelope.models.ft.kind if spec is not None else ""
    given = find_adapters_of_kind(kind, adapters, (Path(),))
    problems += _adapter_problems(given, kind)
    null = read_null_entry(source, entries, check_files=kind in FILE_KINDS)
    problems += null.problems
    if problems or spec is None:
        raise SpecError(path, problems)
    named = given if adapters else spec.named
    if kind in FILE_KINDS:  # of another kind the files are not ours to compare
        named = without_duplicates(named)
    return Suite(
        path=path,
        spec=spec,
        entries=tuple(with_samples(entries, spec.document, source, samples)),
        model=_model_key(spec),
        adapters=tuple(_adapter_keys(spec, named, (path.parent, Path()))),
        plan=null.plan(spec.envelope.defaults),
        notes=(*spec.notes, *entry_notes(source, entries), *null.notes),
        left_out=named.left_out,
        adapter_notes=named.notes,
    )


def _model_key(spec: Spec) -> ModelKey:
    """The model that the backend loads; of a full fine-tune its base."""
    models, defaults = spec.envelope.models, spec.envelope.defaults
    ft = models.ft
    server = ft if spec.model is None or models.base.endpoint is None else models.base
    is_one_server = server_address(server.endpoint or "") == server_address(ft.endpoint or "")
    return ModelKey(
        kind=ft.kind,
        base=spec.base,
        revision=ft.revision if spec.model is None else models.base.revision,
        dtype=ft.dtype,
        quantization=ft.quantization or models.base.quantization,
        device=ft.device,
        trust_remote_code=ft.trust_remote_code,
        entry_point=ft.entry_point,
        endpoint=server.endpoint,
        api_key=server.api_key or (ft.api_key if is_one_server else None),
        tokenizer=spec.tokenizer,
        null_dir=spec.null_dir,
        null_dir_server=ft.null_dir_server,
        top_k=defaults.top_k if "top_k" in defaults.model_fields_set else None,
        chat_template=str(spec.chat_template) if spec.chat_template is not None else None,
        chat_template_kwargs=json.dumps(defaults.chat_template_kwargs, sort_keys=True),
    )


def _adapter_keys(spec: Spec, named: NamedAdapters, roots: Sequence[Path]) -> Iterator[AdapterKey]:
    """What is evaluated: the folders that were named, or one full fine-tune."""
    ft = spec.envelope.models.ft
    model: tuple[str | None, ...] = ()
    if spec.model is not None:
        model = (spec.model, ft.revision, ft.endpoint, ft.api_key)
    if not named.folders:
        yield AdapterKey(None, *model)
    for folder, name in named.folders.items():
        is_on_hub = ft.kind in FILE_KINDS and is_hub_name(name, roots)
        yield AdapterKey(name if is_on_hub else str(folder), *model)


def _folder_of(adapter: AdapterKey | None) -> Path | None:
    """An adapter's folder; None for a file, and for a name on the hub, whose files are known later."""
    if adapter is None or adapter.path is None:
        return None
    folder = Path(adapter.path)
    if is_file(folder):  # a GGUF adapter
        return None
    return folder if is_folder(folder) or HubName.of(adapter.path) is None else None


def _adapter_problems(given: NamedAdapters, kind: str) -> list[Problem]:
    return [
        Problem(f"--sway-adapter={pattern}: no adapter folder matches this pattern{why}")
        for pattern, why in given.unmatched.items()
    ] + [
        Problem(f"--sway-adapter={name}: {why}")
        for folder, name in given.folders.items()
        if (why := _why_refused(folder, name, kind)) is not None
    ]


def _why_refused(folder: Path, name: str, kind: str) -> str | None:
    """Why what the command line names cannot be evaluated."""
    if not name.strip():
        return "the value is empty; pass an adapter folder"
    if is_hub_name(name, (Path(),)) or is_gguf_adapter(folder, kind):
        return None
    if (why := why_no_adapter(folder)) is not None:
        return f"no adapter folder found{why}"
    return why_not_served(folder) if kind in FILE_KINDS else None
