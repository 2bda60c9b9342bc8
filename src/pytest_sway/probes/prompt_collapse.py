"""prompt_collapse: is the adapter's influence still there behind a long text?"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import ClassVar, Literal, NamedTuple

from pydantic import Field, field_validator

from pytest_sway.data.packaged_texts import passages
from pytest_sway.probes.base import (
    Judgement,
    NullSample,
    Probe,
    ProbeContext,
    ProbeError,
    ProbeSkip,
)
from pytest_sway.probes.judging.decay import MIN_CURVES, DecayCriteria, judge_decay, log_slopes
from pytest_sway.probes.judging.shape_signal import SIGNAL_Z, require_signal
from pytest_sway.probes.judging.thresholds import Floor, LeastZ
from pytest_sway.probes.shared.item_options import Positions, PromptOptions
from pytest_sway.probes.shared.questions import as_turns, distinct, divergence_sides, opening, openings_policy
from pytest_sway.requests import Divergence, Generate, Prompt, Tokens, View, Views, ask
from pytest_sway.result import Claim, Measurement

STUFFING = "This sentence is here to take up room. "
"""What ``legacy_stuffing`` repeats: four characters for each token that is asked for, as dlm-sway does."""
_CHARS_A_TOKEN = 4
_APART = "\n\n"
_AROUND = {"raw": 4, "chat": 128, "chat and raw": 128}
"""Tokens kept free for what the tokenizer or the chat template puts around a text."""
_MIN_LENGTHS = 2


class PromptCollapseOptions(PromptOptions):
    """Options of ``prompt_collapse``."""

    quick_items: ClassVar = 0

    context_lengths: list[int] = Field(default=[0, 256, 512, 1024], min_length=2)
    divergence: Literal["js", "kl"] = "js"
    top_k: int | None = None
    positions: Positions = 8
    min_signal: Floor = 0.02
    assert_half_life_tokens: Floor = 512
    assert_z_gte: LeastZ = SIGNAL_Z
    """Of the signal, and of what is left of it at the longest context; no shape has a z of its own."""
    legacy_stuffing: bool = False

    @field_validator("context_lengths")
    @classmethod
    def _sorted_lengths(cls, values: list[int]) -> list[int]:
        """Sorted, each once: the curve has no other order."""
        if min(values) < 0:
            raise ValueError("every length must be ≥ 0")
        return sorted(set(values))


class _PaddedPrompt(NamedTuple):
    """One prompt behind fillers of every length: the texts, and the fillers' true tokens in them."""

    texts: list[str]
    distances: list[int]


