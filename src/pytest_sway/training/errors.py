"""Errors on files of a training."""

from pytest_sway.user_error import UserError


class TrainingDataError(UserError):
    """What training wrote cannot be read; the message says which file, and why."""


class AmbiguousRunError(UserError):
    """The files are of several runs, and which made the adapter cannot be found out; the message says why."""


class TooFewStepsError(UserError):
    """No run logged enough steps; the message says how many it did."""
