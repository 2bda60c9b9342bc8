"""The spec that adapters are evaluated with; it is read again where it was edited."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytest_sway.dlm.errors import DlmError
from pytest_sway.dlm.reader import read_dlm
from pytest_sway.dlm.store import DlmVersion, store_of, version_of
from pytest_sway.spec.environment_variables import expand
from pytest_sway.spec.path_lookup import find_path
from pytest_sway.spec.problems import SpecError
from pytest_sway.spec.yaml_source import Source, read_spec
from pytest_sway.text.message_parts import describe
from pytest_sway.watch.sources import AdapterSource, CurrentVersion, NamedFolders, SourceError

_NO_ADAPTER = (
    "the spec has no adapter to watch; set models.ft.adapter (a folder, a list or a pattern) or dlm_source, "
    "or pass --adapter"
)


class WatchedSpec:
    """A spec file, and where the adapters that it names appear.

    Args:
        path: of the file.
        source: where they appear, where the command line says it.

    Raises:
        SourceError: the file cannot be read, or it names no adapter.
    """

    def __init__(self, path: Path, source: AdapterSource | None = None) -> None:
        self.path, self._named = path, source
        self._state = _state(path)
        self.source = source or source_of_spec(path)

    def is_edited(self) -> bool:
        """Whether it was edited since it was last read; it is read again.

        Raises:
            SourceError: as it is now it cannot be read.
        """
        state = _state(self.path)
        if state == self._state or state is None:  # an editor may replace the file
            return False
        self._state = state
        _read(self.path)
        self.source = self._named or source_of_spec(self.path)
        return True


def source_of_spec(path: Path) -> AdapterSource:
    """Where the adapters appear that a spec names.

    With ``dlm_source`` that is the store of the document, unless ``models.ft.adapter`` is elsewhere.

    Raises:
        SourceError: the file cannot be read, or it names none.
    """
    spec = _read(path)
    names = _written_adapters(spec)
    version = _store_version(spec, names)
    if version is not None:
        return CurrentVersion(version.store, version.adapter)
    if not names:
        raise SourceError(f"{path}: {_NO_ADAPTER}")
    return NamedFolders(tuple(names), tuple(root.absolute() for root in spec.roots))


def _read(path: Path) -> Source:
    try:
        return read_spec(path)
    except SpecError as error:
        raise SourceError(str(error)) from error


def _written_adapters(spec: Source) -> list[str]:
    """``models.ft.adapter``, with environment variables."""
    models: Any = spec.value.get("models")
    tuned = models.get("ft") if isinstance(models, dict) else None
    written = tuned.get("adapter") if isinstance(tuned, dict) else None
    names = written if isinstance(written, list) else [written] if written is not None else []
    if wrong := [name for name in names if not isinstance(name, str) or not name]:
        place = ":".join(map(str, spec.locate(("models", "ft", "adapter"))))
        raise SourceError(
            f"{spec.path}:{place}: models.ft.adapter: found {describe(wrong[0])}, expected a folder"
        )
    try:
        return [expand(name) for name in names]
    except ValueError as error:
        raise SourceError(f"{spec.path}: models.ft.adapter: {error}") from error


def _store_version(spec: Source, names: Sequence[str]) -> DlmVersion | None:
    """A version in the store of the spec's document, or what it would be called; None without a document."""
    written = spec.value.get("dlm_source")
    if not isinstance(written, str) or len(names) > 1:
        return None
    try:
        document = read_dlm(find_path(expand(written), spec.roots))[0]
        store = store_of(document.dlm_id)
    except (DlmError, ValueError, OSError) as error:
        raise SourceError(f"{spec.path}: dlm_source: {error}") from error
    if not names:
        return DlmVersion(store, document.adapters[0] if document.adapters else "", 0)
    version = version_of(find_path(names[0], spec.roots))
    return version if version is not None and version.store == store.resolve() else None


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
