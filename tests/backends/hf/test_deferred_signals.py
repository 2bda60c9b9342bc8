"""A timeout or Ctrl-C in the middle of a measure: later answers are what they would have been."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pytest_sway.backends.base import AdapterKey, Subject
from pytest_sway.backends.hf.backend import HFBackend
from pytest_sway.backends.hf.deferred_signals import deferred_signals
from pytest_sway.backends.hf.load_backend import load_backend
from pytest_sway.backends.null_population import NullPlan, null_population
from pytest_sway.engine.disk_cache import DiskCache
from pytest_sway.engine.engine import Engine
from pytest_sway.requests import Completion, Divergence, Generate, Request
from tests.support.hf_models import MODEL_KEY
from tests.support.peft_adapters import FULL_WEIGHTS, PLAIN_LORA, save_adapter


class Interrupted(BaseException):
    """What the alarm raises."""


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    def ring(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


FORMS = {"plain": PLAIN_LORA["plain"], "dora": FULL_WEIGHTS["dora"]}
MOMENTS = 16


def asked_of(backend: HFBackend, folder: Path) -> tuple[Subject, list[Request[Any]]]:
    """Divergences, a completion and a continuation, of the adapter and of three nulls."""
    subject = backend.attach(AdapterKey(str(folder)))
    base, tuned = subject.base, subject.tuned
    views = [tuned, *null_population(subject, NullPlan("norm_matched", 3, 3, 0.02)).views]
    texts = ["The oil is kept in a stone", "A new pane costs more than it did"]
    asked: list[Request[Any]] = [Divergence(text, base, view) for text in texts for view in views]
    asked += [Completion("The sand", " comes from the bar.", view) for view in (base, *views)]
    return subject, [*asked, *(Generate("The master", view, 4) for view in (base, *views))]


@pytest.mark.slow
@pytest.mark.parametrize("form", list(FORMS))
def test_no_moment_of_interruption_changes_a_later_answer(
    backend: HFBackend, tmp_path: Path, form: str
) -> None:
    folder = save_adapter(tmp_path / "adapter", FORMS[form])
    untouched = load_backend(MODEL_KEY)
    _, asked = asked_of(untouched, folder)
    began = time.perf_counter()
    expected = Engine(untouched).answer(asked)
    whole = time.perf_counter() - began
    subject, asked = asked_of(backend, folder)
    cut = 0
    for moment in range(MOMENTS):
        try:
            with alarm(0.0002 + whole * moment / MOMENTS):
                Engine(backend).answer(asked)
        except Interrupted:
            cut += 1
    assert cut > MOMENTS // 4
    assert Engine(backend).answer(asked) == expected
    backend.detach(subject)  # it checks that the base is what it was


def test_a_signal_waits_for_the_end_of_what_may_not_be_cut() -> None:
    before = signal.getsignal(signal.SIGINT)
    done: list[bool] = []

    def work() -> None:
        with alarm(3600), deferred_signals():
            signal.raise_signal(signal.SIGALRM)
            done.append(True)

    with pytest.raises(Interrupted):
        work()
    assert done
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("handler", "ends_with"),
    [(signal.default_int_handler, KeyboardInterrupt), (signal.SIG_IGN, Interrupted)],
    ids=["interactive", "in_the_background"],
)
def test_ctrl_c_goes_before_an_alarm_unless_it_is_ignored(
    handler: Any, ends_with: type[BaseException]
) -> None:
    """A shell starts jobs in the background with Ctrl-C ignored, and so do some runners of CI."""

    def work() -> None:
        with alarm(3600), deferred_signals():
            signal.raise_signal(signal.SIGALRM)
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, handler)
    try:
        with pytest.raises(ends_with):
            work()
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_round_that_is_cut_short_keeps_what_it_had(backend: HFBackend, tmp_path: Path) -> None:
    subject, asked = asked_of(backend, save_adapter(tmp_path / "adapter", FORMS["plain"]))
    heard: list[int] = []

    def amid_the_second_batch(done: int, total: int) -> None:
        heard.append(done)
        if len(heard) == 8:  # a batch is one text here, and a forward for each of five views
            raise Interrupted

    texts = [a for a in asked if isinstance(a, Divergence)]
    progress = amid_the_second_batch
    first = Engine(backend, store=DiskCache(tmp_path), batch_invariant=True, progress=progress)
    with pytest.raises(Interrupted):
        first.answer(texts)
    first.close()
    second = Engine(backend, store=DiskCache(tmp_path), batch_invariant=True)
    assert second.answer(texts) == Engine(backend, batch_invariant=True).answer(texts)
    assert second.stored_hits == 4
    second.close()
    backend.detach(subject)
