"""style_fingerprint: does the adapter write as the document is written?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from statistics import fmean, median
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from pytest_sway.data.packaged_texts import elicitation
from pytest_sway.probes.base import (
    Judgement,
    NullSample,
    Probe,
    ProbeContext,
    ProbeError,
    ProbeSkip,
)
from pytest_sway.probes.judging.effect import EffectCriteria, judge_effect
from pytest_sway.probes.judging.thresholds import Floor, LeastZ
from pytest_sway.probes.shared import grammar_tagger
from pytest_sway.probes.shared import style_features as style
from pytest_sway.probes.shared.item_options import PromptOptions
from pytest_sway.probes.shared.questions import as_prompt, ask_both, distinct, opening
from pytest_sway.requests import Generate, Generation, Prompt, Views
from pytest_sway.result import Claim, Measurement, Verdict
from pytest_sway.statistics.intervals import jackknife_blocks, jackknife_interval

LEAST_WORDS = 25
"""Fewer words than this, over all prompts together, show no style."""
_WINDOW = 50
_LEAST_SHARE = 0.05
_UNIT = 2
"""Prompts whose texts together are one observation of a style: a single text has too few sentences."""
_MOST_PAIRED = 40
_LEAST_DISTANCE = 1.0
_ENDS = (".", "?", "!", ":", "…", "。", "？", "！")


class StyleFingerprintOptions(PromptOptions):
    """Options of ``style_fingerprint``; without ``prompts`` the packaged ones are put."""

    quick_items: ClassVar = 0
    profiles: ClassVar = {"thorough": {"max_new_tokens": 256}}

    prompts: list[str] = Field(default=[])
    doc_reference: str = ""
    max_new_tokens: int = Field(default=128, ge=1)
    assert_shift_gte: Floor = 0.25
    extended: Literal["auto", "on", "off"] = "auto"
    assert_z_gte: LeastZ = 3.0


class _Tallies(NamedTuple):
    """Tallies, ``[texts, 13]``: under both views, of the document, of the document in units."""

    base: np.ndarray
    tuned: np.ndarray
    document: np.ndarray
    units: np.ndarray


class StyleFingerprint(Probe[StyleFingerprintOptions]):
    """How much nearer to the document's style the adapter writes than the base.

    b, t, d: fingerprints of what base and adapter write greedily after the same prompts, and of the
    document. raw = 1 - ‖d - t‖ / ‖d - b‖: 0 writes like the base (or as far off in another way), 1 like the
    document. The number of schema 1, the projection (t - b)·(d - b) / ‖d - b‖², is in the evidence as
    ``style_shift``; it is never smaller, and grows with an adapter that overshoots or rambles besides.
    Each dimension is divided by its standard deviation within a side: over the base's own texts, any two
    prompts together, and over pieces of the document of that length (root mean square of both, as in Fisher's
    discriminant); at least 5 % of its size, which is the larger of b's and d's. Unscaled, one dimension would
    decide alone. Lengths are made alike: where a text ran into ``max_new_tokens`` the document's sections are
    cut into pieces of as many words as such texts have on average, and what grows with a text's length (the
    type-token ratio) is taken over windows of w words, w being the smaller of the two sides' median numbers
    of words, at most 50; pieces have at least w. "Pieces of that length" above are as long as two of the
    base's texts on average. Words are counted by
    :func:`~pytest_sway.probes.shared.style_features.split_words`.

    An effect; interval: jackknife over prompts, the document and the units kept. Its control is the null
    adapters' mean: what is odd in the base's few texts is missing from anyone else's, and lies between them
    and the document, too. A null writes for itself, since the measure is the text: that costs as much as the
    adapter, per draw.

    Of 100 random adapters on the quickstart 0.05 % at most lie beyond 3σ of 20 others, after stems and after
    questions. The healthy one stands at 4.0 and 2.8; by the projection at 4.0 and 1.5, since random adapters
    ramble as far as it goes, past the document.
    """

    kind, category, claim = "style_fingerprint", "calibration", Claim.EFFECT
    requires = frozenset({"generate"})
    scale = "raw"

    async def measure(self, views: Views) -> Measurement:
        """Two texts per prompt."""
        document = _document(self.options, self.context)
        tagger, why_plain = _tagger(self.options.extended)
        prompts = distinct(self.options.prompts or elicitation())[: self.context.limit]
        base, tuned = await ask_both(
            [
                Generate(_style_prompt(prompt, self.context), views.base, self.options.max_new_tokens)
                for prompt in prompts
            ],
            views,
        )
        base_words, tuned_words = _count_generated(base), _count_generated(tuned)
        evidence = {
            "extended": tagger is not None,
            "extended_reason": why_plain,
            "schema_version": 3,
            "num_prompts": len(prompts),
            "prompt_policy": _policy(prompts, self.context),
            "words": {"base": base_words, "tuned": tuned_words, "document": _count_words(document)},
        }
        if base_words < LEAST_WORDS:
            raise ProbeError(
                f"the base model writes only {base_words} words after {len(prompts)} prompts, but at least "
                f"{LEAST_WORDS} are needed to measure a style; give other prompts or increase max_new_tokens"
            )
        if tuned_words < LEAST_WORDS:
            return Measurement(raw=None, evidence=evidence)
        window = _window(base, tuned)
        cut = _cut_document(document, [*base, *tuned], self.options.max_new_tokens, window)
        unit = max(window, round(_UNIT * base_words / len(base)))
        sides = (
            [text.text for text in base],
            [text.text for text in tuned],
            cut,
            [piece for text in document for piece in style.pieces(text, unit)],
        )
        tallies = _Tallies(*(np.array([style.tally(t, window, tagger) for t in side]) for side in sides))
        return _measurement(tallies, {**evidence, "window": window, "pieces": len(cut)})

    def judge(self, measured: Measurement, nulls: NullSample | None) -> Judgement:
        """The effect rule, net of the null's mean."""
        evidence = measured.evidence
        if measured.raw is None:
            count = evidence["words"]
            message = (
                f"the adapter writes almost nothing: {count['tuned']} words after "
                f"{evidence['num_prompts']} prompts, while the base model writes {count['base']}"
            )
            return Judgement(Verdict.FAIL, message, 0.0, distinguishable=False)
        if evidence["distance"] < _LEAST_DISTANCE:
            message = (
                "no shift can be measured, because the document's style is too close to the base model's: "
                f"{evidence['distance']:.2f} standard deviations apart per dimension "
                f"(at least {_LEAST_DISTANCE:g} needed)"
            )
            return Judgement(Verdict.SKIP, message)
        base, tuned = (np.array(measured.series[side]) for side in ("base", "tuned"))
        document, spread = (np.array(row) for row in measured.series["frame"])
        extended = evidence["extended"]

        def reduction_over(kept: Iterable[int]) -> float | None:
            at = list(kept)
            b, t = (style.fingerprint(side[at].sum(axis=0), extended=extended) for side in (base, tuned))
            return None if b is None or t is None else _distance_reduction(b, t, document, spread)

        return judge_effect(
            measured,
            jackknife_interval(len(base), reduction_over),
            nulls,
            EffectCriteria(
                self.options.assert_shift_gte, self.options.assert_z_gte, "of the way to the document's style"
            ),
            subtract_null=True,
        )