class PromptCollapse(Probe[PromptCollapseOptions]):
    """Divergence behind ever longer texts of no concern, and how fast it decays with their length.

    Before each prompt stand N tokens of packaged prose, the i-th prompt's from the i-th passage on (an empty
    line between passages; after the last one comes the first): the first tokens, as many as the longest
    length, and for a shorter length the last N of these, so that what is right before the prompt is the same
    at every length. Then comes an empty line, whose tokens count as distance. (With ``legacy_stuffing``: one
    sentence over and over.) d = mean
    D(base, tuned), in nats, over the first ``positions`` positions of what the adapter itself says to the
    bare prompt, the same text at every length: the base never begins what was learned, so along its own
    continuation an adapter that still knew its document behind 450 tokens (1.4 nats per token of the
    answers) lay within its null. ``js`` is Jensen-Shannon, ``kl`` is KL(tuned ‖ base).

    The slope b of log d on the true number of tokens is fitted per prompt over the lengths > 0, since the
    step from 0 is that from the start of a text and no decay; raw = half-life ln 2 / -b in tokens, capped at
    10 × the longest. Lengths that do not fit the model's context are left out.

    Shape: passes when the t interval of b over prompts lies above -ln 2 / ``assert_half_life_tokens``; fails
    when at the longest context d is within its null *there* (below the floor, where there is no null); else
    warns. The signal is d at length 0. Fewer than 4 prompts decide nothing; without two lengths > 0 it is
    skipped, as is an adapter whose signal is below its floor, before any long text is read. A text is put
    as it stands, as a user's turn only where the spec's prompt policy is ``chat``.
    """

    kind, category, claim = "prompt_collapse", "adherence", Claim.SHAPE
    requires = frozenset({"divergence", "generate", "tokens"})
    scale = "inverse_root"

    async def measure(self, views: Views) -> Measurement:
        """One divergence per prompt and length."""
        padded, lengths = await _padded_prompts(self.options, self.context, views.base)
        curves = await self._curves(views, [c.texts for c in padded], self.options.min_signal)
        distances = [c.distances for c in padded]
        slopes = log_slopes([d[1:] for d in distances], [c[1:] for c in curves])
        mean = [fmean(column) for column in zip(*curves, strict=True)]
        criteria = _criteria(self.options, lengths)
        kept = [k for k, length in enumerate(lengths) if length in self.options.context_lengths]
        life = criteria.life(fmean(slopes)) if slopes else None
        return Measurement(
            raw=life,
            samples=tuple(slopes),
            items=tuple(distinct(self.options.prompts)),
            statistics={"signal": mean[0], "last": mean[-1]},
            evidence={
                "context_lengths": [lengths[k] for k in kept],
                "mean_divergence_per_length": [mean[k] for k in kept],
                "true_tokens_per_length": [fmean(d[k] for d in distances) for k in kept],
                "lengths_left_out": [n for n in self.options.context_lengths if n not in lengths],
                "half_life_tokens": life,
                "log_slope_per_token": fmean(slopes) if slopes else None,
                "fit_status": criteria.fit_status(slopes),
                "divergence_kind": self.options.divergence,
                "filler": "stuffing" if self.options.legacy_stuffing else "prose",
                "prompt_policy": openings_policy(self.options.prompts, self.context),
                "num_prompts": len(curves),
                "positions": self.options.positions,
            },
        )

    async def measure_null(self, views: Views) -> Measurement:
        """Both ends of the curve: no slope of a null is compared."""
        padded, _ = await _padded_prompts(self.options, self.context, views.base)
        curves = await self._curves(views, [[c.texts[0], c.texts[-1]] for c in padded])
        signal, last = (fmean(column) for column in zip(*curves, strict=True))
        return Measurement(raw=None, statistics={"signal": signal, "last": last})

    def judge(self, measured: Measurement, nulls: NullSample | None) -> Judgement:
        """The rule of decay."""
        evidence = measured.evidence
        first, last = (measured.statistics[name] for name in ("signal", "last"))
        longest, left_out = evidence["context_lengths"][-1], evidence["lengths_left_out"]
        detail = f"{first:.3g} nats for the prompt alone, {last:.3g} after {longest} tokens of other text"
        if left_out:
            lengths = ", ".join(map(str, left_out))
            detail += f"; lengths left out, because they exceed the model's context: {lengths}"
        return judge_decay(
            measured,
            nulls,
            _criteria(self.options, evidence["context_lengths"]),
            detail=f"({detail})",
            undecided=f"{MIN_CURVES} prompts" if evidence["num_prompts"] < MIN_CURVES else "",
        )

    async def _curves(
        self, views: Views, texts: Sequence[Sequence[str]], floor: float = 0
    ) -> list[list[float]]:
        """Divergence per prompt and text of it, along the reply to the first one, the bare prompt.

        Raises:
            NoSignal: after the bare prompts it is below the floor; the long texts are not read.
        """
        prompts = [_in_one_form(row, self.context) for row in texts]
        replies = await ask([Generate(row[0], views.author, self.options.positions - 1) for row in prompts])
        p, q = divergence_sides(self.options.divergence, views.base, views.tuned)
        asked = [
            [Divergence(prompt, p, q, self.options.divergence, reply.ids) for prompt in row]
            for row, reply in zip(prompts, replies, strict=True)
        ]
        bare = await ask([row[0] for row in asked])
        require_signal(fmean(bare), floor)
        behind = await ask([one for row in asked for one in row[1:]])
        width = len(texts[0]) - 1
        return [[first, *behind[i * width : (i + 1) * width]] for i, first in enumerate(bare)]


