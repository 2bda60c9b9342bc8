"""What a spec says that is accepted for dlm-sway's sake and changes nothing here; said once per file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sway.spec.adapter_paths import adapter_folders
from pytest_sway.spec.errors import Path_, Problem
from pytest_sway.text.message_parts import describe, field_name

if TYPE_CHECKING:
    from pytest_sway.spec.schema import Spec

FT_DECIDES = frozenset({"kind", "dtype", "device", "trust_remote_code", "entry_point", "endpoint"})
"""Fields of ``models.base`` that dlm-sway reads in two-model mode alone; the model is ``models.ft``'s."""
_READ_FOR = {"entry_point": "custom", "endpoint": "api"}


def notes_of(spec: Spec) -> Iterator[Problem]:
    """The notes on everything but the suite, each with its place."""
    for path, text in (*_defaults(spec), *_base_side(spec), *_ft_side(spec)):
        yield Problem(f"{field_name(path)} {text}", *spec.source.place(path))


def adapter_of_both(spec: Spec) -> bool:
    """Whether the base side names the adapter of the other side, which dlm-sway reads over."""
    base, ft = spec.envelope.models.base.adapter, spec.envelope.models.ft.adapter
    named = adapter_folders(base, (spec.source.path.parent, Path()))
    return spec.model is None and (base == ft or named.folders.keys() == spec.named.folders.keys())


def _defaults(spec: Spec) -> Iterator[tuple[Path_, str]]:
    defaults = spec.envelope.defaults
    if defaults.concurrent_probes > 1:
        yield ("defaults", "concurrent_probes"), "has no effect: requests are batched"
    if "top_k" in defaults.model_fields_set:
        yield ("defaults", "top_k"), "has no effect: the whole vocabulary is compared"


def _base_side(spec: Spec) -> Iterator[tuple[Path_, str]]:
    base, ft = spec.envelope.models.base, spec.envelope.models.ft
    if base.adapter and adapter_of_both(spec):
        yield ("models", "base", "adapter"), "has no effect: the base side is the base without its adapter"
    for name in sorted(base.model_fields_set & FT_DECIDES) if spec.model is None else ():
        ours, theirs = getattr(base, name), getattr(ft, name)
        if ours != theirs:
            decides = f"one model serves both sides, and models.ft.{name} decides: {describe(theirs)}"
            yield ("models", "base", name), f"has no effect: {decides}"


def _ft_side(spec: Spec) -> Iterator[tuple[Path_, str]]:
    ft = spec.envelope.models.ft
    for name, kind in _READ_FOR.items():
        if getattr(ft, name) is not None and ft.kind != kind:
            yield (
                ("models", "ft", name),
                f"has no effect: it is read for kind: {kind}, not for {ft.kind}",
            )
