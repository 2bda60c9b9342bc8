"""What the other modules raise."""


class SwayError(Exception):
    """A document or a model cannot be used; the message says which, and what to do."""
