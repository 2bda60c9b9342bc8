"""Did this adapter learn what it was meant to, or is it noise, memorisation, damage?

`pytest -m sway` asks a ``sway.yaml``; this package holds the plugin, the probes and what they share.
"""

from typing import TYPE_CHECKING, Any

from pytest_sway.version import __version__

if TYPE_CHECKING:
    from pytest_sway.trainers.callback import SwayCallback

__all__ = ["SwayCallback", "__version__"]


def __getattr__(name: str) -> Any:
    """What needs transformers is imported when it is asked for (PEP 562)."""
    if name == "SwayCallback":
        from pytest_sway.trainers.callback import SwayCallback

        return SwayCallback
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
