"""What is wrong with a ``.dlm`` file, or with the store of its adapters."""

from __future__ import annotations

from pytest_sway.user_error import UserError


class DlmError(UserError):
    """A document cannot be read or resolved.

    Attributes:
        message: what was found, and what to do.
        line: in the file, from 1; 0 where no line is at fault.
    """

    def __init__(self, message: str, line: int = 0) -> None:
        self.message = message
        self.line = line
        super().__init__(f"line {line}: {message}" if line else message)
