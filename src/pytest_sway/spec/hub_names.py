"""Names on the Hugging Face hub, as a spec writes them. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_sway.spec.path_lookup import is_folder

_NAME = re.compile(r"(?P<repository>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>\w[\w-]*([./][\w-]+)*))?")


@dataclass(frozen=True)
class HubName:
    """A repository, and the revision that is pinned: ``org/name`` or ``org/name@revision``."""

    repository: str
    revision: str | None = None

    @classmethod
    def of(cls, text: str) -> HubName | None:
        """Parse a name; None where ``text`` cannot be one."""
        match = _NAME.fullmatch(text)
        return cls(match["repository"], match["revision"]) if match else None


def is_hub_name(text: str, roots: Sequence[Path]) -> bool:
    """Whether ``text`` can only mean a repository on the hub.

    ``adapters/v2`` is a path where there is a folder ``adapters``, whether it holds ``v2`` or not.
    """
    if HubName.of(text) is None:
        return False
    first = text.split("/")[0]
    return not any(is_folder(root / first) for root in roots)
