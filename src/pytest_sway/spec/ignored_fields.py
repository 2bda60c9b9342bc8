"""Notes on fields that are accepted because dlm-sway reads them, and that have no effect here."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_sway.spec.named_adapters import find_named_adapters
from pytest_sway.spec.problems import FieldPath, Problem
from pytest_sway.spec.schema import Spec
from pytest_sway.text.message_parts import describe, field_name

_SERVED = ("endpoint", "api_key", "tokenizer", "null_dir", "null_dir_server")
FT_DECIDES = frozenset({"kind", "dtype", "device", "trust_remote_code", "entry_point", *_SERVED})
"""Fields of ``models.base`` that dlm-sway reads in two-model mode alone; the model is ``models.ft``'s."""
_READ_FOR = {
    "entry_point": ("custom",),
    **dict.fromkeys(_SERVED, ("api", "custom")),
    **dict.fromkeys(("endpoint", "api_key"), ("api", "gguf", "custom")),
}


def ignored_field_notes(spec: Spec) -> Iterator[Problem]:
    """The notes on everything but the suite, each with its position."""
    for path, text in (*_ignored_defaults(spec), *_ignored_base_fields(spec), *_ignored_ft_fields(spec)):
        yield Problem(f"{field_name(path)} {text}", *spec.source.locate(path))


def names_same_adapter(spec: Spec) -> bool:
    """Whether the base side names the adapter of the other side, which dlm-sway ignores."""
    base, ft = spec.envelope.models.base.adapter, spec.envelope.models.ft.adapter
    named = find_named_adapters(base, spec.source.roots)
    return spec.model is None and (base == ft or named.folders.keys() == spec.named.folders.keys())


def _ignored_defaults(spec: Spec) -> Iterator[tuple[FieldPath, str]]:
    defaults = spec.envelope.defaults
    if defaults.concurrent_probes > 1:
        yield ("defaults", "concurrent_probes"), "has no effect: requests are batched"
    if "top_k" in defaults.model_fields_set and spec.envelope.models.ft.kind not in ("api", "custom"):
        yield ("defaults", "top_k"), "has no effect: the full vocabulary is compared"


def _ignored_base_fields(spec: Spec) -> Iterator[tuple[FieldPath, str]]:
    base, ft = spec.envelope.models.base, spec.envelope.models.ft
    if base.adapter and names_same_adapter(spec):
        yield (
            ("models", "base", "adapter"),
            "has no effect: models.base is always evaluated without an adapter",
        )
    for name in sorted(base.model_fields_set & FT_DECIDES) if spec.model is None else ():
        ours, theirs = getattr(base, name), getattr(ft, name)
        if ours != theirs:
            value = "" if name in ("api_key", "endpoint") else f": {describe(theirs)}"
            decides = f"the base model also uses models.ft.{name}{value}"
            yield ("models", "base", name), f"has no effect: {decides}"


def _ignored_ft_fields(spec: Spec) -> Iterator[tuple[FieldPath, str]]:
    ft = spec.envelope.models.ft
    for name, kinds in _READ_FOR.items():
        if getattr(ft, name) and ft.kind not in kinds:
            yield (
                ("models", "ft", name),
                f"has no effect with kind: {ft.kind}; it applies only to kind: {', '.join(kinds)}",
            )
    if ft.null_dir_server and not ft.null_dir:
        yield ("models", "ft", "null_dir_server"), "has no effect without null_dir"
