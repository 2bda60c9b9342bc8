"""What every probe is: options, a measure that asks, a judge that decides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pytest_sway.document import Document
from pytest_sway.requests import Profile, PromptPolicy, Views
from pytest_sway.result import Claim, Measurement, Verdict
from pytest_sway.spec.validation_errors import distinct_errors, explain, field_names_at
from pytest_sway.statistics.intervals import Interval
from pytest_sway.statistics.prediction import Better, Prediction, Scale, predict
from pytest_sway.statistics.sequential import NullCriterion
from pytest_sway.text.message_parts import field_name
from pytest_sway.user_error import UserError

QUICK_ITEMS = 4
"""The most prompts, cases or sections of a probe that the profile ``quick`` looks at."""


class ProbeError(UserError):
    """A measure cannot be made with these inputs; the message says which, and what to write."""


class ProbeSkip(UserError):
    """Nothing can be measured with these inputs, and nothing is wrong; the message says why."""


class NoSignal(ProbeSkip):
    """The adapter changes too little for the rest of a measure to be worth its cost."""


class OptionsError(UserError, ValueError):
    """Options that a probe cannot have; the message says in one line which, and what to write."""


class ProbeOptions(BaseModel):
    """Fields common to every suite entry."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    profiles: ClassVar[Mapping[Profile, Mapping[str, Any]]] = {}
    """What a profile sets of the options that the spec leaves open."""
    quick_items: ClassVar[int | None] = QUICK_ITEMS
    """The most items that the profile ``quick`` looks at; None: all; 0: it does not measure this kind."""

    name: str = Field(default="", max_length=200)
    kind: str = ""
    enabled: bool = True
    weight: float = Field(default=1.0, allow_inf_nan=False)
    """Within its category; a negative one counts as 0."""
    timeout: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Seconds that the measure may take."""

    @property
    def mined_items(self) -> int:
        """How many of its items were chosen by what an adapter does with them."""
        return 0

    def for_profile(self, profile: Profile) -> Self:
        """The same options; what the spec leaves open is the profile's."""
        values = self.profiles.get(profile, {})
        return self.model_copy(
            update={name: value for name, value in values.items() if name not in self.model_fields_set}
        )

    def limited(self, limit: int) -> Self:
        """The same options with at most ``limit`` items to look at, for ``--sway-limit``.

        Options that list items override it; those derived from ``PromptOptions`` or ``CaseOptions``
        (:mod:`pytest_sway.probes.shared.item_options`) need not.
        """
        return self


@dataclass(frozen=True)
class ProbeContext:
    """What a probe knows beside its options.

    Attributes:
        document: the spec's sections and controls.
        folder: of the spec; relative paths in options are tried there first.
        adapter: folder of the adapter under evaluation; None for a full fine-tune.
        policy: how the spec wants questions put.
        system_prompt: a system message before every question that goes through the chat template.
        profile: how much the spec wants measured.
        capabilities: what the backend can serve.
        context_length: the longest text, in tokens, that the model was made for; None where the backend
            names none.
        timeout: seconds that a measure may take where its own options do not say.
        limit: the most items of a probe that are looked at.
    """

    document: Document = field(default_factory=Document)
    folder: Path = Path()
    adapter: Path | None = None
    policy: PromptPolicy = "auto"
    system_prompt: str = ""
    profile: Profile = "standard"
    capabilities: frozenset[str] = frozenset()
    context_length: int | None = None
    timeout: float | None = None
    limit: int | None = None

    @property
    def is_chat(self) -> bool:
        """Whether a question is put through the chat template."""
        return self.policy == "chat" or (self.policy == "auto" and "chat_template" in self.capabilities)


@dataclass(frozen=True)
class NullSample:
    """A probe's measurements on the null population.

    Attributes:
        samples: one measurement per null adapter that answered.
        family: name of the null family.
        scale: where the probe's statistic is near normal over null adapters.
        better: the direction in which the adapter's statistic should exceed the nulls'.
        failed: null adapters that did not answer, with the reason of each.
        resolution: smallest difference of the statistic that this model's arithmetic can show, in nats.
    """

    samples: tuple[Measurement, ...]
    family: str
    scale: Scale = "log"
    better: Better = "higher"
    failed: tuple[str, ...] = ()
    resolution: float = 0.0

    def prediction(self, measured: Measurement, statistic: str = "raw") -> Prediction | None:
        """Where ``measured`` lies in the null distribution; None without a usable sample."""
        value = measured.statistic(statistic)
        null_values = [v for sample in self.samples if (v := sample.statistic(statistic)) is not None]
        if value is None or not null_values:
            return None
        return predict(value, null_values, self.scale, self.better, self.resolution)

    def without(self, index: int) -> NullSample:
        """The sample without one null adapter, which is then judged as if it were the adapter."""
        return replace(self, samples=self.samples[:index] + self.samples[index + 1 :])


