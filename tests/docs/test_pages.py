"""What README and documentation say can be followed: links, specs, commands, programs."""

from __future__ import annotations

import argparse
import ast
import importlib.util
import re
import shlex
from collections.abc import Iterator
from itertools import dropwhile
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_sway.cli.main import build_parser, main
from tests.docs.pages import PAGES, README, Block, anchors, blocks, commands, links
from tests.support.dlm_store import handbook
from tests.support.paths import QUICKSTART, ROOT

ELSEWHERE = ("docker", "vllm", "vllm-router", "export", "python3", "vllm/bin/pip", "vllm/bin/python")
"""Third-party programs, which other tests run (tests/backends/api/vllm, tests/doors)."""
SPECS = [block for block in blocks("yaml") if block.page.name not in ("extending.md", "gates-and-ci.md")]
"""Those two pages have tests of their own: tests/backends/custom, tests/doors."""
QUESTIONS = {"name": "learned", "kind": "section_internalization"}


def test_the_readme_is_short() -> None:
    assert len(README.read_bytes()) <= 10_000


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), target


def test_every_page_is_reached_from_the_readme() -> None:
    reached, left = set[Path](), [README]
    while left:
        page = left.pop()
        if page not in reached and page.suffix == ".md":
            reached.add(page)
            left += [
                (page.parent / one.partition("#")[0]).resolve() for one in links(page) if "://" not in one
            ]
    assert set(PAGES) <= reached


@pytest.mark.parametrize("block", SPECS, ids=lambda block: block.id)
def test_specs_are_accepted(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    value = yaml.safe_load(block.text)
    spec: dict[str, Any] = {"suite": value} if isinstance(value, list) else value
    spec.setdefault("models", {"base": {"base": "base"}, "ft": {"base": "base", "adapter": "adapter"}})
    default = QUESTIONS if "sections" in spec else {"name": "null", "kind": "null_adapter"}
    spec["suite"] = spec.get("suite") or [default]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base").symlink_to(QUICKSTART / "base")
    (tmp_path / "model-q4_k_m.gguf").write_bytes(b"GGUF")
    (tmp_path / "handbook.dlm").write_text(handbook())
    (tmp_path / "sway.yaml").write_text(yaml.safe_dump(spec))
    is_adapter = spec["models"]["ft"].get("adapter") is not None
    adapter = ["--adapter", str(QUICKSTART / "adapters" / "healthy")] if is_adapter else []
    assert main(["run", "sway.yaml", "--dry-run", *adapter]) == 0, capsys.readouterr().err


def _commands() -> Iterator[Any]:
    for block in blocks("sh", "", "console"):
        for number, command in enumerate(commands(block)):
            yield pytest.param(command, id=f"{block.id}-{number}")


@pytest.mark.parametrize("command", list(_commands()))
def test_commands_are_known(command: str) -> None:
    parts = list(dropwhile(lambda part: re.match(r"[A-Z_]+=", part), shlex.split(command)))
    if parts[0] in ELSEWHERE:
        return
    if parts[0] == "sway":
        _check_sway(parts[1:])
    elif parts[:3] == ["python", "-m", "pytest"] or parts[0] == "pytest":
        _check_pytest(parts[1 if parts[0] == "pytest" else 3 :])
    elif "pip" in parts[:3]:
        _check_extras(command)
    elif parts[:2] == ["python", "-m"]:
        assert importlib.util.find_spec(parts[2]) is not None
    elif parts[0] == "python":
        assert (ROOT / parts[1]).is_file()
    else:
        raise AssertionError(f"nothing checks {command}")


def _check_sway(arguments: list[str]) -> None:
    try:
        build_parser().parse_args(arguments)
    except (SystemExit, argparse.ArgumentError) as error:
        raise AssertionError(f"sway {' '.join(arguments)}") from error


def _check_pytest(arguments: list[str]) -> None:
    known = set(re.findall(r'"(--sway-[\w-]+)"', (ROOT / "src/pytest_sway/options.py").read_text("utf-8")))
    assert {one.partition("=")[0] for one in arguments if one.startswith("--sway-")} <= known


def _check_extras(command: str) -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    for extras in re.findall(r"\[([\w,]+)\]", command):
        for extra in extras.split(","):
            assert re.search(rf"^{extra} = \[", text, re.MULTILINE), extra


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: block.id)
def test_programs_import_what_there_is(block: Block) -> None:
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and node.module == "pytest_sway":
            module = importlib.import_module(node.module)
            assert all(hasattr(module, one.name) for one in node.names)
