"""cluster_kl: does the adapter act on some topics more than on others, and on which?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from pytest_sway.probes.base import Judgement, NullSample, Probe, ProbeSkip
from pytest_sway.probes.judging.effect import SHAPE_SCORE
from pytest_sway.probes.judging.shape_signal import SIGNAL_Z, no_signal, signal
from pytest_sway.probes.judging.thresholds import Floor, LeastZ, Share
from pytest_sway.probes.shared.clusters import chance_specificity, clusters, exemplars, variance_parts
from pytest_sway.probes.shared.item_options import Positions, PromptOptions
from pytest_sway.probes.shared.questions import distinct, divergences, openings_policy
from pytest_sway.requests import DEFAULT_EMBEDDER, Embed, Views, ask
from pytest_sway.result import Claim, Measurement, Verdict
from pytest_sway.spec.environment_variables import Expanded
from pytest_sway.statistics.intervals import Interval, jackknife_blocks, jackknife_interval, t_interval
from pytest_sway.statistics.prediction import Prediction, display_z, predict

_FEWEST_NULLS = 3
_SHOWN = 40
_LEAST = 1e-12
"""A divergence below this is rounding; its logarithm is taken here."""


class ClusterKLOptions(PromptOptions):
    """Options of ``cluster_kl``."""

    quick_items: ClassVar = 0

    num_clusters: int = Field(default=5, ge=2, le=32)
    embedding_model: Expanded = Field(default=DEFAULT_EMBEDDER, min_length=1)
    divergence: Literal["js", "kl"] = "js"
    top_k: int | None = None
    positions: Positions = 8
    min_prompts: int = Field(default=20, ge=4)
    min_signal: Floor = 0.02
    assert_specificity_gte: Share = 0.6
    assert_z_gte: LeastZ = SIGNAL_Z
    """Of the specificity against the null adapters'; the signal needs 2 whatever is set here."""


