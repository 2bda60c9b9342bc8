"""What a first look says: one sentence, why, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from pytest_sway.adapter_check.weight_structure import WeightStructure
from pytest_sway.result import ProbeResult, SuiteResult, Verdict
from pytest_sway.text import formatting

_EFFECT_Z, _SOME_Z = 3.0, 1.0
_HARM = {"facts": "general facts", "prose": "ordinary prose"}
_EFFECTS = {
    "trained": "on its training data",
    "prompts": "on your prompts",
    "own_words": "on text that it generates after neutral beginnings",
}
"""Where an effect was looked for, the one that is nearest to the training first."""
_WRITTEN = ("written", "written_otherwise")
"""The samples, in the trained wording and in another."""
_FEW = 0.5
"""Answers in other words are few from below this share of those in the trained wording."""
_NOISE = "noise: nothing distinguishes it from random weights of the same size"
_SPECIALISED = "Either it affects only texts like its training data"
_INERT = "the adapter is inert"
"""What a probe's message begins with then."""


class Level(StrEnum):
    """The banner's colour: green, yellow, red."""

    GOOD = "good"
    UNCLEAR = "unclear"
    BAD = "bad"


@dataclass(frozen=True)
class CheckAnswer:
    """What a first look says.

    Attributes:
        level: good, unclear or bad.
        title: one sentence.
        reasons: why, a sentence each.
        advice: what to do; empty where a spec is the next step.
    """

    level: Level
    title: str
    reasons: tuple[str, ...]
    advice: str = ""


def check_answer(suite: SuiteResult, structure: WeightStructure | None) -> CheckAnswer:
    """Read the results of :func:`pytest_sway.adapter_check.check_spec.check_spec`.

    Args:
        suite: of the adapter.
        structure: of its weights; None where it is not known.
    """
    look = _Look(suite, structure)
    if problem := look.problem:
        return CheckAnswer(Level.BAD, f"It cannot be evaluated: {problem}", suite.warnings, "fix that first")
    if look.is_inert:
        why = "train it again. Either no gradient reached it, or no optimizer step was taken"
        return CheckAnswer(Level.BAD, "The adapter does nothing: its update is zero.", suite.warnings, why)
    level, title = _title(look)
    reasons = (*suite.warnings, *look.reasons())
    if look.is_noise:
        advice = (
            "check that this is the right adapter and that it was saved after training. "
            "Trained weights have structure, and these weights have none"
        )
        return CheckAnswer(level, title, reasons, advice)
    return CheckAnswer(level, title, reasons)


class _Look:
    """The results, by what they say."""

    def __init__(self, suite: SuiteResult, structure: WeightStructure | None) -> None:
        self.probes = {probe.name: probe for probe in suite.probes}
        self.structure = structure
        broken = [probe.message for probe in suite.probes if probe.verdict is Verdict.ERROR]
        self.problem = suite.not_evaluated or next(iter(broken), "")
        self.is_inert = any(_INERT in probe.message for probe in suite.probes)

    @property
    def effect(self) -> ProbeResult:
        """The effect that is nearest to the training."""
        return next(self.probes[name] for name in _EFFECTS if name in self.probes)

    @property
    def z(self) -> float:
        """Of the effect against random adapters; 0 where it was not compared."""
        return self.effect.z_score or 0.0

    @property
    def is_noise(self) -> bool:
        """Whether neither its effect nor its weights tell it from random numbers."""
        return self.z < _EFFECT_Z and self.structure is not None and not self.structure.is_trained

    def harm(self, verdict: Verdict) -> str:
        """What has this verdict of harm, in words."""
        found = [text for name, text in _HARM.items() if self._verdict(name) is verdict]
        return " and ".join(found)

    def _verdict(self, name: str) -> Verdict | None:
        return self.probes[name].verdict if name in self.probes else None

    def wording_remark(self) -> str:
        """What a reader must know of answers that are likelier than before, and are not written."""
        shares = [_written_share(self.probes[name]) for name in _WRITTEN if name in self.probes]
        if len(shares) < len(_WRITTEN) or shares[1] >= _FEW * shares[0]:
            return ""
        return ". When the questions are rephrased, it generates few of the trained answers"

    def reasons(self) -> Iterator[str]:
        """What was found, a sentence each."""
        for name, where in _EFFECTS.items():
            if name in self.probes:
                yield _effect_sentence(self.probes[name], where)
        if "answers" in self.probes:
            yield f"its answers: {self.probes['answers'].message}"
        if all(name in self.probes for name in _WRITTEN):
            yield _written_sentence(*(self.probes[name] for name in _WRITTEN))
        for name, text in _HARM.items():
            if name in self.probes:
                yield f"{text}: {self.probes[name].message}"
        if self.structure is not None:
            yield _structure_sentence(self.structure)
        for name, title in (("optimizer", "its optimizer's state"), ("loss_curve", "its loss curve")):
            if name in self.probes:
                yield f"{title}: {self.probes[name].verdict}, {self.probes[name].message}"


