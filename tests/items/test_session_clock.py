"""One moment for a whole run, in every process of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pytest_sway.items.session_clock import session_moment
from pytest_sway.session.xdist_workers import Workers


def config(workerinput: dict[str, Any] | None = None) -> Any:
    more = {} if workerinput is None else {"workerinput": workerinput}
    return SimpleNamespace(stash=pytest.Stash(), **more)


def test_a_process_keeps_its_moment() -> None:
    here = config()
    assert session_moment(here) == session_moment(here)


def test_every_worker_has_the_controllers() -> None:
    workers = Workers(config())
    inputs: list[dict[str, Any]] = [{}, {}]
    for sent in inputs:
        workers.pytest_configure_node(SimpleNamespace(workerinput=sent))
    workers.pytest_unconfigure()
    first, second = (session_moment(config(sent)) for sent in inputs)
    assert first == second
    assert all(isinstance(value, str) for value in inputs[0].values()), "execnet carries builtins"
