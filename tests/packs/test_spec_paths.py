"""Paths of a spec: found, and replaced in its text without touching anything else."""

from __future__ import annotations

import pytest
import yaml

from pytest_sway.packs.errors import PackError
from pytest_sway.packs.spec_paths import SpecPath, check_inside, spec_paths, with_replaced

SPEC = """\
# A comment
x-base: &base ../models/base   # an anchor
models:
  base: {base: *base}
  ft: {base: &other "../models/base", adapter: [run/adapter]}
defaults:
  chat_template: 'chat.jinja'
sections: sections.yaml  # a file
suite:
  - {name: a, kind: gradient_ghost, adapter_path: run}
  - {name: b, kind: cluster_kl, embedding_model: org/name, prompts: [x]}
"""


def test_every_path_is_found() -> None:
    found = [(".".join(map(str, one.field)), one.role) for one in spec_paths(yaml.safe_load(SPEC))]
    assert found == [
        ("models.base.base", "base"),
        ("models.ft.base", "base"),
        ("models.ft.adapter.0", "adapter"),
        ("defaults.chat_template", "file"),
        ("sections", "file"),
        ("suite.0.adapter_path", "other"),
    ]


def test_the_rest_of_the_text_stays() -> None:
    replaced = {path.field: f"./{path.role}" for path in spec_paths(yaml.safe_load(SPEC))}
    text = with_replaced(SPEC, replaced)
    assert {one.written for one in spec_paths(yaml.safe_load(text))} == {
        "./base",
        "./adapter",
        "./file",
        "./other",
    }
    assert "# A comment" in text
    assert '&base "./base"   # an anchor' in text
    assert '&other "./base"' in text
    assert 'sections: "./file"  # a file' in text


@pytest.mark.parametrize("written", ["/etc/x", "../x", "a/../x", "~/x", "C:\\x", "a\\b", "${HOME}", "a*", ""])
def test_what_leads_out(written: str) -> None:
    path = SpecPath(("sections",), written or "/", "file")
    with pytest.raises(PackError, match=r"sections refers to .* not in the pack"):
        check_inside(path)


def test_what_stays_inside() -> None:
    check_inside(SpecPath(("sections",), "files/sections.yaml", "file"))
