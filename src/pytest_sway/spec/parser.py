"""Reads the envelope of a spec: validates it, resolves its paths, and collects what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from pytest_sway.document import Document
from pytest_sway.spec.chat_template_fields import template_file
from pytest_sway.spec.dlm_source import read_dlm_source
from pytest_sway.spec.ignored_fields import ignored_field_notes
from pytest_sway.spec.model_checks import adapter_problems, model_problems
from pytest_sway.spec.model_kinds import FILE_KINDS, is_gguf_name, server_address
from pytest_sway.spec.named_adapters import find_adapters_of_kind
from pytest_sway.spec.path_lookup import find_path, is_file, is_folder
from pytest_sway.spec.problems import Problem
from pytest_sway.spec.schema import Envelope, Spec
from pytest_sway.spec.sections_file import read_document
from pytest_sway.spec.validation_errors import validation_problems
from pytest_sway.spec.yaml_source import Source

_ANCHORS = "x-"
"""Top-level keys that begin so hold what anchors name, and are not read."""


def parse(source: Source, *, adapters: Sequence[str] | None = None) -> tuple[Spec | None, list[Problem]]:
    """The spec, or None, and everything that is wrong with its envelope.

    ``adapters``: those that the command line names; the spec's own is not looked at. None: it names none.
    """
    try:
        envelope = Envelope.model_validate(
            {key: value for key, value in source.value.items() if not key.startswith(_ANCHORS)}
        )
    except ValidationError as error:
        return None, validation_problems(error, source, (), Envelope)
    document, problems = read_document(source)
    spec = _resolve_paths(source, envelope, document)
    problems += model_problems(spec)
    if envelope.models.ft.kind in FILE_KINDS and adapters is None:
        problems += adapter_problems(spec)
    spec, wrong = _with_dlm_source(spec, adapters)
    return spec, [*problems, *wrong]


def _with_dlm_source(spec: Spec, adapters: Sequence[str] | None) -> tuple[Spec, list[Problem]]:
    """Fill the document and the system prompt from the ``.dlm`` file that the spec names."""
    kind = spec.envelope.models.ft.kind
    named = spec.named if adapters is None else find_adapters_of_kind(kind, adapters, (Path(),))
    written = spec.envelope.defaults.system_prompt
    found, problems = read_dlm_source(spec.source, spec.envelope.dlm_source, list(named.folders), written)
    document = Document(
        (*spec.document.sections, *found.document.sections),
        (*spec.document.controls, *found.document.controls),
    )
    system = found.system_prompt if written is None else written
    notes = (*spec.notes, *found.notes)
    return replace(spec, document=document, system_prompt=system.strip(), notes=notes), problems


def _resolve_paths(source: Source, envelope: Envelope, document: Document) -> Spec:
    """Look paths up in the spec's folder first, then in the working directory."""
    base, ft = envelope.models.base, envelope.models.ft
    roots = source.roots
    named = find_adapters_of_kind(ft.kind, ft.adapter, roots)
    spec = Spec(
        source,
        envelope,
        base=_find_model(base.base, roots, ft.kind),
        named=named,
        chat_template=template_file(envelope.defaults.chat_template, roots),
        model=_find_model(ft.base, roots, ft.kind) if _is_full_fine_tune(envelope) else None,
        tokenizer=_find_tokenizer(ft.tokenizer, base.base, roots),
        null_dir=str(find_path(ft.null_dir, roots)) if ft.null_dir else None,
        document=document,
    )
    return replace(spec, notes=tuple(ignored_field_notes(spec)))


def _is_full_fine_tune(envelope: Envelope) -> bool:
    """Whether the tuned side is another model, and not the base with an adapter."""
    base, ft = envelope.models.base, envelope.models.ft
    addresses = [server_address(side.endpoint) for side in (base, ft) if side.endpoint]
    is_other_server = ft.kind == "api" and len(set(addresses)) == 2
    return not envelope.defaults.differential and (ft.base != base.base or is_other_server)


def _find_tokenizer(name: str | None, base: str, roots: Sequence[Path]) -> str | None:
    """A tokenizer's folder or its name on the hub; by default the base's own folder."""
    path = find_path(name or base, roots)
    return str(path) if is_folder(path) else name


def _find_model(name: str, roots: Sequence[Path], kind: str) -> str:
    """A model's folder or file, or its name: on the hub, or on a server."""
    if kind == "api":
        return name
    path = find_path(name, roots)
    may_be_file = kind == "custom" or is_gguf_name(name)
    return str(path) if is_folder(path) or (may_be_file and is_file(path)) else name