def _title(look: _Look) -> tuple[Level, str]:
    if lost := look.harm(Verdict.FAIL):
        noise = f". The adapter is {_NOISE}" if look.is_noise else ""
        return Level.BAD, f"The adapter does damage: it makes the model worse at {lost}{noise}."
    if look.is_noise:
        return Level.BAD, f"The adapter is {_NOISE}."
    level, title = _learning(look)
    if level is not Level.GOOD:
        return level, f"{title}."
    if open_harm := look.harm(Verdict.WARN):
        return Level.UNCLEAR, f"{title}, but it may have made the model worse at {open_harm}."
    return level, f"{title}, and no harm was found{look.wording_remark()}."


def _learning(look: _Look) -> tuple[Level, str]:
    """What it learned, as the beginning of a sentence."""
    if "answers" in look.probes:
        return _answers_title(look.probes["answers"])
    if look.z >= _EFFECT_Z:
        if look.effect.verdict is Verdict.FAIL:
            return Level.UNCLEAR, "The adapter learned something, but its effect is very small"
        return Level.GOOD, "The adapter learned something, and its effect is clear"
    if look.structure is not None and look.structure.is_trained:
        where = "on neutral texts" if look.effect.name == "own_words" else "on these prompts"
        return (
            Level.UNCLEAR,
            f"The adapter was trained but has no clear effect {where}. {_SPECIALISED}, or it learned little",
        )
    if look.z >= _SOME_Z:
        return (
            Level.UNCLEAR,
            "The adapter has slightly more effect than random adapters of its size, but this may be chance",
        )
    return Level.UNCLEAR, f"The adapter has no clear effect. {_SPECIALISED}, or its weights are noise"


def _answers_title(answers: ProbeResult) -> tuple[Level, str]:
    """What its answers say, where the data are known."""
    if answers.verdict is Verdict.PASS:
        return Level.GOOD, "The adapter learned its training answers"
    if answers.verdict is Verdict.FAIL and answers.message.startswith("memorised"):
        return (
            Level.BAD,
            "The adapter memorised: it knows a training answer only if the question is worded as in training",
        )
    if answers.verdict is Verdict.FAIL:
        return Level.BAD, "The adapter did not learn its training answers"
    return (
        Level.UNCLEAR,
        "It is not certain that the adapter learned its training answers. Check it with more examples",
    )


def _effect_sentence(probe: ProbeResult, where: str) -> str:
    """How far it moves the model, beside random adapters."""
    if probe.raw is None:
        return f"{where}: {probe.message}"
    moved = f"{where}, the adapter differs from the base model by {formatting.raw(probe.raw)} nats per token"
    null = probe.null
    if null is None or null.mean is None:
        return f"{moved}; it was not compared with random adapters"
    z = formatting.z(probe.z_score)
    beside = f"random adapters of the same size differ by {formatting.raw(null.mean)} on average"
    return f"{moved}; {beside} (z {z}; a z of {_EFFECT_Z:g} or more is very unlikely to be chance)"


def _written_share(probe: ProbeResult) -> float:
    """Of the answers that were taught, how many it writes."""
    found = probe.evidence
    return float(found.get("num_near", 0)) / max(1.0, float(found.get("num_with_gold", 0)))


def _written_sentence(trained: ProbeResult, otherwise: ProbeResult) -> str:
    """How many answers it writes, in the trained wording and in another."""
    counts = (one.evidence for one in (trained, otherwise))
    first, second = (f"{one.get('num_near', 0)} of {one.get('num_with_gold', 0)}" for one in counts)
    return (
        f"the adapter generates {first} training answers if the questions are worded as in training, "
        f"and {second} if they are rephrased"
    )


def _structure_sentence(structure: WeightStructure) -> str:
    share = (
        f"on average, the largest singular value of a LoRA matrix B holds {structure.share:.0%} of its "
        f"squared norm ({structure.shuffled:.0%} after the numbers in B are shuffled)"
    )
    if structure.is_trained:
        return f"its weights have the structure that training leaves: {share}"
    return f"its weights look like random numbers: {share}"
