"""Errors on files of a training."""


class TrainingDataError(Exception):
    """What training wrote cannot be read; the message says which file, and why."""


class AmbiguousRunError(Exception):
    """The files are of several runs, and which made the adapter cannot be found out; the message says why."""


class TooFewStepsError(Exception):
    """No run logged enough steps; the message says how many it did."""
