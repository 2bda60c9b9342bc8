"""cluster_kl on fake divergences and fake topics."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from pytest_sway.backends.base import Subject
from pytest_sway.backends.fake import ALL_CAPABILITIES, FakeBackend
from pytest_sway.backends.null_population import NullPlan, null_population
from pytest_sway.engine.engine import Engine
from pytest_sway.items.run_probe import MeasurementContext, run_probe
from pytest_sway.probes.base import Judgement, NullSample, OptionsError, ProbeSkip
from pytest_sway.probes.cluster_kl import ClusterKL
from pytest_sway.requests import Divergence, Embed, Generate, Generation, NullSeed, Request, View, Views
from pytest_sway.result import Measurement, Verdict

BASE, TUNED = View("b"), View("b", "a")
TOPICS = 4
PROMPTS = [f"{i % TOPICS} prompt {i}" for i in range(24)]
NORMAL = np.random.default_rng(3).normal(size=(9, 10_000))
Size = Callable[[View, int, int], float]


class Topics:
    """The first word of a text is its topic, each far from the others."""

    def __init__(self) -> None:
        self.asked = 0

    def embed(self, texts: Sequence[str], model: str) -> list[tuple[float, ...]]:
        self.asked += len(texts)
        vectors = []
        for text in texts:
            topic, _, number = text.split()
            vector = np.eye(TOPICS)[int(topic) % TOPICS] + 0.001 * math.sin(float(number))
            vectors.append(tuple(vector / np.linalg.norm(vector)))
        return vectors


def measured(
    size: Size,
    prompts: Sequence[str] = PROMPTS,
    draws: int = 8,
    seen: list[Request[object]] | None = None,
    embedder: Topics | None = None,
    **options: object,
) -> tuple[ClusterKL, Measurement, NullSample | None]:
    """A measurement where the divergence of a view on prompt i of a topic is ``size(view, topic, i)``."""

    def answer(request: Request[object]) -> object:
        if seen is not None:
            seen.append(request)
        if isinstance(request, Generate):
            return Generation("more", (7, 8)[: request.max_new_tokens])
        assert isinstance(request, Divergence)
        topic, _, number = str(request.prompt).split()
        return size(request.q if request.p.is_base else request.p, int(topic), int(number))

    probe = ClusterKL(**{"prompts": list(prompts), "num_clusters": TOPICS, **options})
    engine = Engine(FakeBackend(answer), embedder=embedder or Topics())
    views = [View("b", "a", NullSeed("norm_matched", i, 0, 0.02)) for i in range(draws)]
    found = engine.run(probe, Views(BASE, TUNED, TUNED), views)
    assert not found.nulls.failed
    nulls = NullSample(tuple(found.nulls.measured.values()), "norm_matched", "inverse_root")
    return probe, found.measured, nulls if draws else None


def judged(size: Size, **options: object) -> Judgement:
    probe, found, nulls = measured(size, **options)
    return probe.judge(found, nulls)


def noise(view: View, i: int) -> float:
    """A factor that differs between prompts and between draws."""
    return math.exp(0.3 * NORMAL[-1 if view.null is None else view.null.draw, i])


def quiet(view: View, topic: int, i: int) -> float:
    """A null's divergence: some topics answer any change of weights more than others."""
    return 0.004 * (1 + 2 * topic) * noise(view, i)


def one_topic(view: View, topic: int, i: int) -> float:
    return quiet(view, topic, i) if view.null is not None or topic else 0.3 * noise(view, i)


def everywhere(view: View, topic: int, i: int) -> float:
    return quiet(view, topic, i) * (1 if view.null is not None else 8)


def test_an_adapter_for_one_topic_passes() -> None:
    found = judged(one_topic)
    assert found.verdict is Verdict.PASS, found.message
    assert found.score == 1.0
    assert found.raw is not None
    assert found.raw > 0.8
    assert found.evidence["specificity_z"] > 2


def test_what_any_weights_would_do_is_no_topic() -> None:
    """Eight times the null everywhere: d differs sevenfold between topics, its ratio to the null does not."""
    probe, found, nulls = measured(everywhere)
    assert found.raw is not None
    assert found.raw > 0.6  # of log d alone, which is what dlm-sway's number sees
    told = probe.judge(found, nulls)
    assert told.verdict is Verdict.WARN
    assert "changes about equally on all topics" in told.message
    assert told.evidence["per_cluster_ratio"] == pytest.approx([8] * TOPICS, rel=0.35)


def test_without_nulls_the_floor_decides_and_that_is_said() -> None:
    found = judged(one_topic, draws=0)
    assert found.verdict is Verdict.PASS
    assert "not compared with random adapters" in found.message
    assert found.evidence["per_cluster_ratio"] == [None] * TOPICS


def test_specific_but_no_more_than_its_nulls_warns() -> None:
    def topical(view: View, topic: int, i: int) -> float:
        """Every draw has a topic of its own, as the adapter has."""
        mine = 0 if view.null is None else view.null.draw % TOPICS
        loud = 0.3 if view.null is None else 0.02
        return loud * noise(view, i) * (20 if topic == mine else 1)

    found = judged(topical)
    assert found.verdict is Verdict.WARN
    assert "random adapters may be just as specific" in found.message


def test_a_topic_is_a_signal_however_little_the_rest_is_moved() -> None:
    """The mean over all prompts lies below the floor, the topic's above it."""

    def faint(view: View, topic: int, i: int) -> float:
        return 0.04 * noise(view, i) if view.null is None and not topic else 0.001 * noise(view, i)

    probe, found, nulls = measured(faint)
    assert found.evidence["mean_kl"] < probe.options.min_signal
    assert found.statistics["signal"] == pytest.approx(np.mean(found.samples[::TOPICS]))
    assert probe.judge(found, nulls).verdict is Verdict.PASS


