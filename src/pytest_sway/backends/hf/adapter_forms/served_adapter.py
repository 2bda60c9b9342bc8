"""The interface of an adapter that is attached to a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from pytest_sway.backends.base import Form
from pytest_sway.requests import View


class ServedAdapter(Protocol):
    """A subject's update on a model in memory: factors beside its weights, or tensors in their place."""

    digest: str
    """Of the update's files: the name that its views carry."""
    form: Form
    """What the update is made of."""

    @property
    def inert(self) -> bool:
        """Whether the update is zero everywhere."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the report should know of the update."""

    @property
    def fault(self) -> str:
        """What is broken in its numbers (NaN, infinity); empty where nothing is."""

    @property
    def changed_paths(self) -> Iterable[str]:
        """Paths in the model of the modules or tensors that the update changes."""

    @property
    def views_per_batch(self) -> int:
        """How many views the rows of one batch may belong to."""

    def enter(self, view: View) -> None:
        """Put a view's weights in force, whatever was in force before.

        Raises:
            RequestError: the view is of another adapter.
        """

    def enter_rows(self, views: Sequence[View]) -> None:
        """Put the weights of several views in force, each for its own rows of the batches to come.

        Args:
            views: one per row; at most ``views_per_batch`` distinct ones, the rows of each together.

        Raises:
            RequestError: a view is of another adapter, or the rows of a batch cannot have views of their own.
        """

    def unload(self) -> None:
        """Leave the model as it was before the update was attached."""