def _document(options: StyleFingerprintOptions, context: ProbeContext) -> list[str]:
    """The document's texts: the reference, or each section by itself.

    Raises:
        ProbeSkip: there is none.
        ProbeError: it is too short.
    """
    reference = options.doc_reference.strip()
    texts = [reference] if reference else [s.content for s in context.document.sections if s.content.strip()]
    if not texts:
        raise ProbeSkip(
            "there is no document to compare the style with; add your document under sections in the spec, "
            "or set doc_reference to its text"
        )
    if (found := _count_words(texts)) < _WINDOW:
        raise ProbeError(
            f"the document has only {found} words, but at least {_WINDOW} are needed to measure its style"
        )
    return texts


def _tagger(extended: str) -> tuple[grammar_tagger.Tagger | None, str]:
    """The tagger of the extended fingerprint, or why the plain one is taken.

    Raises:
        ProbeSkip: it was asked for and cannot be had.
    """
    if extended == "off":
        return None, "extended: off"
    found = grammar_tagger.load_tagger()
    if isinstance(found, grammar_tagger.Tagger):
        return found, ""
    if extended == "on":
        raise ProbeSkip(f"extended: on, but {found}")
    return None, found


def _style_prompt(prompt: str, context: ProbeContext) -> Prompt:
    """As :func:`opening`; an instruction, which ends as a sentence does, is a user's turn as well."""
    finished = prompt.rstrip()[-1:] in _ENDS
    return as_prompt(prompt, context) if finished else opening(prompt, context)


