"""A run of pytest on a spec whose every text is hostile: what is printed, and every file."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest
import yaml

from tests.hostile.test_texts import _Tags, markdown_faults
from tests.hostile.texts import TEXTS, terminal_faults

SOME = (
    "script",
    "link",
    "command",
    "command on a line",
    "old command",
    "title",
    "direction",
    "entity",
    "cells",
)


def _spec(text: str) -> str:
    entries = [
        {"name": f"{text}", "kind": "delta_kl", "prompts": [text, f"{text} again"]},
        {
            "name": f"second {text}",
            "kind": "delta_kl",
            "prompts": [f"{text}\nand more"],
            "assert_mean_gte": 1e6,
        },
    ]
    models = {
        "base": {"kind": "dummy", "base": "fakellm"},
        "ft": {"kind": "dummy", "base": "fakellm", "adapter": "a"},
    }
    return yaml.safe_dump({"version": 1, "models": models, "suite": entries}, allow_unicode=True)


@pytest.mark.parametrize(
    "name", [one if one in SOME[:2] else pytest.param(one, marks=pytest.mark.nightly) for one in TEXTS]
)
def test_what_a_run_writes(project: pytest.Pytester, name: str) -> None:
    text = TEXTS[name][:2000]
    try:
        written = _spec(text).encode("utf-8")
    except UnicodeEncodeError:
        pytest.skip("no file of YAML holds it")
    (project.path / "hostile.yaml").write_bytes(written)
    options = [
        "--sway-json=out.json",
        "--sway-md=out.md",
        "--sway-html=out.html",
        "--junitxml=out.xml",
        "-v",
        "-rA",
    ]
    before = {path.name for path in project.path.iterdir()}
    found = project.runpytest_inprocess("hostile.yaml", *options)
    said = "\n".join([*found.outlines, *found.errlines])
    assert "INTERNALERROR" not in said
    assert "Traceback" not in said
    lines = [
        line for line in said.splitlines() if not line.startswith("hostile.yaml::")
    ]  # pytest's own names
    assert terminal_faults("\n".join(lines)) == []
    if (project.path / "out.json").exists():
        assert len(json.loads((project.path / "out.json").read_text("utf-8"))["probes"]) == 2
        assert markdown_faults((project.path / "out.md").read_text("utf-8")) == []
        assert (
            _Tags(
                (project.path / "out.html").read_text("utf-8").split('<script type="application/json"')[0]
            ).faults
            == []
        )
        assert ET.parse(project.path / "out.xml").getroot().tag == "testsuites"
    else:
        assert found.ret != 0
        assert "hostile.yaml" in said
    added = {path.name for path in project.path.iterdir()} - before
    assert added <= {"out.json", "out.md", "out.html", "out.xml", ".pytest_cache", "__pycache__"}