def test_no_signal_is_skipped() -> None:
    for size in (quiet, lambda view, topic, i: 0.0):
        found = judged(size)
        assert found.verdict is Verdict.SKIP
        assert "too weak to judge its shape" in found.message


def test_a_null_s_specificity_is_against_the_mean_of_the_others() -> None:
    _, _, nulls = measured(one_topic, draws=3)
    assert nulls is not None
    found = judged(one_topic, draws=3)
    d = np.array([draw.samples for draw in nulls.samples])
    y = np.log(d[0] / ((d[1] + d[2]) / 2))
    topics = np.array([int(p.split()[0]) for p in PROMPTS])
    groups = [y[topics == t] for t in range(TOPICS)]
    between, within = np.var([g.mean() for g in groups]), np.mean([g.var() for g in groups])
    assert found.evidence["specificity_of_nulls"][0] == pytest.approx(between / (between + within))


def test_the_ratio_s_interval_by_hand() -> None:
    probe, found, nulls = measured(one_topic)
    assert nulls is not None
    told = probe.judge(found, nulls)
    labels = np.array(found.series["labels"][0])
    mean = np.mean([draw.samples for draw in nulls.samples], axis=0)
    mine = np.log(np.array(found.samples) / mean)[labels == 0]
    half = 2.5706 * mine.std(ddof=1) / math.sqrt(6)  # t, 5 degrees of freedom
    expected = [math.exp(mine.mean() - half), math.exp(mine.mean() + half)]
    assert told.evidence["per_cluster_ratio"][0] == pytest.approx(math.exp(mine.mean()))
    assert told.evidence["per_cluster_ratio_ci_95"][0] == pytest.approx(expected, rel=1e-4)


def test_a_divergence_that_is_the_same_everywhere_has_no_topic() -> None:
    found = judged(lambda view, topic, i: 0.2 if view.null is None else 0.002 * (1 + 0.1 * view.null.draw))
    assert found.verdict is Verdict.WARN
    assert found.evidence["degenerate_zero_variance"] is True


def test_dlm_sways_evidence() -> None:
    _, found, _ = measured(one_topic)
    evidence = found.evidence
    assert (evidence["num_clusters"], evidence["num_prompts"]) == (4, 24)
    assert evidence["per_cluster_size"] == [6] * 4
    assert evidence["mean_kl"] == pytest.approx(sum(found.samples) / 24)
    means = evidence["per_cluster_mean_kl"]
    assert evidence["between_cluster_variance"] == pytest.approx(np.var(means))
    assert max(means) == pytest.approx(
        np.mean([s for s, p in zip(found.samples, PROMPTS, strict=True) if p[0] == "0"])
    )
    assert evidence["within_cluster_variance"] > 0
    assert all(
        len({text[0] for text in pair}) == 1 and len(pair) == 2 for pair in evidence["cluster_exemplars"]
    )


def test_divergences_are_as_in_delta_kl_and_embeddings_once() -> None:
    seen: list[Request[object]] = []
    embedder = Topics()
    measured(one_topic, draws=2, seen=seen, embedder=embedder, positions=3, divergence="kl")
    assert seen[0] == Generate(PROMPTS[0], BASE, 2)
    assert Divergence(PROMPTS[0], TUNED, BASE, "kl", (7, 8)) in seen
    assert embedder.asked == 24
    assert not any(isinstance(request, Embed) for request in seen)


def test_the_result_s_raw_is_what_was_judged() -> None:
    def answer(request: Request[object]) -> object:
        if isinstance(request, Generate):
            return Generation("more", ())
        assert isinstance(request, Divergence)
        topic, _, number = str(request.prompt).split()
        return everywhere(request.q, int(topic), int(number))

    subject = Subject(BASE, TUNED)
    context = MeasurementContext(
        Engine(FakeBackend(answer), embedder=Topics()),
        subject,
        null_population(subject, NullPlan("norm_matched", 8, 0, 0.02)),
        ALL_CAPABILITIES,
    )
    found = run_probe(ClusterKL(prompts=PROMPTS, num_clusters=TOPICS), context)
    assert found.raw == pytest.approx(judged(everywhere).raw)
    assert found.raw != pytest.approx(measured(everywhere)[1].raw, abs=0.1)
    assert found.ci_95 is not None
    assert found.ci_95[0] <= (found.raw or 0) <= found.ci_95[1]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"prompts": PROMPTS[:19]}, "there are only 19 distinct prompts, but min_prompts is 20"),
        ({"prompts": PROMPTS[:4] * 6}, "4 distinct prompts"),
        ({"num_clusters": 13}, "num_clusters: 13 needs at least 26 distinct prompts, but there are only 24"),
    ],
)
def test_too_little_is_skipped_before_anything_is_asked(options: dict[str, object], says: str) -> None:
    seen: list[Request[object]] = []
    with pytest.raises(ProbeSkip, match=says):
        measured(one_topic, seen=seen, **options)
    assert not seen


@pytest.mark.nightly  # it is timed
def test_ten_thousand_prompts() -> None:
    began = time.process_time()
    prompts = [f"{i % TOPICS} prompt {i}" for i in range(10_000)]
    found = judged(one_topic, prompts=prompts, draws=3)
    assert found.verdict is Verdict.PASS
    assert time.process_time() - began < 4


@pytest.mark.parametrize(
    "bad",
    [{"prompts": []}, {"num_clusters": 1}, {"num_clusters": 33}, {"min_prompts": 3}, {"positions": 0},
     {"assert_specificity_gte": 1.5}],
)  # fmt: skip
def test_bad_options_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(OptionsError):
        ClusterKL(**{"prompts": PROMPTS, **bad})
