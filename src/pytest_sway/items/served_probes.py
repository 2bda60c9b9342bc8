"""Measuring by a daemon (``--sway-server``): collection, verdicts, gate and reports stay in this process.

One request per suite and adapter asks for every probe of the session at once; an item waits for its own.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_sway.backends.base import AdapterKey
from pytest_sway.client import KEY_VARIABLE, ServeClient, ServeClientError
from pytest_sway.items.callspec import params_of
from pytest_sway.items.item_key import ItemKey, item_key
from pytest_sway.items.stash_keys import SERVED_CONTEXT
from pytest_sway.result import ProbeResult
from pytest_sway.session.item_report import ContextReport
from pytest_sway.spec.path_lookup import is_folder
from pytest_sway.suites.json_conversion import from_json

_RUNS = pytest.StashKey[dict[tuple[str, AdapterKey | None], "ServedRun"]]()


class ServedRun:
    """The probes of one suite on one adapter, as a daemon measures them.

    Args:
        client: of the daemon; closed with the run.
        spec: what is asked.
        path: of its file; relative paths begin in its folder.
        names: of the probes.
    """

    def __init__(self, client: ServeClient, spec: dict[str, Any], path: str, names: list[str]) -> None:
        self._client, self._names = client, frozenset(names)
        self._events = client.events(spec, path, probe_names=names)
        self._found: dict[str, tuple[ProbeResult, ContextReport | None]] = {}
        self._run_id, self._is_over, self._is_broken, self._fault = "", False, False, ""

    def result(self, name: str) -> tuple[ProbeResult, ContextReport | None]:
        """A probe's result, and what it was measured with; waits for it.

        Raises:
            ServeClientError: the daemon cannot be reached, refuses the spec, or ended before the probe.
        """
        while name not in self._found and not self._is_over and not self._is_broken:
            try:
                self._take(next(self._events, {"event": "ended"}))
            except (ServeClientError, TypeError, ValueError) as error:  # the last two: a value JSON lacks
                self._is_broken, self._fault = True, str(error)
        if name not in self._found:
            raise ServeClientError(
                self._fault or "the server (sway serve) ended the run before it measured this probe"
            )
        return self._found[name]

    def close(self) -> None:
        """Wait for the end of a run that has measured everything; cancel another one."""
        try:
            while not self._is_over and not self._is_broken and self._names <= self._found.keys():
                self._take(next(self._events, {"event": "ended"}))
            if self._run_id and not self._is_over:
                self._client.cancel(self._run_id)
        except ServeClientError:
            pass  # the daemon is gone, and the run with it
        self._client.close()

    def _take(self, event: dict[str, Any]) -> None:
        kind = event["event"]
        if kind == "queued":
            self._run_id = event["run_id"]
        elif kind == "result":
            result = from_json(ProbeResult, event["result"])
            context = event["context"]
            about = from_json(ContextReport, context) if context is not None else None
            self._found[result.name] = result, about
        elif kind in ("failed", "cancelled", "complete", "ended"):
            self._is_over, self._fault = True, event.get("error", "")


def served_result(item: pytest.Item, key: ItemKey, url: str) -> Callable[[], ProbeResult]:
    """The measure of an item: its result is the daemon's.

    Args:
        item: whose context is noted on its stash.
        key: the probe.
        url: of the daemon.
    """

    def measure() -> ProbeResult:
        try:
            result, context = _run_of(item, key, url).result(key.entry.probe.name)
        except ServeClientError as error:
            pytest.fail(f"--sway-server={url}: {error}", pytrace=False)
        if context is not None:
            item.stash[SERVED_CONTEXT] = context
        return result

    return measure


def _run_of(item: pytest.Item, key: ItemKey, url: str) -> ServedRun:
    """The run of a suite on an adapter; the first item asks for all."""
    adapter: AdapterKey | None = params_of(item).get("sway_adapter")
    runs = item.config.stash.setdefault(_RUNS, {})
    name = (str(key.suite.path), adapter)
    if name not in runs:
        names = list(dict.fromkeys(_names(item.session, key, adapter)))
        profile = item.config.getoption("sway_profile")
        client = ServeClient(url, api_key=os.environ.get(KEY_VARIABLE))
        runs[name] = ServedRun(client, _spec(key, adapter, profile), str(key.suite.path), names)
        item.config.add_cleanup(runs[name].close)
    return runs[name]


def _names(session: pytest.Session, key: ItemKey, adapter: AdapterKey | None) -> Iterator[str]:
    """Of the session's probes of a suite on an adapter."""
    for item in session.items:
        found = item_key(item)
        is_same = found is not None and found.suite.path == key.suite.path
        if found is not None and is_same and params_of(item).get("sway_adapter") == adapter:
            yield found.entry.probe.name


def _spec(key: ItemKey, adapter: AdapterKey | None, profile: str | None) -> dict[str, Any]:
    """The spec as it is written, with the adapter and the profile of this session."""
    suite = key.suite
    spec: dict[str, Any] = copy.deepcopy(suite.spec.source.value)
    if suite.spec.model is None and is_folder(Path(suite.model.base)):  # it may be relative to where we are
        for side in ("base", "ft"):
            spec["models"][side]["base"] = suite.model.base
    if adapter is not None and adapter.path is not None:
        spec["models"]["ft"]["adapter"] = adapter.path
    if profile is not None:
        spec["defaults"] = {**(spec.get("defaults") or {}), "profile": profile}
    return spec
