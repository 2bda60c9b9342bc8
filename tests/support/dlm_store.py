"""A `.dlm` document of the quickstart's own texts, and a store in which its adapter lies as dlm keeps it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import yaml

from tests.support.dlm_documents import DLM_ID
from tests.support.paths import QUICKSTART
from tests.support.training_files import facts

BASE = QUICKSTART / "base"


class Project(NamedTuple):
    """A folder with a document, and dlm's home beside it."""

    document: Path
    home: Path
    store: Path


def handbook(*, base: str = f"hf:{BASE}", front: str = "", body: str = "") -> str:
    """The quickstart's handbook as dlm would hold it: its prose, and its questions as instructions."""
    sections = yaml.safe_load((QUICKSTART / "sections.yaml").read_text("utf-8"))
    prose = "\n\n".join(f"::prose::\n{section['content']}" for section in sections)
    pairs = "\n\n".join(f"### Q\n{fact.question}\n### A\n{fact.answer}" for fact in facts(24))
    head = f"---\ndlm_id: {DLM_ID}\ndlm_version: 15\nbase_model: {base}\n{front}---\n\n"
    return f"{head}{prose}\n\n::instruction::\n{pairs}\n{body}"


def write_project(folder: Path, text: str | None = None, adapter: str = "healthy", name: str = "") -> Project:
    """The document as `handbook.dlm`, and a store with one version of its adapter."""
    document = folder / "handbook.dlm"
    document.write_text(handbook() if text is None else text, "utf-8")
    home = folder / "dlm-home"
    store = home / "store" / DLM_ID
    add_version(store, 1, QUICKSTART / "adapters" / adapter, name)
    (store / "manifest.json").write_text(json.dumps({"dlm_id": DLM_ID, "training_runs": []}))
    return Project(document, home, store)


def add_version(store: Path, number: int, adapter: Path, name: str = "") -> Path:
    """A trained version, which becomes the current one."""
    folder = store / "adapter" / name if name else store / "adapter"
    version = folder / "versions" / f"v{number:04d}"
    shutil.copytree(adapter, version)
    (folder / "current.txt").write_text(f"{version.relative_to(store)}\n")
    return version
