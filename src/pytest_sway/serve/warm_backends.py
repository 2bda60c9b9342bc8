"""Models that stay loaded between runs: the least recently used one is closed first."""

from __future__ import annotations

import gc
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import date
from pathlib import Path

from pytest_sway.backends.base import Backend, BackendError, ModelKey
from pytest_sway.serve.messages import LoadedModel

Load = Callable[[ModelKey], Backend]


class WarmBackends:
    """At most so many models, each once, within so much memory.

    A model is named by its key, by names, sizes and times of its files, and by the day, which a chat template
    may write: what changes on disk is loaded anew.

    Args:
        load: loads a model.
        most: of the models; the least recently used one is closed before another is loaded.
        most_bytes: that their weights take together; None for any. A model that takes more by itself is
            closed once its run is over.
    """

    def __init__(self, load: Load, most: int, most_bytes: int | None = None) -> None:
        self._load, self._most, self._most_bytes = load, most, most_bytes
        self._backends: OrderedDict[tuple[ModelKey, str], Backend] = OrderedDict()
        self._discarded: list[Backend] = []
        self._is_changed = False
        self._closers: dict[int, Callable[[], None]] = {}

    @property
    def models(self) -> tuple[LoadedModel, ...]:
        """The models, the least recently used one first."""
        return tuple(LoadedModel(key.base, one.weights_bytes) for (key, _), one in self._backends.items())

    def get(self, key: ModelKey) -> Backend:
        """A model that is loaded, or that is loaded now.

        Raises:
            BackendError: it cannot be loaded.
        """
        files = (files_signature(path) for path in (key.base, key.chat_template, key.tokenizer))
        name = (key, " | ".join((date.today().isoformat(), *files)))
        for other in [one for one in self._backends if one[0] == key and one != name]:
            self._close(other)
        if name not in self._backends:
            self._close_oldest(1, weights_on_disk(key.base))
            self._backends[name] = self._kept_open(self._load(key))
            self._is_changed = True
            self._close_oldest(0, 0, keep=name)  # its weights may be larger than its files
        self._backends.move_to_end(name)
        return self._backends[name]

    def discard_later(self, backends: Iterable[Backend]) -> None:
        """Note models that may no longer be served truthfully."""
        self._discarded += backends

    def end_run(self) -> None:
        """Close what was noted, and what takes more than the memory."""
        for name in [one for one, held in self._backends.items() if held in self._discarded]:
            self._close(name)
        self._discarded.clear()
        self._close_oldest(0, 0)

    def collect_garbage(self) -> None:
        """Free what a run left behind.

        pytest collects garbage at every session's end, and would look through torch and the models each
        time (0.3 s on two cores): what stays is set aside, until a model is closed.
        """
        gc.collect()
        if self._is_changed:
            gc.freeze()
            self._is_changed = False

    def close(self) -> None:
        """Close every model."""
        for name in list(self._backends):
            self._close(name)

    def _close_oldest(self, models: int, size: int, keep: tuple[ModelKey, str] | None = None) -> None:
        """Close the least recently used models until so many more, of so many bytes, fit the limits."""
        for name in [one for one in self._backends if one != keep]:
            taken = size + sum(held.weights_bytes for held in self._backends.values())
            is_within = self._most_bytes is None or taken <= self._most_bytes
            if is_within and len(self._backends) + models <= self._most:
                return
            self._close(name)

    def _kept_open(self, backend: Backend) -> Backend:
        """The backend, which a session of pytest closes in vain at its end."""
        self._closers[id(backend)] = backend.close
        setattr(backend, "close", _nothing)  # noqa: B010 - a method for this one instance
        return backend

    def _close(self, name: tuple[ModelKey, str]) -> None:
        gc.unfreeze()  # its own objects are garbage soon
        backend = self._backends.pop(name)
        with suppress(BackendError):  # it is gone in any case
            self._closers.pop(id(backend))()


def files_signature(path: str | None) -> str:
    """Names, sizes and times of a file, or of a folder's files; empty for a name on the hub."""
    if path is None or not os.path.exists(path):  # noqa: PTH110 - unlike Path.exists it raises for no name
        return ""
    where = Path(path)
    files = [where] if where.is_file() else sorted(one for one in where.iterdir() if one.is_file())
    return " ".join(f"{p.name}:{p.stat().st_size}:{p.stat().st_mtime_ns}" for p in files)


def weights_on_disk(path: str) -> int:
    """Bytes of a model's weight files, a file or a folder's; 0 for a name on the hub."""
    where = Path(path)
    files = [where] if where.is_file() else where.glob("*") if where.is_dir() else ()
    return sum(one.stat().st_size for one in files if one.suffix in (".safetensors", ".gguf"))


def _nothing() -> None:
    """A lent backend is closed by whom it belongs to."""
