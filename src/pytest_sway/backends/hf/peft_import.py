"""Imports PEFT without the warnings of bitsandbytes, which PEFT imports where it is installed."""

from __future__ import annotations

import logging
import warnings

_LOGGER = "bitsandbytes.backends.cpu.ops"
"""It recommends a package for a kernel that is not used here; see ``base_model/quantization.py``."""


def import_peft() -> None:
    """Import PEFT; nothing happens where it is imported already.

    Raises:
        ImportError: it is not installed.
    """
    logger = logging.getLogger(_LOGGER)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of torch, about itself
            import peft  # noqa: F401
    finally:
        logger.setLevel(level)
