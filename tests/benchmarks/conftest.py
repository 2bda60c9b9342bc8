"""The benchmarks are scripts that import each other from their own folders."""

from __future__ import annotations

import sys

from tests.support.paths import ROOT

sys.path += [str(ROOT / "benchmarks"), str(ROOT / "benchmarks" / "calibration")]