def _policy(prompts: Sequence[str], context: ProbeContext) -> str:
    """How they were put, for the evidence: raw, chat or both."""
    put = {"raw" if isinstance(_style_prompt(prompt, context), str) else "chat" for prompt in prompts}
    return " and ".join(sorted(put))


def _count_generated(texts: Sequence[Generation]) -> int:
    return _count_words([text.text for text in texts])


def _count_words(texts: Sequence[str]) -> int:
    return sum(len(style.split_words(text)) for text in texts)


def _window(base: Sequence[Generation], tuned: Sequence[Generation]) -> int:
    """Words of a window that most texts of both sides hold."""
    sides = [[n for text in side if (n := len(style.split_words(text.text)))] for side in (base, tuned)]
    return max(2, min(_WINDOW, *(int(median(lengths)) for lengths in sides)))


def _cut_document(
    document: Sequence[str], written: Sequence[Generation], limit: int, window: int
) -> Sequence[str]:
    """The document as the texts are: whole, or cut off after as many words as they were."""
    ended = [len(style.split_words(text.text)) for text in written if len(text.ids) >= limit]
    if not ended:
        return document
    length = max(window, round(fmean(ended)))
    return [piece for text in document for piece in style.pieces(text, length)]


def _measurement(tallies: _Tallies, evidence: dict[str, object]) -> Measurement:
    extended = bool(evidence["extended"])
    base, tuned, document = (
        style.fingerprint(sums, extended=extended)
        for sums in (tallies.base.sum(axis=0), tallies.tuned.sum(axis=0), tallies.document.sum(axis=0))
    )
    if base is None or tuned is None or document is None:
        raise ProbeError("the texts are too short to be compared; increase max_new_tokens")
    spread = _spread(tallies, np.maximum(abs(base), abs(document)), extended=extended)
    shares = _shares(base, tuned, document, spread)
    names = style.EXTENDED if extended else style.PLAIN
    blocks = jackknife_blocks(len(tallies.base))
    return Measurement(
        raw=_distance_reduction(base, tuned, document, spread),
        evidence={
            **evidence,
            "base_fp": base.tolist(),
            "ft_fp": tuned.tolist(),
            "doc_fp": document.tolist(),
            "style_shift": float(shares.sum()),
            "dimensions": list(names),
            "contributions": dict(zip(names, shares.tolist(), strict=True)),
            "distance": float(np.sqrt(np.mean(((document - base) / spread) ** 2))),
        },
        series={
            "base": [tallies.base[block].sum(axis=0).tolist() for block in blocks],
            "tuned": [tallies.tuned[block].sum(axis=0).tolist() for block in blocks],
            "frame": [document.tolist(), spread.tolist()],
        },
    )


def _spread(tallies: _Tallies, size: np.ndarray, *, extended: bool) -> np.ndarray:
    """The unit of each dimension: how much it varies within a side, at least 5 % of its size."""
    texts = tallies.base[:_MOST_PAIRED]
    pairs = [texts[list(pair)].sum(axis=0) for pair in combinations(range(len(texts)), _UNIT)]
    variances = [
        np.var(prints, axis=0, ddof=1)
        for side in (pairs, tallies.units)
        if len(prints := [p for s in side if (p := style.fingerprint(s, extended=extended)) is not None]) > 1
    ]
    unit = np.maximum(np.sqrt(np.mean(variances, axis=0)) if variances else 0.0, _LEAST_SHARE * size)
    return np.where(unit > 0, unit, 1.0)


def _distance_reduction(
    base: np.ndarray, tuned: np.ndarray, document: np.ndarray, spread: np.ndarray
) -> float:
    """Share of the distance to the document that is gone; 0 where there is none."""
    before, after = (float(np.linalg.norm((document - side) / spread)) for side in (base, tuned))
    return 1 - after / before if before > 0 else 0.0


def _shares(base: np.ndarray, tuned: np.ndarray, document: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """What each dimension adds to the projection on the way from base to document."""
    way = (document - base) / spread
    length = float(way @ way)
    return (tuned - base) / spread * way / length if length > 0 else np.zeros_like(way)