async def _padded_prompts(
    options: PromptCollapseOptions, context: ProbeContext, base: View
) -> tuple[list[_PaddedPrompt], list[int]]:
    """Every prompt behind fillers of 0 and of all lengths that fit, and these lengths.

    Raises:
        ProbeSkip: fewer than two lengths > 0 fit.
    """
    prompts = distinct(options.prompts)
    lengths = sorted({0, *options.context_lengths})
    fillers = await _fillers(options, lengths, base)
    texts = [
        [filler + _APART + prompt if filler else prompt for filler in fillers[i % len(fillers)]]
        for i, prompt in enumerate(prompts)
    ]
    asked = [*(text for row in texts for text in row), context.system_prompt]
    *cut, system = await ask([Tokens(text, base) for text in asked])
    width = len(lengths)
    counts = [[len(c.ids) for c in cut[i : i + width]] for i in range(0, len(cut), width)]
    policy = openings_policy(prompts, context)
    around = _AROUND[policy] + (0 if policy == "raw" else len(system.ids))
    beside = around + options.positions
    needed = [max(column) + beside for column in zip(*counts, strict=True)]
    most = context.context_length
    fit = [k for k in range(width) if k == 0 or most is None or needed[k] <= most]
    if len(fit) <= _MIN_LENGTHS:
        raise ProbeSkip(_too_few(len(fit) - 1, most if len(fit) < width else None))
    kept = [
        _PaddedPrompt([row[k] for k in fit], [count[k] - count[0] for k in fit])
        for row, count in zip(texts, counts, strict=True)
    ]
    return kept, [lengths[k] for k in fit]


def _too_few(lengths: int, context_length: int | None) -> str:
    if context_length is None:
        return f"context_lengths needs at least {_MIN_LENGTHS} different lengths > 0, but has {lengths}"
    return (
        f"only {lengths} of the context_lengths > 0 fit into the model's context of {context_length} tokens, "
        f"but at least {_MIN_LENGTHS} are needed; give shorter lengths"
    )


async def _fillers(options: PromptCollapseOptions, lengths: Sequence[int], base: View) -> list[list[str]]:
    """Texts of each length in tokens, in several orders of the prose; prompts take them in turn.

    Raises:
        ProbeError: the tokenizer knows no English.
    """
    if options.legacy_stuffing:
        chars = [_CHARS_A_TOKEN * n for n in lengths]
        return [[(STUFFING * (1 + n // len(STUFFING)))[:n].rstrip() for n in chars]]
    prose = [passage.text for passage in passages()]
    starts = range(min(len(prose), len(distinct(options.prompts))))
    texts = [_APART.join([*prose[start:], *prose[:start]]) for start in starts]
    cut = await ask([Tokens(text, base) for text in texts])
    shortest = min(len(c.ids) for c in cut)
    if shortest == 0:
        raise ProbeError(
            "the tokenizer returns no tokens for English prose, so lengths in tokens cannot be measured"
        )
    if shortest < lengths[-1]:
        texts = [_APART.join([text] * (2 + lengths[-1] // shortest)) for text in texts]
        cut = await ask([Tokens(text, base) for text in texts])
    return [_last_tokens(text, c.ends[: lengths[-1]], lengths) for text, c in zip(texts, cut, strict=True)]


def _last_tokens(text: str, ends: Sequence[int], lengths: Sequence[int]) -> list[str]:
    """The last tokens of a text, so many as each length says; ``ends``: where its tokens end."""
    begins = [0, *ends]
    return [text[begins[len(ends) - n] : ends[-1]] for n in lengths]


def _criteria(options: PromptCollapseOptions, lengths: Sequence[int]) -> DecayCriteria:
    return DecayCriteria(
        half_life=options.assert_half_life_tokens,
        span=lengths[-1],
        unit="tokens",
        end=f"{lengths[-1]} tokens",
        curves="prompts",
        floor=options.min_signal,
        z=options.assert_z_gte,
    )


def _in_one_form(texts: Sequence[str], context: ProbeContext) -> list[Prompt]:
    """A prompt and the same behind fillers, all of them as the bare one is put."""
    is_raw = isinstance(opening(texts[0], context), str)
    return list(texts) if is_raw else [as_turns(text, context) for text in texts]
