"""Which models stay in memory: real backends of a few lines, whose weights are numbers of bytes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_sway.backends.base import AdapterKey, AnsweringBackend, BackendError, ModelKey, Subject
from pytest_sway.requests import Request, View
from pytest_sway.serve.warm_backends import WarmBackends, weights_on_disk


class SizedBackend(AnsweringBackend):
    """Holds so many bytes; does not let go of them where `is_stuck`."""

    capabilities = frozenset()

    def __init__(self, size: int, *, is_stuck: bool = False) -> None:
        self.weights_bytes, self.is_stuck, self.is_open = size, is_stuck, True

    def attach(self, adapter: AdapterKey) -> Subject:
        return Subject(View("base"), View("base", str(adapter)))

    def answer(self, requests: Sequence[Request[Any]]) -> Mapping[Request[Any], Any]:
        return {}

    def close(self) -> None:
        self.is_open = False
        if self.is_stuck:
            raise BackendError("it does not let go")


class Loader:
    """Loads a model of as many bytes as its name says, and remembers it."""

    def __init__(self) -> None:
        self.loaded: list[SizedBackend] = []

    def __call__(self, key: ModelKey) -> SizedBackend:
        self.loaded.append(SizedBackend(int(Path(key.base).name)))
        return self.loaded[-1]


def _key(name: str | Path, **fields: str) -> ModelKey:
    return ModelKey("hf", str(name), **fields)


def _names(warm: WarmBackends) -> list[str]:
    return [model.name for model in warm.models]


def test_the_least_recently_used_model_is_closed() -> None:
    loader = Loader()
    warm = WarmBackends(loader, 2)
    for name in ("1", "2", "1", "3"):
        warm.get(_key(name))
    assert _names(warm) == ["1", "3"]
    assert [one.is_open for one in loader.loaded] == [True, False, True]
    warm.close()
    assert not any(one.is_open for one in loader.loaded)


def test_a_session_that_closes_its_model_does_not() -> None:
    loader = Loader()
    warm = WarmBackends(loader, 1)
    warm.get(_key("1")).close()
    assert loader.loaded[0].is_open
    assert warm.get(_key("1")) is loader.loaded[0]


def test_models_take_no_more_than_the_memory() -> None:
    loader = Loader()
    warm = WarmBackends(loader, 10, most_bytes=100)
    for name in ("40", "50", "30"):
        warm.get(_key(name))
        warm.end_run()
    assert _names(warm) == ["50", "30"]
    assert sum(model.size for model in warm.models) <= 100
    warm.get(_key("101"))  # is larger than all of it: stays for its run alone
    assert _names(warm) == ["101"]
    warm.end_run()
    assert _names(warm) == []
    assert not any(one.is_open for one in loader.loaded)


def test_others_are_closed_before_a_model_is_loaded(tmp_path: Path) -> None:
    held: list[list[str]] = []

    def sized(key: ModelKey) -> SizedBackend:
        held.append(_names(warm))
        return SizedBackend(60)

    warm = WarmBackends(sized, 10, most_bytes=100)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(bytes(60))
        (tmp_path / name / "tokenizer.json").write_bytes(bytes(60))
        warm.get(_key(tmp_path / name))
    assert held == [[], []]
    assert weights_on_disk(str(tmp_path / "a")) == 60
    assert weights_on_disk("org/model") == 0


@pytest.mark.parametrize("field", ["base", "chat_template", "tokenizer"])
@pytest.mark.parametrize("is_folder", [True, False])
def test_what_changes_on_disk_is_loaded_anew(tmp_path: Path, field: str, is_folder: bool) -> None:
    named = tmp_path / "1"
    file = named / "part.gguf" if is_folder else named
    file.parent.mkdir(exist_ok=True)
    file.write_text("before")
    loader = Loader()
    warm = WarmBackends(loader, 5)
    key = _key(**{"name": "1", field: str(named)}) if field != "base" else _key(named)
    first = warm.get(key)
    assert warm.get(key) is first
    file.write_text("after!")  # as many bytes
    os.utime(file, ns=(0, 0))
    assert warm.get(key) is not first
    assert [one.is_open for one in loader.loaded] == [False, True]


def test_a_model_that_is_noted_is_closed_after_the_run() -> None:
    loader = Loader()
    warm = WarmBackends(loader, 5)
    warm.discard_later([warm.get(_key("1"))])
    assert loader.loaded[0].is_open
    warm.end_run()
    assert not loader.loaded[0].is_open
    assert _names(warm) == []


def test_a_model_that_fails_to_close_is_forgotten() -> None:
    warm = WarmBackends(lambda key: SizedBackend(1, is_stuck=True), 1)
    warm.get(_key("a"))
    warm.get(_key("b"))
    assert _names(warm) == ["b"]
