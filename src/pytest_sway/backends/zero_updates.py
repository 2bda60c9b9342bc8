"""What the report says of an adapter's modules that hold no update."""

from __future__ import annotations

from collections.abc import Sequence


def zero_update_notes(zero: Sequence[str], modules: int, update: str = "B·A is zero") -> tuple[str, ...]:
    """Which of an adapter's ``modules`` hold no update; where none holds any, ``update`` says why."""
    if len(zero) == modules:
        return (f"the adapter is inert: the update {update} in all {modules} modules",)
    return (f"{len(zero)} of {modules} modules have no update (first: {zero[0]})",) if zero else ()
