"""Asks dlm-sway's own validator about specs: JSON strings in, one a line; ``true`` or ``false`` out.

Run by the interpreter of an environment that has dlm-sway 0.1.0.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from dlm_sway.core.errors import SwayError
from dlm_sway.probes.base import validate_all_probes
from dlm_sway.suite.loader import load_spec


def accepts(path: Path) -> bool:
    """Whether the spec loads and every entry of its suite is valid."""
    try:
        validate_all_probes(load_spec(path).suite)
    except SwayError:
        return False
    return True


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sway.yaml"
        for line in sys.stdin:
            path.write_text(json.loads(line), encoding="utf-8")
            sys.stdout.write(f"{json.dumps(accepts(path))}\n")


if __name__ == "__main__":
    main()
