"""``python -m pytest_sway``: the command ``sway``."""

from __future__ import annotations

import sys

from pytest_sway.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