@dataclass(frozen=True)
class Judgement:
    """A verdict with its reasons; what the judge adds to the measurement.

    ``raw`` takes the place of the measurement's where the headline number cannot be had without the nulls.
    ``null_criteria``: what the null draws decide of it, so that no more are measured than it takes; None
    where the judge does not say, and all are.
    """

    verdict: Verdict
    message: str
    score: float | None = None
    interval: Interval | None = None
    prediction: Prediction | None = None
    distinguishable: bool | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    raw: float | None = None
    null_criteria: tuple[NullCriterion, ...] | None = None

    def needs_more_draws(self, total: int) -> bool:
        """Whether further null draws, up to ``total``, could still change what it says."""
        return self.null_criteria is None or not all(one.is_settled(total) for one in self.null_criteria)


OptionsT = TypeVar("OptionsT", bound=ProbeOptions)


class Probe(ABC, Generic[OptionsT]):
    """One kind of measurement.

    Class attributes:
        kind: the word in the spec.
        category: where its score counts.
        claim: which rule judges it.
        requires: what the backend must be capable of; a missing one is a skip.
        extra: the extra of this package without which it cannot run; a missing one is a skip.
        scale: where the null of its statistic is near normal; None: a null is measured on request alone.
        better: the direction in which its statistic exceeds its null.
    """

    kind: ClassVar[str]
    category: ClassVar[str]
    claim: ClassVar[Claim]
    requires: ClassVar[frozenset[str]] = frozenset()
    extra: ClassVar[str] = ""
    scale: ClassVar[Scale | None] = None
    better: ClassVar[Better] = "higher"

    def __init__(self, options: OptionsT | None = None, /, **values: Any) -> None:
        """Either validated options, or their fields by name (for code-first tests).

        Raises:
            OptionsError: a field is unknown, missing or wrong.
        """
        self.options: OptionsT = options or self._options(values)
        self.context = ProbeContext()

    def _options(self, values: Mapping[str, Any]) -> OptionsT:
        try:
            return self.options_type()(**{"kind": self.kind, **values})
        except ValidationError as error:
            kind = self.options_type()
            wrong = [
                f"{field_name(entry['loc'])}: {explain(entry, field_names_at(kind, entry['loc'][:-1]))}"
                for entry in distinct_errors(error.errors(include_url=False))
            ]
            raise OptionsError(f"{type(self).__name__}: {'; '.join(wrong)}") from None

    def with_context(self, context: ProbeContext) -> Self:
        """The same probe in a context, with no more items than its profile and its limit allow."""
        probe = copy(self)
        quick = self.options.quick_items if context.profile == "quick" else None
        limits = [limit for limit in (quick, context.limit) if limit]
        probe.context = context
        probe.options = self.options.for_profile(context.profile)
        if limits:
            least = min(limits)
            probe.options = probe.options.limited(least)
            probe.context = replace(context, document=context.document.limited(least), limit=least)
        return probe

    @classmethod
    def options_type(cls) -> type[OptionsT]:
        """The options' class, read from ``class X(Probe[XOptions])``."""
        for base in getattr(cls, "__orig_bases__", ()):
            for argument in get_args(base):
                if isinstance(argument, type) and issubclass(argument, ProbeOptions):
                    return argument  # type: ignore[return-value]
        raise TypeError(
            f"its options class is missing: declare class {cls.__name__}(Probe[{cls.__name__}Options])"
        )

    @property
    def name(self) -> str:
        """The entry's name; the kind where it has none."""
        return self.options.name or self.kind

    @property
    def timeout(self) -> float | None:
        """Seconds that its measure may take; None: as long as it wants."""
        return self.context.timeout if self.options.timeout is None else self.options.timeout

    @property
    def needs_model(self) -> bool:
        """Whether a backend must be loaded for it."""
        return self.claim is not Claim.PRE_RUN

    @abstractmethod
    async def measure(self, views: Views) -> Measurement:
        """Ask, and compute. Awaits nothing but :func:`pytest_sway.requests.ask`."""

    async def measure_null(self, views: Views) -> Measurement:
        """What is measured on a null adapter: the same, unless less is compared.

        An effect's null is judged too, against the other nulls, so it needs all that :meth:`judge` reads.
        """
        return await self.measure(views)

    @abstractmethod
    def judge(self, measured: Measurement, nulls: NullSample | None) -> Judgement:
        """Verdict and score. Pure: the same numbers give the same verdict."""
