"""Makes the ward: small LoRA adapters whose condition is known. ``python -m ward.make`` in ``tests``."""

import sys
from pathlib import Path

WARD = Path(__file__).resolve().parents[1]
QUICKSTART = WARD.parents[1] / "examples" / "quickstart"
sys.path.insert(0, str(QUICKSTART))  # the quickstart's recipe is imported from there as `make`


def say(text: str) -> None:
    """Print a line at once: these scripts' logs are watched."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
