"""What a section is compared with: texts that nobody trained on, and what the adapter gained on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_sway.data.packaged_texts import passages
from pytest_sway.document import Document
from pytest_sway.probes.shared.log_probability_gain import ScoredAnswer
from pytest_sway.probes.shared.segments import pieces_within, prose_segments
from pytest_sway.statistics.estimates import Estimate, ratio_of_sums

PASSAGES = 12
"""So many packaged passages stand in for controls: half of them, every work among them."""
FEWEST_CLUSTERS = 3


@dataclass(frozen=True)
class Controls:
    """Control texts.

    Attributes:
        source: ``controls`` where the spec has some, else ``packaged prose``.
        clusters: which of the texts belong together: a control's id, a passage's work.
        pieces: each text as samples.
    """

    source: str
    clusters: tuple[str, ...]
    pieces: tuple[tuple[str, ...], ...]


def controls_of(document: Document, longest: int) -> Controls:
    """The document's controls, else packaged prose; each cut to at most ``longest`` characters."""
    if document.controls:
        source = "controls"
        texts = [(control.id, control.content) for control in document.controls]
    else:
        source = "packaged prose"
        texts = [(passage.work, passage.text) for passage in passages()[:PASSAGES]]
    return Controls(
        source,
        tuple(cluster for cluster, _ in texts),
        tuple(tuple(pieces_within(prose_segments(text), longest)) for _, text in texts),
    )


def control_gain(controls: Controls, read: Sequence[Sequence[ScoredAnswer]], length: int) -> Estimate:
    """The adapter's relative gain on the controls, each cut to a section's ``length`` in characters.

    The samples are the clusters; the pieces, where there are fewer than 3 clusters.
    """
    cut = [scores[: len(pieces_within(p, length))] for p, scores in zip(controls.pieces, read, strict=True)]
    members: dict[str, list[ScoredAnswer]] = {}
    for cluster, scores in zip(controls.clusters, cut, strict=True):
        members.setdefault(cluster, []).extend(scores)
    if len(members) >= FEWEST_CLUSTERS:
        return relative_gain(list(members.values()))
    return relative_gain([[score] for scores in cut for score in scores])


def relative_gain(groups: Sequence[Sequence[ScoredAnswer]]) -> Estimate:
    """(NLL_base - NLL_tuned) / NLL_base over all tokens; a sample is a group of completions."""
    return ratio_of_sums(
        [sum(score.log_probability_gain for score in group) for group in groups],
        [sum(-score.base for score in group) for group in groups],
    )
