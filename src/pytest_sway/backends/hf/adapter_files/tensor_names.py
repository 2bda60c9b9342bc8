"""The names of an adapter's tensors as PEFT's save_pretrained writes them, whoever wrote the file.

A state dict that was saved by hand has the names of whatever was wrapped around the model: torch.compile,
FSDP, a Lightning module, PEFT's own wrapper with the adapter's name. Such a name is taken off where that is
unambiguous; that every tensor then finds its place is checked when the adapter is loaded.
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
_FROZEN = ".original_module."


class AmbiguousNamesError(Exception):
    """Two tensors of a file would get one name; the message names both."""


@dataclass(frozen=True)
class PeftTensorNames:
    """Where the tensors of a file belong.

    Attributes:
        by_key: PEFT's name of each tensor by its name in the file; without what is the base's own.
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
    renaming = _Renaming(keys)
    renaming.take_wrappers_off()
    renaming.put_prefix_first()
    renaming.take_modules_to_save_off()
    renaming.take_adapter_name_off(tuner_prefix)
    first: dict[str, str] = {}
    for key, name in renaming.names.items():
        if (other := first.setdefault(name, key)) != key:
            raise AmbiguousNamesError(f"{other} and {key} name the same tensor twice")
    return PeftTensorNames(renaming.names, tuple(renaming.notes))


class _Renaming:
    """The names as they are changed step by step, with a note for each change."""

    def __init__(self, keys: Iterable[str]) -> None:
        self.names = {key: key for key in keys}
        self.notes: list[str] = []

    def take_wrappers_off(self) -> None:
        """Wherever in a name they stand."""
        for part, wrapper in _WRAPPERS.items():
            if any(part in name.split(".") for name in self.names.values()):
                self._change(partial(_without_part, part), f"without {part}, which {wrapper} puts there")

    def put_prefix_first(self) -> None:
        """Take off what stands before PEFT's prefix in all names; put it there where none has it."""
        names = self.names.values()
        before = {name.partition(PREFIX)[0] if PREFIX in name else None for name in names}
        if before == {None} and not any(name.startswith("base_model.") for name in names):
            self._change(lambda name: PREFIX + name, f"with {PREFIX} before them, as PEFT writes it")
        elif len(before) == 1 and (wrapper := before.pop()):
            self._change(lambda name: name.removeprefix(wrapper), f"without {wrapper!r} before them")

    def take_modules_to_save_off(self) -> None:
        """Also leave out PEFT's copies of what the base had in the places of the trained modules."""
        if any(_SAVED.search(name) for name in self.names.values()):
            self.names = {key: name for key, name in self.names.items() if _FROZEN not in name}
            self._change(lambda name: _SAVED.sub(".", name), "without modules_to_save, as PEFT writes them")

    def take_adapter_name_off(self, tuner_prefix: str) -> None:
        """Where it stands behind every tensor of the adapter's own."""
        end = r"(\.(?:weight|bias))?$"
        named = re.compile(rf"\.({re.escape(tuner_prefix)}[^.]*)\.([^.]+){end}")
        plain = re.compile(rf"\.{re.escape(tuner_prefix)}[^.]*{end}")
        own = [name for name in self.names.values() if f".{tuner_prefix}" in name]
        found = {match[2] for name in own if (match := named.search(name))}
        if len(found) == 1 and not any(plain.search(name) for name in own):
            self._change(
                lambda name: named.sub(lambda match: f".{match[1]}{match[3] or ''}", name),
                f"without .{found.pop()}, the name of the adapter",
            )

    def _change(self, change: Callable[[str], str], how: str) -> None:
        self.names = {key: change(name) for key, name in self.names.items()}
        self.notes.append(f"the names of the adapter's tensors are read {how}")


def _without_part(part: str, name: str) -> str:
    return ".".join(piece for piece in name.split(".") if piece != part)
