"""What serves a model must be a backend; anything else is a line per item."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_sway.backends.base import AdapterKey, BackendError, Subject, backend_fault
from pytest_sway.backends.duck_typed import backend_of
from pytest_sway.backends.fake import FakeBackend
from pytest_sway.requests import View
from tests.support.fake_models import SPEC


def test_a_wrong_answer_is_one_line(project: pytest.Pytester) -> None:
    project.makeconftest("def pytest_sway_backend(config, model): return {}")
    result = project.runpytest("sway.yaml::dk")
    result.assert_outcomes(errors=1)
    found = (
        "returned {}, which is not a backend: it has no capabilities, no attach, no detach, no close, no "
        "answer"
    )
    result.stdout.fnmatch_lines([f"no backend: the hook pytest_sway_backend {found}"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_two_conftests_share_the_models(project: pytest.Pytester) -> None:
    """The one that does not know a model leaves it to the other."""
    deep = project.mkdir("deep")
    (deep / "conftest.py").write_text("def pytest_sway_backend(config, model): return None\n")
    (deep / "sway.yaml").write_text(SPEC)
    project.runpytest("deep").assert_outcomes(passed=4)


def test_what_a_backend_must_have() -> None:
    class Half:
        capabilities: frozenset[str] = frozenset()

        def answer(self) -> None: ...

    class Silent(Half):
        attach = detach = close = Half.answer
        answer = property()  # type: ignore[assignment]  # it raises AttributeError: there is none

    class Weights(Silent):
        logprobs = Half.answer

    assert backend_fault(FakeBackend(str)) == ""
    assert backend_fault(Weights()) == ""
    assert backend_fault(Silent()).endswith("which is not a backend: it has no answer")
    assert backend_fault(FakeBackend).endswith("FakeBackend'>, a class; return an instance of it")
    assert backend_fault(Half()).endswith("which is not a backend: it has no attach, no detach, no close")
    with pytest.raises(BackendError, match=r"which is not a pytest_sway\.backends\.base\.WeightsBackend"):
        backend_of(Weights())


def test_an_object_with_the_parts_of_a_backend_is_served() -> None:
    """Its class is derived from neither form; what it lacks is the interface's default."""
    calls: list[object] = []

    class Duck:
        capabilities = ("completion", "nulls")
        quacks = True
        detach = calls.append
        context = 12
        null_families: list[str] | None = None

        def attach(self, adapter: AdapterKey) -> Subject:
            return Subject(View("b"), View("b", str(adapter.path)))

        def close(self) -> None:
            calls.append("close")

        def answer(self, requests: list[object]) -> dict[object, float]:
            return dict.fromkeys(requests, 0.5)

        def prompt_notes(self) -> list[str]:
            return ["quack"]

    duck = Duck()
    backend: Any = backend_of(duck)
    assert backend.capabilities == {"completion"}  # it has no add_null, so its nulls are not the interface's
    duck.context = 24
    assert (backend.context, backend.identity, backend.quacks) == (24, "", True)
    subject = backend.attach(AdapterKey("a"))
    backend.detach(subject)
    backend.close()
    assert calls == [subject, "close"]
    assert (backend.capabilities, backend.context, backend.identity) == ({"completion"}, 24, "")
    assert backend.null_families is None
    duck.null_families = ["gaussian"]
    assert backend.null_families == {"gaussian"}
    assert (backend.prompt_notes(), backend.rendered_prompt("a")) == (["quack"], "")
    assert backend.determinism(batch_invariant=False) is None
    assert backend.answer(["one"]) == {"one": 0.5}  # type: ignore[union-attr, list-item]
    with pytest.raises(BackendError, match="does not support user-provided null adapters"):
        backend.add_null(AdapterKey("b"))
