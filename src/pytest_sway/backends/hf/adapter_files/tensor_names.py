"""PEFT's names for an adapter's tensors, whatever wrote the file.

A state dict that was saved by hand has the names of the wrappers around the model: torch.compile, FSDP, a
Lightning module, PEFT with the adapter's name. They are removed where that is unambiguous; whether every name
is one of the model's is checked when the adapter is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

PREFIX = "base_model.model."
"""What PEFT puts before the base's own names."""
_WRAPPERS = {
    "_orig_mod": "torch.compile",
    "_fsdp_wrapped_module": "FSDP",
    "_checkpoint_wrapped_module": "activation checkpointing",
}
_SAVED = re.compile(r"\.modules_to_save\.[^.]+\.")
_ORIGINAL_MODULE = ".original_module."


class AmbiguousNamesError(Exception):
    """Two tensors of a file would get one name; the message names both."""


@dataclass(frozen=True)
class PeftTensorNames:
    """PEFT's names for the tensors of a file.

    Attributes:
        by_key: PEFT's name of each tensor by its name in the file; without tensors of the base.
        notes: how the names were changed, for the report.
    """

    by_key: dict[str, str]
    notes: tuple[str, ...]


def peft_tensor_names(keys: Iterable[str], tuner_prefix: str) -> PeftTensorNames:
    """PEFT's names of the tensors in a file.

    Args:
        keys: the names in the file.
        tuner_prefix: with what the adapter's own tensors begin, e.g. ``lora_``.

    Raises:
        AmbiguousNamesError: two tensors would get the same name.
    """
    changes = _NameChanges(keys)
    changes.remove_wrappers()
    changes.normalize_prefix()
    changes.remove_modules_to_save()
    changes.remove_adapter_name(tuner_prefix)
    first: dict[str, str] = {}
    for key, name in changes.names.items():
        if (other := first.setdefault(name, key)) != key:
            raise AmbiguousNamesError(
                f"the tensors {other} and {key} cannot be told apart: they have the same name when the parts "
                "that wrappers such as torch.compile add are removed"
            )
    return PeftTensorNames(changes.names, tuple(changes.notes))


class _NameChanges:
    """Changes names step by step, with a note for each change."""

    def __init__(self, keys: Iterable[str]) -> None:
        self.names = {key: key for key in keys}
        self.notes: list[str] = []

    def remove_wrappers(self) -> None:
        """Remove the components of wrappers, anywhere in a name."""
        for part, wrapper in _WRAPPERS.items():
            if any(part in name.split(".") for name in self.names.values()):
                self._change(partial(_without_part, part), f"{part!r}, which {wrapper} adds, was removed")

    def normalize_prefix(self) -> None:
        """Remove what precedes PEFT's prefix in all names; add the prefix where no name has it."""
        names = self.names.values()
        before = {name.partition(PREFIX)[0] if PREFIX in name else None for name in names}
        if before == {None} and not any(name.startswith("base_model.") for name in names):
            self._change(lambda name: PREFIX + name, f"{PREFIX!r} was added")
        elif len(before) == 1 and (wrapper := before.pop()):
            self._change(lambda name: name.removeprefix(wrapper), f"{wrapper!r} was removed")

    def remove_modules_to_save(self) -> None:
        """Remove it, and PEFT's copies of the original modules."""
        if any(_SAVED.search(name) for name in self.names.values()):
            self.names = {key: name for key, name in self.names.items() if _ORIGINAL_MODULE not in name}
            self._change(lambda name: _SAVED.sub(".", name), "'modules_to_save' was removed")

    def remove_adapter_name(self, tuner_prefix: str) -> None:
        """Remove the adapter's name where it follows every tensor of the adapter."""
        end = r"(\.(?:weight|bias))?$"
        named = re.compile(rf"\.({re.escape(tuner_prefix)}[^.]*)\.([^.]+){end}")
        plain = re.compile(rf"\.{re.escape(tuner_prefix)}[^.]*{end}")
        own = [name for name in self.names.values() if f".{tuner_prefix}" in name]
        adapters = {match[2] for name in own if (match := named.search(name))}
        if len(adapters) == 1 and not any(plain.search(name) for name in own):
            self._change(
                lambda name: named.sub(lambda match: f".{match[1]}{match[3] or ''}", name),
                f"the adapter's name {adapters.pop()!r} was removed",
            )

    def _change(self, change: Callable[[str], str], how: str) -> None:
        self.names = {key: change(name) for key, name in self.names.items()}
        self.notes.append(f"the adapter's tensor names were converted to the names that PEFT writes: {how}")


def _without_part(part: str, name: str) -> str:
    return ".".join(piece for piece in name.split(".") if piece != part)
