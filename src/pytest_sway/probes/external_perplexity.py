"""external_perplexity: does the model still read other people's prose as well as it did?"""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import fmean
from typing import ClassVar, Literal, Self

from pydantic import Field

from pytest_sway.data.packaged_texts import Passage, passages
from pytest_sway.probes.base import Judgement, NullSample, Probe, ProbeOptions
from pytest_sway.probes.judging.no_harm import ItemSet, judge_no_harm, mean_harm, option_for_all
from pytest_sway.probes.judging.thresholds import Finite, Margin, largest_loss
from pytest_sway.probes.shared.bad_cases import BadCase, bad_cases
from pytest_sway.probes.shared.questions import ask_both
from pytest_sway.probes.shared.segments import pieces_within, prose_segments
from pytest_sway.requests import Completion, Views
from pytest_sway.result import Claim, Measurement, Verdict
from pytest_sway.statistics.intervals import cluster_means, t_interval


class ExternalPerplexityOptions(ProbeOptions):
    """Options of ``external_perplexity``; the corpus has 24 passages of at most 1,400 characters."""

    quick_items: ClassVar = None
    profiles: ClassVar = {"quick": {"chunk_chars": 400}, "thorough": {"max_chunks": 24}}

    corpus: Literal["public_domain_en"] = "public_domain_en"
    chunk_chars: int = Field(default=2048, ge=128, le=16384)
    max_chunks: int = Field(default=16, ge=1, le=128)
    assert_mean_delta_gte: Margin = -0.1
    assert_z_gte: Finite = 3.0

    def limited(self, limit: int) -> Self:
        """Fewer passages."""
        return self.model_copy(update={"max_chunks": min(self.max_chunks, limit)})


class ExternalPerplexity(Probe[ExternalPerplexityOptions]):
    """Change of the log-likelihood of packaged prose, in nats per token; perplexity changes by exp(-raw).

    Per passage Δ = (log p_tuned - log p_base) / its tokens, scored as one text without a prompt. raw = the
    mean over works of each work's mean Δ: passages of one work change alike (on most of the known adapters
    half of the variance of Δ and more lies between works), so an interval over passages is too narrow.
    base_value and ft_value are means over passages, so their difference is raw only where every work has as
    many of them.
    No harm: -raw against -``assert_mean_delta_gte``, with Student's t over works. Its first ``max_chunks``
    passages are read, each cut to its first ``chunk_chars`` characters at a sentence's end. No null: no harm
    has a margin, and an untouched model, which scores 1, could never beat random ones.
    """

    kind, category, claim, better = "external_perplexity", "calibration", Claim.NO_HARM, "higher"
    requires = frozenset({"completion"})

    async def measure(self, views: Views) -> Measurement:
        """Two rolling scores per passage."""
        read = _passages(self.options)
        texts = [passage.text for passage in read]
        base, tuned = await ask_both([Completion("", text, views.base) for text in texts], views)
        deltas = [(b.logprob - a.logprob) / a.tokens for a, b in zip(base, tuned, strict=True)]
        works = cluster_means(deltas, [passage.work for passage in read])
        sides = [fmean(score.logprob / score.tokens for score in side) for side in (base, tuned)]
        gained = math.fsum(b.logprob - a.logprob for a, b in zip(base, tuned, strict=True))
        return Measurement(
            raw=fmean(works.values()),
            samples=tuple(deltas),
            items=tuple(f"{passage.work}: {passage.text}" for passage in read),
            base_value=sides[0],
            ft_value=sides[1],
            series={"works": (tuple(works.values()),)},
            evidence={
                "corpus": self.options.corpus,
                "chunk_chars": self.options.chunk_chars,
                "num_chunks": len(read),
                "per_chunk_delta": deltas,
                "base_mean_logprob_per_tok": sides[0],
                "ft_mean_logprob_per_tok": sides[1],
                "delta_bits_per_char": gained / math.log(2) / sum(map(len, texts)),
                "per_work_delta": works,
            },
        )

    def judge(self, measured: Measurement, nulls: NullSample | None) -> Judgement:
        """The rule of no harm, over works."""
        (works,) = measured.series["works"]
        margin = largest_loss(self.options, "assert_mean_delta_gte")
        judged = judge_no_harm(
            [
                mean_harm(
                    "increase of the loss on general prose in nats per token",
                    [-v for v in works],
                    margin,
                    self._works(),
                )
            ],
            untouched=all(abs(delta) <= measured.resolution for delta in measured.samples),
            interval=t_interval(works),
        )
        if judged.verdict is not Verdict.FAIL:
            return judged
        cases = [
            _continuation_case(passage.text, delta)
            for passage, delta in zip(_passages(self.options), measured.samples, strict=True)
            if delta < 0
        ]
        return replace(judged, evidence=bad_cases(cases))

    def _works(self) -> ItemSet:
        """The works of the corpus, and what reads all of them."""
        total, limit = len(passages()), self.context.limit
        option = option_for_all("max_chunks", self.options.max_chunks, total, limit)
        return ItemSet("works", len({passage.work for passage in passages()}), option)


def _passages(options: ExternalPerplexityOptions) -> list[Passage]:
    """The passages that are read, each cut to its length."""
    chosen = passages()[: options.max_chunks]
    return [replace(passage, text=_beginning(passage.text, options.chunk_chars)) for passage in chosen]


def _beginning(text: str, most: int) -> str:
    """The text's first sentences, of at most ``most`` characters; of a longer one its beginning."""
    return "".join(pieces_within(prose_segments(text), most))[:most]


def _continuation_case(text: str, delta: float) -> BadCase:
    """A passage as a prompt, about its first quarter, and how it goes on."""
    prompt = _beginning(text, len(text) // 4)
    return BadCase(prompt, text[len(prompt) :].strip(), -math.expm1(delta))
