"""The kind of a probe that docs/extending.md shows works from a conftest."""

from __future__ import annotations

import pytest

from tests.docs.pages import ROOT, blocks

EXAMPLE = next(block.text for block in blocks("python") if "FallsSilent" in block.text)
SPEC = """\
models:
  base: {kind: hf, base: %(base)s}
  ft: {kind: hf, base: %(base)s, adapter: %(adapter)s}
suite:
  - {name: silent, kind: falls_silent, prompts: ["Who founded the works?", The furnace is called the]}
"""


def test_the_kind_is_measured(pytester: pytest.Pytester) -> None:
    quickstart = ROOT / "examples" / "quickstart"
    pytester.makeconftest(EXAMPLE)
    names = {"base": quickstart / "base", "adapter": quickstart / "adapters" / "healthy"}
    (pytester.path / "sway.yaml").write_text(SPEC % names)
    pytester.runpytest("sway.yaml").assert_outcomes(passed=1)
