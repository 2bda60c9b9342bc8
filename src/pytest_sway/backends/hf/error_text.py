"""Errors of other libraries, and of missing ones, as one line."""

from __future__ import annotations


def first_line(error: BaseException) -> str:
    """The first line of an error, or its type where it has no text."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def error_line(error: BaseException) -> str:
    """The type and the first line of an error."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"


def missing_package(what: str, error: ImportError, extra: str) -> str:
    """What needs the package that could not be imported, and how to install it.

    Args:
        what: the beginning of the sentence, e.g. ``kind: hf``.
        error: names the package.
        extra: of pytest-sway, that brings it; several with commas.
    """
    return f"{what} needs {error.name}; install it with: pip install 'pytest-sway[{extra}]'"
