"""Under which names a server knows the views of one subject."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pytest_sway.backends.api.client import CompletionsClient
from pytest_sway.backends.api.handshake import ServerFacts
from pytest_sway.backends.api.truth_checks import (
    SAME_NATS,
    TrialText,
    check_greedy,
    crowded_noise,
    score,
)
from pytest_sway.backends.base import AdapterKey, BackendError, Subject
from pytest_sway.requests import View


@dataclass(frozen=True)
class ServedModelName:
    """A name, and the server that knows it."""

    client: CompletionsClient
    model: str


@dataclass(frozen=True)
class ServedBase:
    """The base model on its server.

    Attributes:
        name: under which it is asked where no adapter is loaded.
        facts: what the server can do.
        trial: a text whose scores are compared.
    """

    name: ServedModelName
    facts: ServerFacts
    trial: TrialText


class ServedSubject(ABC):
    """A subject that is being served."""

    subject: Subject
    noise: float = 0.0
    """Nats by which a token's log-probability moves beside other requests."""
    repeats: bool = True
    """Whether one request was answered twice with the same digits."""
    can_make_nulls: bool = False

    @abstractmethod
    def name(self, view: View) -> ServedModelName:
        """Which model a view is."""

    @abstractmethod
    def prepare(self, views: Sequence[View]) -> None:
        """Have the server know what a round will name, and be the one that it was.

        Raises:
            BackendError: it cannot, or is not.
        """

    def add_null(self, adapter: AdapterKey) -> str:
        """Read a user's own null adapter."""
        raise BackendError(
            f"{adapter} cannot be used as a null adapter: the spec compares two served models, and no "
            "adapter can be added to them"
        )

    def close(self) -> None:  # noqa: B027 - names need nothing
        """Have the server forget what was loaded for it."""


class UnchangedModel:
    """A model that must answer, each time that it is looked at, what it answered at first.

    Args:
        served: the model.
        trial: the text that it is asked.
        label: the model, as the subject of a sentence.
    """

    def __init__(self, served: ServedModelName, trial: TrialText, label: str) -> None:
        self._served, self._trial, self._label = served, trial, label
        self.expected = score(served.client, served.model, trial)

    def check(self) -> None:
        """Raise BackendError where it answers otherwise."""
        moved = self.distance()
        if moved > SAME_NATS:
            raise BackendError(
                f"the log-probabilities of {self._label} changed by {moved:.3g} nats since the start of this "
                "run. "
                "Either the server was restarted with other weights or settings, or it mixes up concurrent "
                "requests"
            )

    def distance(self) -> float:
        """Largest distance of a token's log-probability from what it was at first, in nats."""
        return float(
            np.abs(score(self._served.client, self._served.model, self._trial) - self.expected).max()
        )


class NamedModels(ServedSubject):
    """A base and a fine-tune that servers know by name: two models, or a model and an adapter of its own.

    Args:
        base: the base.
        tuned: the fine-tune, on the same server or on another one.
        subject: with the views of both.
        others: further adapters on the base's server, with which a batch may be shared.
    """

    def __init__(
        self, base: ServedBase, tuned: ServedModelName, subject: Subject, others: Sequence[str]
    ) -> None:
        self.subject = subject
        self._base, self._tuned = base.name, tuned
        trial = base.trial
        self._unchanged = (
            UnchangedModel(base.name, trial, f"the base model {base.name.model}"),
            UnchangedModel(tuned, trial, f"the fine-tuned model {tuned.model}"),
        )
        self.repeats = all(one.distance() == 0.0 for one in self._unchanged)
        if base.facts.top:
            check_greedy(base.name.client, base.name.model, trial, f"the base model {base.name.model}")
            check_greedy(tuned.client, tuned.model, trial, f"the fine-tuned model {tuned.model}")
        expected = {base.name.model: self._unchanged[0].expected}
        if tuned.client is base.name.client:
            expected[tuned.model] = self._unchanged[1].expected
            expected |= {name: score(tuned.client, name, trial) for name in others}
        else:
            self.noise = crowded_noise(tuned.client, {tuned.model: self._unchanged[1].expected}, trial)
        self.noise = max(self.noise, crowded_noise(base.name.client, expected, trial))

    @property
    def are_alike(self) -> bool:
        """Whether both gave the same numbers for the trial text."""
        first, second = self._unchanged
        return bool(np.array_equal(first.expected, second.expected))

    def name(self, view: View) -> ServedModelName:
        return self._base if view.is_base else self._tuned

    def prepare(self, views: Sequence[View]) -> None:
        """Both models must be those of the start."""
        if any(view.null is not None or view.scale != 1.0 for view in views):
            raise BackendError(
                "random (null) adapters and adapter strengths other than 1 are not supported when a spec "
                "compares two served models"
            )
        for one in self._unchanged:
            one.check()
