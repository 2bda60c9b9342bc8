"""The benchmark's own arithmetic, on simulated pools whose shares are known."""

from __future__ import annotations

import numpy as np
import pytest
import shares
from adapter_files import fixed_noise, mixture, noise, norm, ranked_noise, total_norm
from markdown_cells import exact, nominal

POOL, SUBSETS = 600, 50


@pytest.fixture(scope="module")
def normal() -> np.ndarray:
    return np.random.default_rng(3).normal(size=POOL)


@pytest.fixture(scope="module")
def by_three() -> shares.Trials:
    return shares.trials(POOL, 3, SUBSETS)


@pytest.fixture(scope="module")
def by_eight() -> shares.Trials:
    return shares.trials(POOL, 8, SUBSETS)


def test_a_trial_has_distinct_judges_and_none_is_the_judged(by_eight):
    assert by_eight.nulls.shape == (POOL * SUBSETS, 8)
    ordered = np.sort(by_eight.nulls, axis=1)
    assert (np.diff(ordered, axis=1) > 0).all()
    assert not (by_eight.nulls == by_eight.judged[:, None]).any()
    assert (ordered[:, 0].min(), ordered[:, -1].max()) == (0, POOL - 1)
    # each is as likely as any other, 400 times on average
    counts = np.bincount(by_eight.nulls.ravel(), minlength=POOL)
    assert counts.min() > 300
    assert counts.max() < 500


@pytest.mark.parametrize("scale", shares.SCALES)
def test_the_vectorised_p_is_predicts_own(normal, by_three, by_eight, scale):
    values = np.exp(0.4 * normal).tolist()
    for tried in (by_three, by_eight):
        assert shares.disagreement(values, tried, scale) < 1e-9


def test_normal_noise_is_nominal_unlike_the_old_way(normal, by_three, by_eight):
    for tried in (by_three, by_eight):
        for found, level in zip(shares.false_positives(normal, tried, "raw"), shares.LEVELS, strict=True):
            assert found.low <= level <= found.high
    old = shares.old_false_positives(normal, by_three)[2]
    assert old.low <= 0.082 <= old.high
    assert old.low > 20 * 0.00135


def test_skewed_noise_is_nominal_on_the_log_scale_alone(normal, by_eight):
    values = np.exp(0.6 * normal)
    log, raw = (shares.false_positives(values, by_eight, scale) for scale in ("log", "raw"))
    assert log[1].low <= 0.01 <= log[1].high
    assert raw[1].low > 0.01


def test_an_interval_respects_that_trials_share_members(normal, by_eight):
    hits = shares.p_values(normal, by_eight, "raw") <= 0.05
    found = shares.share(hits, by_eight)
    binomial = 2 * np.sqrt(0.05 * 0.95 / len(hits))
    assert found.value == pytest.approx(hits.mean())
    assert found.high - found.value > 2 * binomial
    # it is about as wide as other pools of this size lie apart
    others = [
        shares.share(shares.p_values(v, by_eight, "raw") <= 0.05, by_eight).value
        for v in np.random.default_rng(4).normal(size=(40, POOL))
    ]
    assert np.std(others) < found.high - found.value < 6 * np.std(others)


def test_a_replicate_leaves_out_every_trial_of_its_members(by_eight):
    of_group_0 = np.arange(POOL) % shares.GROUPS == 0
    takes_part = of_group_0[by_eight.judged] | of_group_0[by_eight.nulls].any(axis=1)
    assert ((by_eight.groups & 1 == 1) == takes_part).all()


def test_a_pool_must_be_larger_than_its_judges():
    with pytest.raises(ValueError, match="pool of 8"):
        shares.trials(8, 8, 1)


def test_criteria_judge_the_share_and_its_interval_how_surely():
    sure = [[0.05, 0.045, 0.055], [0.01, 0.008, 0.012], [0.0013, 0.001, 0.002]]
    assert nominal(sure) == "met"
    assert nominal([*sure[:2], [0.0013, 0.0, 0.005]]) == "met (not surely at 0.00135)"
    assert nominal([[0.07, 0.06, 0.08], [0.021, 0.018, 0.024], sure[2]]) == (
        "**missed** at 0.05 (not surely), 0.01 (not surely)"
    )
    assert nominal([[0.09, 0.08, 0.1], *sure[1:]]) == "**missed** at 0.05"
    assert exact(0, 100) == "0.00 % (0.00–3.62)"


def test_noise_and_mixtures_have_the_size_that_they_promise():
    generator = np.random.default_rng(5)
    real = {"m": (generator.normal(size=(8, 200)), generator.normal(size=(100, 8)) ** 3)}
    random = noise(real, 1)
    assert norm(*random["m"]) == pytest.approx(norm(*real["m"]))
    assert norm(*real["m"]) == pytest.approx(np.linalg.norm(real["m"][1] @ real["m"][0]))
    mixed = mixture(real, random, 0.6)["m"]
    assert mixed[0].shape == (16, 200)
    expected = 0.6 * real["m"][1] @ real["m"][0] + 0.8 * random["m"][1] @ random["m"][0]
    assert mixed[1] @ mixed[0] == pytest.approx(expected)
    assert total_norm(ranked_noise(real, 1, 4)) == pytest.approx(2 * total_norm(real), rel=0.15)
    assert fixed_noise(real, 1)["m"][0].std() == pytest.approx(0.02, rel=0.1)
