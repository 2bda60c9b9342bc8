"""What every engine does alike where changed weights are rounded: else the same null would differ."""

from __future__ import annotations

import numpy as np

MAX_ROUNDS, SIZE_TOLERANCE = 8, 0.02
"""How often, and until how close, a null is scaled to the size that it must have after rounding."""
MERGE_ROUNDING = 4 * float(np.finfo(np.float32).eps)
"""Relative change below which a merge in fp32 cannot be distinguished from its own rounding."""
