"""Models that stay loaded between runs: the least recently used one goes first."""

from __future__ import annotations

import gc
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import date
from pathlib import Path

from pytest_sway.backends.base import Backend, BackendError, ModelKey

Load = Callable[[ModelKey], Backend]


class WarmBackends:
    """At most so many models, each once.

    A model is named by its key, by names, sizes and times of its files, and by the day, which a chat template
    may write: what changes on disk is loaded anew.

    Args:
        load: loads a model.
        most: of the models; the least recently used one is closed before another is loaded.
    """

    def __init__(self, load: Load, most: int) -> None:
        self._load, self._most = load, most
        self._backends: OrderedDict[tuple[ModelKey, str], Backend] = OrderedDict()
        self._discarded: list[Backend] = []
        self._is_changed = False
        self._closers: dict[int, Callable[[], None]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The models, the least recently used one first."""
        return tuple(key.base for key, _ in self._backends)

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
            while len(self._backends) >= self._most:
                self._close(next(iter(self._backends)))
            self._backends[name] = self._kept_open(self._load(key))
            self._is_changed = True
        self._backends.move_to_end(name)
        return self._backends[name]

    def discard_later(self, backends: Iterable[Backend]) -> None:
        """Note models that may no longer be served truthfully."""
        self._discarded += backends

    def close_discarded(self) -> None:
        """Close them."""
        for name in [one for one, held in self._backends.items() if held in self._discarded]:
            self._close(name)
        self._discarded.clear()

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


def _nothing() -> None:
    """A lent backend is closed by whom it belongs to."""