class ClusterKL(Probe[ClusterKLOptions]):
    """How much of the adapter's divergence depends on what a prompt is about.

    Prompts are clustered by k-means on their sentence vectors. d: divergence per prompt, as ``delta_kl``
    takes it; y = log(d ÷ the null adapters' mean d on that prompt), since some prompts answer any change of
    weights. raw = specificity = between / (between + within) of y, in [0, 1]
    (:func:`~pytest_sway.probes.shared.clusters.variance_parts`). Its null: the same number for each null
    adapter against the mean of the others, compared on the scale arcsin √specificity (``specificity_z`` and
    ``specificity_of_nulls`` in the evidence). A shape: passes when specificity ≥ its floor and that z ≥ 2,
    never fails (an adapter may be meant to act everywhere), else warns. The signal that it needs is the mean
    d of the strongest cluster, for each null adapter the mean of its own strongest: an adapter for one topic
    leaves the rest. The reported z, null and ratio are the signal's. Without null adapters (the message says
    so), and where there is no signal, y = log d; ``between_cluster_variance`` and ``within_cluster_variance``
    are of d itself. Evidence: each cluster's ratio to the null, the geometric mean, with its t interval;
    ``chance_specificity`` is what shuffled clusters give.
    """

    kind, category, claim = "cluster_kl", "adherence", Claim.SHAPE
    requires = frozenset({"divergence", "generate"})
    extra = "semsim"
    scale = "inverse_root"

    async def measure(self, views: Views) -> Measurement:
        """One divergence per prompt, and the prompts' clusters."""
        prompts = _prompts(self.options)
        vectors = np.array(await ask([Embed(prompt, self.options.embedding_model) for prompt in prompts]))
        labels = clusters(vectors, self.options.num_clusters)
        samples = await self._divergences(prompts, views)
        d, found = np.array(samples), variance_parts(np.array(samples), labels)
        return Measurement(
            raw=variance_parts(_logs(d), labels).specificity,
            samples=tuple(samples),
            items=tuple(prompts),
            statistics={"signal": _strongest_cluster_mean(samples, labels)},
            series={"labels": [labels.tolist()]},
            evidence={
                "num_clusters": int(labels.max()) + 1,
                "num_prompts": len(prompts),
                "prompt_policy": openings_policy(prompts, self.context),
                "mean_kl": fmean(samples),
                "within_cluster_variance": found.within,
                "between_cluster_variance": found.between,
                "per_cluster_size": np.bincount(labels).tolist(),
                "per_cluster_mean_kl": (np.bincount(labels, d) / np.bincount(labels)).tolist(),
                "cluster_exemplars": exemplars(vectors, labels, prompts),
                "divergence_kind": self.options.divergence,
                "positions": self.options.positions,
            },
        )

    async def measure_null(self, views: Views) -> Measurement:
        """The divergences alone: the clusters are the prompts'."""
        prompts = _prompts(self.options)
        samples = await self._divergences(prompts, views)
        return Measurement(raw=None, samples=tuple(samples))

    def judge(self, measured: Measurement, nulls: NullSample | None) -> Judgement:
        """The shape rule; the raw number is computed here, where the nulls are known."""
        labels = np.array(measured.series["labels"][0], dtype=int)
        found = signal(measured, _with_signals(nulls, labels), "signal", self.options.min_signal)
        if not found.present:
            return no_signal(found)
        draws = np.array([null.samples for null in nulls.samples]) if nulls is not None else np.empty((0, 0))
        least = max(_LEAST, nulls.resolution) if nulls is not None else _LEAST
        y = _logs(np.array(measured.samples), least)
        if len(draws):
            y = y - _logs(draws.mean(axis=0), least)
        specificity = variance_parts(y, labels).specificity
        ratios = _cluster_ratios(y, labels, known=len(draws) > 0)
        evidence = {**ratios, "chance_specificity": chance_specificity(y, labels)}
        if specificity is None:
            return Judgement(
                Verdict.WARN,
                "no topic stands out: the model changes equally on all prompts",
                SHAPE_SCORE[Verdict.WARN],
                prediction=found.prediction,
                evidence={**evidence, "degenerate_zero_variance": True},
            )
        of_nulls = _null_specificities(draws, labels, least)
        prediction = _specificity_prediction(specificity, of_nulls)
        verdict, words = _verdict(specificity, prediction, self.options)
        if prediction is not None:
            evidence |= {"specificity_z": prediction.z, "specificity_of_nulls": of_nulls}
        return Judgement(
            verdict,
            f"{words[0]}: specificity {specificity:.2f} "
            f"(floor {self.options.assert_specificity_gte:g}; {words[1]}); "
            f"{_extreme_clusters(y, labels, measured.evidence['cluster_exemplars'], known=len(draws) > 0)}",
            SHAPE_SCORE[verdict],
            interval=_interval(y, labels),
            prediction=found.prediction,
            evidence=evidence,
            raw=specificity,
        )

    async def _divergences(self, prompts: Sequence[str], views: Views) -> list[float]:
        """One per prompt."""
        options = self.options
        return await divergences(prompts, options.divergence, options.positions, views, self.context)


def _prompts(options: ClusterKLOptions) -> list[str]:
    """Each prompt once.

    Raises:
        ProbeSkip: too few of them to be clustered.
    """
    prompts = distinct(options.prompts)
    found, count = len(prompts), options.num_clusters
    if found < options.min_prompts:
        raise ProbeSkip(
            f"there are only {found} distinct prompts, but min_prompts is {options.min_prompts}; "
            "give more prompts"
        )
    if 2 * count > found:
        raise ProbeSkip(
            f"num_clusters: {count} needs at least {2 * count} distinct prompts, but there are only {found}; "
            "give more prompts or fewer clusters"
        )
    return prompts


def _strongest_cluster_mean(samples: Sequence[float], labels: np.ndarray) -> float:
    """The largest cluster mean."""
    return float(np.max(np.bincount(labels, samples) / np.bincount(labels)))


def _with_signals(nulls: NullSample | None, labels: np.ndarray) -> NullSample | None:
    """The nulls, each with the mean of its own strongest cluster."""
    if nulls is None:
        return None
    samples = []
    for null in nulls.samples:
        strongest = _strongest_cluster_mean(null.samples, labels)
        samples.append(replace(null, statistics={"signal": strongest}))
    return replace(nulls, samples=tuple(samples))


def _logs(d: np.ndarray, least: float = _LEAST) -> np.ndarray:
    return np.asarray(np.log(np.maximum(d, least)))


