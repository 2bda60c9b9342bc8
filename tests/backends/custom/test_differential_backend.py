"""A class of dlm-sway's protocol answers our requests, with the numbers of its own model."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_sway.backends.base import AdapterKey, BackendError, ModelKey, Subject
from pytest_sway.backends.custom.differential_backend import DifferentialBackend, content_digest
from pytest_sway.backends.null_population import NullPlan, null_population
from pytest_sway.requests import (
    Completion,
    CompletionScore,
    Divergence,
    Generate,
    Generation,
    Request,
    RequestError,
    Tokens,
    Turn,
    View,
)
from pytest_sway.statistics.divergences import divergence
from tests.support import differential_model
from tests.support.differential_model import OPENED, AllViews, LetterView, TwoViews, alphabet, ids, logits

SIZE = 0.5


@pytest.fixture(autouse=True)
def _nothing_opened() -> Iterator[None]:
    OPENED.clear()
    yield
    OPENED.clear()


@pytest.fixture
def adapter(tmp_path: Path) -> AdapterKey:
    (tmp_path / "adapter.txt").write_text(str(SIZE))
    return AdapterKey(str(tmp_path / "adapter.txt"))


def served(
    adapter: AdapterKey, of: Any = AllViews, top_k: int | None = None
) -> tuple[DifferentialBackend, Subject]:
    backend = DifferentialBackend(ModelKey("custom", "letters", entry_point="m:C", top_k=top_k), of)
    subject = backend.attach(adapter)
    OPENED.clear()
    return backend, subject


def one(backend: DifferentialBackend, request: Request[Any]) -> Any:
    (answer,) = backend.answer([request]).values()
    return answer


def rows(size: float, seed: int | None = None) -> np.ndarray:
    """Log-probabilities of the model, computed apart: with the adapter, or with a null of a seed."""
    update = alphabet(size) if seed is None else logits(seed, size)
    raw = np.array(logits(0, 1.0)) + np.array(update)
    logprobs: np.ndarray = raw - np.log(np.exp(raw).sum(axis=1, keepdims=True))
    return logprobs


def test_divergences_are_those_of_whole_distributions(adapter: AdapterKey) -> None:
    backend, subject = served(adapter)
    written = one(backend, Generate("abc", subject.base, 3))
    assert isinstance(written, Generation)
    assert len(written.ids) == len(written.text) == 3
    positions = [ids("c")[0], *written.ids]
    for kind in ("js", "kl"):
        asked = Divergence("abc", subject.tuned, subject.base, kind, written.ids)
        expected = divergence(np, kind, rows(SIZE)[positions], rows(0)[positions]).mean()
        assert one(backend, asked) == pytest.approx(expected, rel=1e-9)
    assert backend.prompt_notes() == []


def test_a_scaled_adapter_and_a_null_are_views_of_their_own(adapter: AdapterKey) -> None:
    backend, subject = served(adapter)
    plan = NullPlan("gaussian", 3, 40, 0.3, ranks=(1.0, 4.0))
    nulls = null_population(subject, plan, (), backend.null_families)
    views = {
        subject.tuned.scaled(0.25): rows(0.25 * SIZE),
        nulls.views[2]: rows(0.3, 142),
        nulls.by_rank[4.0][2]: rows(0.6, 142),
        nulls.views[2].scaled(0.0): rows(0.0),
    }
    for view, expected in views.items():
        asked = Divergence("b", subject.base, view)
        js = float(divergence(np, "js", rows(0)[1], expected[1]))
        assert one(backend, asked) == pytest.approx(js, abs=1e-12)
    assert [name for name in OPENED if name != "base"] == ["scaled 0.25", "null 42 1", "null 42 2"]


def test_each_view_is_opened_once_and_none_inside_another(adapter: AdapterKey) -> None:
    backend, subject = served(adapter)
    written = {p: one(backend, Generate(p, subject.base, 3)).ids for p in ("ab", "cd")}
    OPENED.clear()
    requests: list[Request[Any]] = []
    for prompt, continuation in written.items():
        for view in (subject.tuned, subject.tuned.scaled(2.0)):
            requests.append(Divergence(prompt, view, subject.base, "kl", continuation))
            requests.append(Completion(prompt, "fg", view))
    answers = backend.answer(requests)
    assert not [answer for answer in answers.values() if isinstance(answer, Exception)]
    assert len(answers) == 8
    assert OPENED == ["base", "ft", "scaled 2"]


def test_top_k_distributions_give_a_lower_bound_and_say_so(adapter: AdapterKey) -> None:
    few, subject = served(adapter, top_k=4)
    every, _ = served(adapter)
    (null,) = null_population(subject, NullPlan("gaussian", 1, 7, 0.5)).views
    asked = Divergence("abc", subject.base, null)
    bound, exact = one(few, asked), one(every, asked)
    assert 0 < bound < exact
    p, q = rows(0)[2], rows(0.5, 107)[2]
    both = sorted({*np.argsort(p)[-4:]} & {*np.argsort(q)[-4:]})
    lumped = [np.append(side[both], np.log(1 - np.exp(side[both]).sum())) for side in (p, q)]
    assert bound == pytest.approx(float(divergence(np, "js", *lumped)), rel=1e-6)
    (note,) = few.prompt_notes()
    assert note == (
        "next_token_dist returns only 4 of 27 tokens, so divergences are lower bounds; remove defaults.top_k "
        "to compare all tokens"
    )


def test_without_top_k_the_whole_vocabulary_is_asked_for(adapter: AdapterKey) -> None:
    """Where it is larger than what is asked for at first, it is read from the first distribution."""
    numbers: list[int] = []

    class ManyTokens(LetterView):
        most = 1000

        def next_token_dist(self, prompt: str, *, top_k: int = 256) -> Any:
            numbers.append(top_k)
            nats = np.append(self._rows[ids(prompt)[-1]], np.full(973, -1.0))
            nats -= np.logaddexp.reduce(nats)
            order = np.argsort(-nats)[: min(top_k, self.most)]
            return differential_model.TokenDist(order, nats[order], 1000, None)  # type: ignore[arg-type]

    class Backend(TwoViews):
        view = ManyTokens

    backend, subject = served(adapter, Backend)
    asked = Divergence("abc", subject.base, subject.tuned)
    whole = one(backend, asked)
    assert numbers == [256, 1000, 1000]
    assert backend.prompt_notes() == []
    sides = [np.append(side[2], np.full(973, -1.0)) for side in (rows(0.0), rows(SIZE))]
    expected = divergence(np, "js", *(side - np.logaddexp.reduce(side) for side in sides))
    assert whole == pytest.approx(float(expected), rel=1e-6)
    ManyTokens.most = 5  # the class names fewer than it is asked for
    assert one(backend, asked) < whole
    assert backend.prompt_notes() == [
        "next_token_dist returns only 5 of 1000 tokens, so divergences are lower bounds"
    ]


def test_completions_are_scored_and_their_tokens_counted(adapter: AdapterKey) -> None:
    backend, subject = served(adapter)
    base = rows(0)
    a, b, c = ids("abc")
    scored = one(backend, Completion("a", "bc", subject.base))
    assert (scored.logprob, scored.tokens) == (pytest.approx(base[a, b] + base[b, c]), 2)
    assert scored.log_odds is None  # logprob_of does not say what single tokens cost
    rolling = one(backend, Completion("", "abc", subject.base))
    odds = sum(x - math.log1p(-math.exp(x)) for x in (base[a, b], base[b, c]))
    assert rolling == CompletionScore(scored.logprob, 2, rolling.log_odds)
    assert rolling.log_odds == pytest.approx(odds)
    nothing = one(backend, Completion("a", "", subject.base))
    assert "adds no token to its prompt" in str(nothing)
    assert "has fewer than two tokens" in str(one(backend, Completion("", "a", subject.base)))


@pytest.mark.parametrize("value", [math.nan, -math.inf, 0.5, None])
def test_what_is_no_log_probability_is_an_error(adapter: AdapterKey, value: float | None) -> None:
    class ChangedView(LetterView):
        def logprob_of(self, prompt: str, completion: str) -> float:
            return value  # type: ignore[return-value]

    class Backend(TwoViews):
        view = ChangedView

    backend, subject = served(adapter, Backend)
    found = backend.answer([Completion("a", "b", subject.base), Generate("a", subject.base, 1)])
    error, written = found.values()
    assert isinstance(error, RequestError)
    assert str(error) == f"m:C: view 'base': logprob_of returned {value}, which is not a log-probability"
    assert isinstance(written, Generation)  # the others are answered


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"logprobs": (math.nan,) * 27}, "the probabilities of all 27 tokens sum to nan"),
        ({"logprobs": (0.0,) * 27}, "of all 27 tokens sum to 27"),
        ({"token_ids": (1,) * 27}, "token_ids must be unique"),
        ({"token_ids": (1, 2)}, "lists of the same length"),
        ({"logprobs": None}, "next_token_dist"),
    ],
)
def test_what_is_no_distribution_is_an_error(adapter: AdapterKey, change: dict[str, Any], says: str) -> None:
    class ChangedView(LetterView):
        def next_token_dist(self, prompt: str, *, top_k: int = 256) -> Any:
            found = super().next_token_dist(prompt, top_k=top_k)
            return differential_model.TokenDist(**{**vars(found), **change})

    class Backend(TwoViews):
        view = ChangedView

    backend, subject = served(adapter, Backend)
    error = one(backend, Divergence("a", subject.base, subject.tuned))
    assert isinstance(error, RequestError)
    assert says in str(error)


def test_tokens_without_a_probability_are_as_if_not_named(adapter: AdapterKey) -> None:
    class ChangedView(LetterView):
        def __init__(self, rows: list[list[float]]) -> None:
            super().__init__([[-math.inf, *row[1:]] for row in rows])

    class Backend(TwoViews):
        view = ChangedView

    backend, subject = served(adapter, Backend)
    asked = Divergence("b", subject.base, subject.tuned)
    sides = [rows(size)[1, 1:] for size in (0.0, SIZE)]
    expected = divergence(np, "js", *(side - np.log(np.exp(side).sum()) for side in sides))
    assert one(backend, asked) == pytest.approx(float(expected))


def test_what_a_view_raises_is_the_error_of_its_request(adapter: AdapterKey) -> None:
    class ChangedView(LetterView):
        def logprob_of(self, prompt: str, completion: str) -> float:
            raise ZeroDivisionError("by\nzero")

    class Backend(AllViews):
        view = ChangedView

        def as_scaled_adapter(self, lam: float) -> Any:
            raise OSError("the disk is gone")

    backend, subject = served(adapter, Backend)
    raised = one(backend, Completion("a", "b", subject.tuned))
    where = r" \(test_differential_backend\.py:\d+\)"
    assert re.fullmatch(f"m:C: view 'ft': logprob_of raised ZeroDivisionError: by zero{where}", str(raised))
    unopened = one(backend, Divergence("a", subject.base, subject.tuned.scaled(0.5)))
    assert re.fullmatch(
        f"m:C: opening the view 'ft@scaled_0.5' raised OSError: the disk is gone{where}", str(unopened)
    )


def test_a_view_that_cannot_be_left_ends_the_measuring(adapter: AdapterKey) -> None:
    """What else is asked could be answered by its weights."""

    class Backend(TwoViews):
        @contextmanager
        def as_finetuned(self) -> Iterator[LetterView]:
            yield LetterView(logits(1, 1.0))
            if is_stuck:
                raise RuntimeError("the adapter is still active")

    is_stuck = False
    backend, subject = served(adapter, Backend)
    is_stuck = True
    with pytest.raises(BackendError, match="leaving the view 'ft' raised RuntimeError: the adapter is still"):
        one(backend, Completion("a", "b", subject.tuned))
    is_stuck = False
    with pytest.raises(BackendError, match="the adapter is still"):
        one(backend, Completion("a", "b", subject.base))
    backend.detach(subject)
    assert backend.attach(adapter) == subject


def test_a_prompt_s_tokens_are_counted_once_for_all_views(adapter: AdapterKey) -> None:
    counted: list[str] = []

    class ChangedView(LetterView):
        def rolling_logprob(self, text: str) -> differential_model.RollingLogprob:
            counted.append(text)
            return super().rolling_logprob(text)

    class Backend(AllViews):
        view = ChangedView

    backend, subject = served(adapter, Backend)
    views = [subject.base, subject.tuned, subject.tuned.scaled(0.5)]
    scores = backend.answer([Completion("ab", "cd", view) for view in views]).values()
    assert [score.tokens for score in scores] == [2, 2, 2]
    assert counted == ["abcd", "ab"]


def test_capabilities_follow_from_the_methods(adapter: AdapterKey) -> None:
    class Scores:
        logprob_of = LetterView.logprob_of
        rolling_logprob = LetterView.rolling_logprob
        __init__ = LetterView.__init__

    class ScoresAlone(TwoViews):
        view: Any = Scores

    class Nothing(TwoViews):
        view: Any = list

    backend = DifferentialBackend(ModelKey("custom", "letters", entry_point="m:C"), TwoViews)
    assert backend.capabilities == frozenset()
    everything = {"divergence", "completion", "generate"}
    assert served(adapter, TwoViews)[0].capabilities == everything
    assert served(adapter, AllViews)[0].capabilities == {*everything, "scale", "nulls"}
    assert served(adapter, ScoresAlone)[0].capabilities == {"completion"}
    lacking = "lack the methods generate, logprob_of, next_token_dist, rolling_logprob"
    with pytest.raises(BackendError, match=lacking):
        served(adapter, Nothing)


def test_an_object_that_cannot_be_served_is_refused(adapter: AdapterKey, tmp_path: Path) -> None:
    class Half:
        def __init__(self, base_spec: Any, adapter_path: Any) -> None: ...

        def as_base(self) -> None: ...

    class Exiting:
        def __init__(self, base_spec: Any, adapter_path: Any) -> None:
            raise SystemExit(2)

    with pytest.raises(BackendError, match="m:C: Half has no method as_finetuned"):
        served(adapter, Half)
    says = r"^models\.ft\.entry_point: m:C raised FileNotFoundError: .* \(differential_model\.py:\d+\)$"
    with pytest.raises(BackendError, match=says):
        served(AdapterKey(str(tmp_path / "none")))
    with pytest.raises(BackendError, match=r"m:C raised SystemExit: 2 \(test_differential_backend\.py:"):
        served(adapter, Exiting)
    (tmp_path / "nan.txt").write_text("nan")
    with pytest.raises(
        BackendError, match=r"its preflight_finite_check\(\) failed: the adapter's size is nan"
    ):
        served(AdapterKey(str(tmp_path / "nan.txt")))
    assert OPENED == ["close"]  # what was built is closed
    with pytest.raises(BackendError, match="so it represents one base model with an adapter"):
        served(AdapterKey(None, model="another"))


def test_what_no_view_can_be_asked(adapter: AdapterKey) -> None:
    backend, subject = served(adapter)
    (other,) = null_population(subject, NullPlan("permuted", 1, 0, 0.02)).views
    asked = {
        Generate((Turn("user", "a"),), subject.base, 1): "does not render chat templates",
        Tokens("abc", subject.base): "does not support Tokens",
        Generate("a", View(subject.base.base, "another"), 1): "is not attached",
        Generate("a", other, 1): "adapters of the family permuted; write family: gaussian",
    }
    answers = backend.answer(list(asked))
    assert OPENED == []
    for request, says in asked.items():
        assert says in str(answers[request])
    unwritten = one(backend, Divergence("a", subject.base, subject.tuned, "js", (1, 2)))
    assert "was not generated in this session" in str(unwritten)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"num_tokens": 4}, "num_tokens is 4, but token_ids has 3 values"),
        ({"num_tokens": 2.5}, "num_tokens or total_logprob that cannot be read: 'float' object"),
        (
            {"token_ids": (0.5, 1.5, 2.5)},
            "token_ids, logprobs, num_tokens or total_logprob that cannot be read",
        ),
        ({"logprobs": None}, "logprobs has 1 values for 3 tokens"),
        ({"logprobs": (-1.0,) * 3}, "logprobs has 3 values for 3 tokens"),
        ({"logprobs": (-1.0, math.nan)}, "logprobs that are not finite or are above 0"),
        ({"logprobs": (-1.0, 0.5)}, "logprobs that are not finite or are above 0"),
        ({"logprobs": (-1.0, -2.0), "total_logprob": -1.5}, "-1.5, but its logprobs sum to -3"),
        ({"total_logprob": None}, "rolling_logprob returned None, which is not a log-probability"),
    ],
)
def test_a_rolling_log_probability_that_does_not_fit_itself(
    adapter: AdapterKey, change: dict[str, Any], says: str
) -> None:
    class ChangedView(LetterView):
        def rolling_logprob(self, text: str) -> differential_model.RollingLogprob:
            return differential_model.RollingLogprob(**{**vars(super().rolling_logprob(text)), **change})

    class Backend(TwoViews):
        view = ChangedView

    backend, subject = served(adapter, Backend)
    error = one(backend, Completion("", "abc", subject.base))
    assert isinstance(error, RequestError)
    assert str(error).startswith("m:C: view 'base': rolling_logprob")
    assert says in str(error)


def test_positions_are_where_a_token_ends(adapter: AdapterKey) -> None:
    """One token has two letters ("de"), and a letter has two tokens ("g"): the first has no text."""

    class ChangedView(LetterView):
        def rolling_logprob(self, text: str) -> differential_model.RollingLogprob:
            return super().rolling_logprob(text.replace("de", "f").replace("g", "gh"))

        def generate(self, prompt: str, **_: Any) -> str:
            return "bdegc"

    class Backend(TwoViews):
        view = ChangedView

    backend, subject = served(adapter, Backend)
    written = one(backend, Generate("a", subject.base, 5))
    assert written == Generation("bdegc", tuple(ids("bfghc")))
    compared = one(backend, Divergence("a", subject.base, subject.tuned, "js", written.ids))
    at = ids("abegc")  # the model itself reads letters
    assert compared == pytest.approx(divergence(np, "js", rows(0)[at], rows(SIZE)[at]).mean())
    assert "1 of 5 token positions in continuations are skipped" in backend.prompt_notes()[0]


def test_who_wrote_a_continuation_does_not_matter(adapter: AdapterKey, tmp_path: Path) -> None:
    """An adapter, since detached, wrote what the base writes as well; the next one writes another text."""

    class Backend(TwoViews):
        def as_finetuned(self) -> Any:
            return self._open("ft", alphabet(9.0 if self.size == 0.1 else 0.0))

    backend, subject = served(adapter, Backend)
    first = one(backend, Generate("ab", subject.tuned, 3))
    (tmp_path / "second.txt").write_text("0.1")
    second = backend.attach(AdapterKey(str(tmp_path / "second.txt")))
    written = one(backend, Generate("ab", second.base, 3))
    assert written == first
    assert one(backend, Generate("ab", second.tuned, 3)) != written
    compared = one(backend, Divergence("ab", second.base, second.tuned, "js", written.ids))
    at = [ids("b")[0], *written.ids]
    assert compared == pytest.approx(divergence(np, "js", rows(0)[at], rows(9.0)[at]).mean())


def test_ids_that_do_not_tell_texts_apart_are_an_error(adapter: AdapterKey) -> None:
    class ChangedView(LetterView):
        def rolling_logprob(self, text: str) -> Any:
            return super().rolling_logprob("a" * len(text))

    class Backend(AllViews):
        view = ChangedView

    backend, subject = served(adapter, Backend)
    texts = [one(backend, Generate("d", subject.tuned.scaled(x), 6)) for x in (0.0, 9.0)]
    assert isinstance(texts[0], Generation)
    assert "the same token_ids for two texts" in str(texts[1])


def test_a_base_s_continuation_outlasts_the_adapter(adapter: AdapterKey, tmp_path: Path) -> None:
    """The engine remembers what the base wrote, and asks the next adapter's object about it."""
    backend, subject = served(adapter)
    written = one(backend, Generate("ab", subject.base, 3))
    backend.detach(subject)
    assert OPENED[-1] == "close"
    (tmp_path / "second.txt").write_text("0.1")
    second = backend.attach(AdapterKey(str(tmp_path / "second.txt")))
    assert second.base == subject.base
    assert second.tuned != subject.tuned
    found = one(backend, Divergence("ab", second.base, second.tuned, "js", written.ids))
    assert isinstance(found, float)


def test_an_adapter_is_named_by_its_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "weights").write_text("1")
    digests = {content_digest(tmp_path / name) for name in ("one", "two")}
    assert len(digests) == 1
    (tmp_path / "two" / "deep" / "weights").write_text("2")
    digests |= {content_digest(tmp_path / "two"), content_digest(tmp_path / "one" / "deep" / "weights")}
    assert len(digests) == 3
    assert content_digest(Path("hub/name")) == ""


def test_an_adapter_without_files_is_named_by_what_the_class_was_given() -> None:
    class Backend(TwoViews):
        def __init__(self, base_spec: Any, adapter_path: Path) -> None:
            self.size = len(adapter_path.name)
            self._is_open = False

    _, subject = served(AdapterKey("hub/name"), Backend)
    assert subject.notes == (
        "there is no file or folder hub/name; the adapter was passed to the class as a name",
    )
    _, another = served(AdapterKey("hub/other"), Backend)
    assert subject.tuned != another.tuned
