"""Where the adapters of a training appear: in folders, below a folder, or in a dlm store."""

from __future__ import annotations

import glob
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_sway.dlm.errors import DlmError
from pytest_sway.dlm.store import current_adapter
from pytest_sway.spec.adapter_folders import ADAPTER_CONFIG, is_checkpoint
from pytest_sway.spec.adapter_globs import find_matches
from pytest_sway.spec.path_lookup import follow_links, is_file, is_folder, natural_order
from pytest_sway.user_error import UserError


class SourceError(UserError):
    """Adapters cannot be found at the moment; the message says why."""


class AdapterSource(ABC):
    """Where adapters appear."""

    @property
    @abstractmethod
    def label(self) -> str:
        """What is watched, for a message."""

    @abstractmethod
    def folders(self) -> list[Path]:
        """Folders that are, or may become, adapters, in the order in which they are evaluated.

        Raises:
            SourceError: they cannot be found at the moment.
        """

    @abstractmethod
    def places(self) -> set[Path]:
        """Folders that are there, in which something changes when a further adapter appears."""


@dataclass(frozen=True)
class NamedFolders(AdapterSource):
    """Folders and patterns.

    Attributes:
        names: as they are written.
        roots: where relative ones begin, the first before the others.
    """

    names: tuple[str, ...]
    roots: tuple[Path, ...]

    @property
    def label(self) -> str:
        """The names."""
        return ", ".join(self.names)

    def folders(self) -> list[Path]:
        """Each name's folder, and each pattern's matches, ``checkpoint-9`` before ``checkpoint-10``."""
        found: dict[Path, None] = {}
        for name in self.names:
            for folder in self._folders(name):
                found.setdefault(follow_links(folder))
        return list(found)

    def places(self) -> set[Path]:
        """The folders, those above them, and where patterns begin."""
        starts = [root / _start(name) for name in self.names for root in self.roots]
        found = {folder for start in starts for folder in (start, start.parent)}
        return {folder for folder in found if is_folder(folder)}

    def _folders(self, name: str) -> list[Path]:
        for root in self.roots:
            if is_folder(folder := root / _expanded(name)):
                return [folder]
            if glob.has_magic(name) and (matches := find_matches(name, root)):
                return [match.path for match in matches if is_folder(match.path)]
        return []


@dataclass(frozen=True)
class FoldersBelow(AdapterSource):
    """A folder and those in it: what a Trainer writes its checkpoints into."""

    parent: Path

    @property
    def label(self) -> str:
        """The folder."""
        return str(self.parent)

    def folders(self) -> list[Path]:
        """Adapters and checkpoints in it, ``checkpoint-9`` before ``checkpoint-10``, then itself."""
        try:
            below = list(self.parent.iterdir())
        except OSError as error:
            raise SourceError(f"{self.parent} cannot be read: {error.strerror or error}") from error
        found = sorted(filter(is_checkpoint, below), key=lambda folder: natural_order(folder.name))
        own = [self.parent] if is_file(self.parent / ADAPTER_CONFIG) else []
        return [follow_links(folder) for folder in (*found, *own)]

    def places(self) -> set[Path]:
        """The folder, or the one above it."""
        place = self.parent if is_folder(self.parent) else self.parent.parent
        return {place} if is_folder(place) else set()


@dataclass(frozen=True)
class SeveralSources(AdapterSource):
    """What several others have."""

    parts: tuple[AdapterSource, ...]

    @property
    def label(self) -> str:
        """Theirs."""
        return ", ".join(part.label for part in self.parts)

    def folders(self) -> list[Path]:
        """Theirs, each once; one that has none at the moment hinders no other."""
        found, faults = dict[Path, None](), list[SourceError]()
        for part in self.parts:
            try:
                found |= dict.fromkeys(part.folders())
            except SourceError as error:
                faults.append(error)
        if faults and not found:
            raise faults[0]
        return list(found)

    def places(self) -> set[Path]:
        """Theirs."""
        return {folder for part in self.parts for folder in part.places()}


@dataclass(frozen=True)
class CurrentVersion(AdapterSource):
    """The version that a dlm store's ``current.txt``, or its link ``latest``, points to.

    Attributes:
        store: the store's folder.
        adapter: its name, in a document with several; else empty.
    """

    store: Path
    adapter: str = ""

    @property
    def label(self) -> str:
        """The folder of the pointer."""
        return str(self._folder)

    def folders(self) -> list[Path]:
        """That version."""
        try:
            found = current_adapter(self.store, self.adapter)
        except DlmError as error:
            raise SourceError(error.message) from error
        return [found] if found is not None else []

    def places(self) -> set[Path]:
        """The nearest folder of the pointer that is there."""
        above = [self._folder, *self._folder.parents]
        return {next(folder for folder in above if is_folder(folder))}

    @property
    def _folder(self) -> Path:
        return self.store / "adapter" / self.adapter if self.adapter else self.store / "adapter"


def source_of_names(names: Sequence[str]) -> AdapterSource:
    """What a command line names: folders with what is in them, and patterns."""
    parts = [NamedFolders((name,), (Path.cwd(),)) if _is_pattern(name) else _below(name) for name in names]
    return parts[0] if len(parts) == 1 else SeveralSources(tuple(parts))


def _below(name: str) -> AdapterSource:
    folder = _expanded(name).absolute()
    is_store = is_folder(folder / "adapter") and is_file(folder / "manifest.json")
    return CurrentVersion(folder) if is_store else FoldersBelow(folder)


def _expanded(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError as error:
        raise SourceError(f"{name}: {error}") from error


def _is_pattern(name: str) -> bool:
    return glob.has_magic(name) and not is_folder(Path(name))


def _start(name: str) -> Path:
    """A name up to its first part with ``*``, ``?`` or ``[``."""
    parts: list[str] = []
    for part in _expanded(name).parts:
        if glob.has_magic(part):
            break
        parts.append(part)
    return Path(*parts)