def _null_specificities(draws: np.ndarray, labels: np.ndarray, least: float) -> list[float]:
    """Of each null over the mean of the others; none for fewer than three nulls."""
    if len(draws) < _FEWEST_NULLS:
        return []
    others = (draws.sum(axis=0) - draws) / (len(draws) - 1)
    found = [
        variance_parts(_logs(one, least) - _logs(mean, least), labels).specificity
        for one, mean in zip(draws, others, strict=True)
    ]
    return [value for value in found if value is not None]


def _specificity_prediction(specificity: float, of_nulls: Sequence[float]) -> Prediction | None:
    """On arcsin √s, where the share of a variance is near normal.

    Over 10,000 populations of 8 draws of 24 unrelated numbers in 5 clusters z ≥ 2 comes to 2.9 % (4.8 % in
    2 clusters); without the transformation to 4.6 % (7.7 %). Nominal: 2.3 %.
    """
    if not of_nulls:
        return None
    one, *others = np.arcsin(np.sqrt([specificity, *of_nulls])).tolist()
    return predict(one, others, "raw")


def _verdict(
    specificity: float, prediction: Prediction | None, options: ClusterKLOptions
) -> tuple[Verdict, tuple[str, str]]:
    """The verdict, what it means, and the comparison behind it."""
    enough = specificity >= options.assert_specificity_gte
    z = prediction.z if prediction is not None else None
    if options.assert_z_gte <= 0:
        beyond, words = True, "z is not checked, so the verdict depends on this minimum alone"
    elif prediction is None:
        beyond, words = (
            True,
            "not compared with random adapters, so the verdict depends on this minimum alone",
        )
    elif z is None:
        beyond = prediction.rank == 0
        words = f"{prediction.rank} of {prediction.n} random adapters are at least as specific"
    else:
        beyond = z >= options.assert_z_gte
        words = f"z {display_z(z):+.2f}σ, needs {options.assert_z_gte:g}"
    if enough and beyond:
        return Verdict.PASS, ("the model changes more on some topics than on others", words)
    little = "the model changes about equally on all topics"
    reason = "random adapters may be just as specific" if enough else little
    return Verdict.WARN, (reason, words)


def _cluster_ratios(y: np.ndarray, labels: np.ndarray, *, known: bool) -> dict[str, Any]:
    """Each cluster's geometric mean of d ÷ the null's, with its t interval; None without nulls."""
    ratios: list[float | None] = []
    ends: list[list[float] | None] = []
    for cluster in range(int(labels.max()) + 1):
        mine = y[labels == cluster].tolist()
        interval = t_interval(mine) if known else None
        ratios.append(math.exp(fmean(mine)) if known else None)
        ends.append([math.exp(interval.low), math.exp(interval.high)] if interval is not None else None)
    return {"per_cluster_ratio": ratios, "per_cluster_ratio_ci_95": ends}


def _extreme_clusters(
    y: np.ndarray, labels: np.ndarray, exemplar_texts: Sequence[Sequence[str]], *, known: bool
) -> str:
    """The two clusters at the ends, by the prompt nearest to their centre."""
    means = [float(y[labels == cluster].mean()) for cluster in range(len(exemplar_texts))]
    most, least = (exemplar_texts[at][0][:_SHOWN] for at in (int(np.argmax(means)), int(np.argmin(means))))
    if not known:
        return f"the model changes most on prompts like {most!r}, least on prompts like {least!r}"
    return (
        f"the adapter changes the model {math.exp(max(means)):.3g} times as much as random adapters do on "
        f"prompts like {most!r}, and {math.exp(min(means)):.3g} times as much on prompts like {least!r}"
    )


def _interval(y: np.ndarray, labels: np.ndarray) -> Interval | None:
    """Jackknife over prompts, within [0, 1]."""
    blocks = jackknife_blocks(len(y))

    def specificity_of(kept: Iterable[int]) -> float | None:
        at = [i for block in kept for i in blocks[block]]
        return variance_parts(y[at], labels[at]).specificity

    interval = jackknife_interval(len(blocks), specificity_of)
    if interval is None:
        return None
    return Interval(max(0.0, interval.low), min(1.0, interval.high))
