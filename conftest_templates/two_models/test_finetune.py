"""Beside the spec: a measure of one's own, and what is done with it."""

import pytest

from pytest_sway import probe

ELSEWHERE = ["In the year 1912", "A recipe for bread", "def main():"]  # CHANGE: what it was not trained on
AT_MOST = 0.1  # CHANGE: how far it may move there, in nats; the spec's moved shows how far it moves at home


@pytest.mark.sway("sway.yaml")  # the spec beside this file: its model is loaded once for both
def test_other_texts_stay_as_they_were(sway):
    moved = sway(probe("delta_kl", name="elsewhere", prompts=ELSEWHERE))
    assert moved.raw <= AT_MOST, moved.message
