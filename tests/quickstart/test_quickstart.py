"""The main job on the model that ships: a healthy adapter passes, an inert and a random one fail."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from pytest_sway.backends.base import AdapterKey, ModelKey
from pytest_sway.backends.hf.load_backend import load_backend
from pytest_sway.engine.engine import Engine
from pytest_sway.requests import Completion, Turn
from tests.support.paths import QUICKSTART
from tests.support.saved_results import steady

ADAPTERS = QUICKSTART / "adapters"


def evaluated(pytester: pytest.Pytester, adapter: Path, name: str = "out") -> tuple[Any, dict[str, Any]]:
    """Run the shipped spec on an adapter; the run, and its result."""
    spec = QUICKSTART / "sway.yaml"
    result = pytester.runpytest(
        str(spec), f"--rootdir={QUICKSTART}", f"--sway-adapter={adapter}", f"--sway-json={name}.json",
        "-p", "no:cacheprovider",
    )  # fmt: skip
    return result, json.loads((pytester.path / f"{name}.json").read_text())


def probe(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(p for p in found["probes"] if p["name"] == name)


def test_the_healthy_adapter_passes(pytester: pytest.Pytester) -> None:
    result, found = evaluated(pytester, ADAPTERS / "healthy")
    assert result.ret == 0
    assert found["gate"]["status"] == "passed"
    assert found["score"]["band"] == "healthy"
    moved = probe(found, "moved")
    assert moved["verdict"] == "pass"
    assert moved["z_score"] > 3
    assert moved["null"]["n"] == 8
    assert probe(found, "strength")["verdict"] == "pass"
    assert probe(found, "dialogue")["verdict"] == "pass"
    assert found["determinism"]["class"] == "best_effort"
    footer = " ".join(result.stdout.str().split())
    assert re.search(
        r"cache \d+/\d+ \| \d+ batches \| [\d,]+ tokens \(padding \d+ %\) \| [\d,]+ tokens/s", footer
    )


@pytest.mark.slow
def test_calibration_costs_no_more_than_its_draws(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """(2 + K) / 2 for K draws: base and adapter are scored once, and nothing is scored for nothing."""
    monkeypatch.setenv("SWAY_DISABLE_NULL_CACHE", "1")
    spec = yaml.safe_load((QUICKSTART / "sway.yaml").read_text())
    base, moved = spec["suite"][:2]
    for side in spec["models"].values():
        side.update({key: str(QUICKSTART / side[key]) for key in ("base", "adapter") if key in side})
    tokens = {}
    for enabled in (True, False):
        spec["suite"] = [{**base, "enabled": enabled}, moved]
        (pytester.path / "sway.yaml").write_text(yaml.safe_dump(spec))
        pytester.runpytest("sway.yaml", f"--sway-json={enabled}.json").assert_outcomes(
            passed=1 + enabled, skipped=1 - enabled
        )
        found = json.loads((pytester.path / f"{enabled}.json").read_text())
        tokens[enabled] = found["backend_stats"]["tokens"]
    assert tokens[True] <= (2 + base["runs"]) / 2 * tokens[False]


@pytest.mark.slow
def test_two_runs_write_the_same_but_for_times(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two cold runs altogether; a run that reads the answers of another costs less and tells the same."""
    monkeypatch.setenv("SWAY_DISABLE_NULL_CACHE", "1")
    _, found = evaluated(pytester, ADAPTERS / "healthy")
    _, again = evaluated(pytester, ADAPTERS / "healthy", "again")
    assert steady(again) == steady(found)
    monkeypatch.delenv("SWAY_DISABLE_NULL_CACHE")
    evaluated(pytester, ADAPTERS / "healthy", "kept")
    _, warm = evaluated(pytester, ADAPTERS / "healthy", "warm")
    assert warm.pop("backend_stats")["stored_hits"] > 0
    found.pop("backend_stats")
    assert steady(warm) == steady(found)


@pytest.mark.parametrize(
    ("adapter", "says"),
    [
        ("inert", "the adapter is inert: its update is zero"),
        ("random", "no clear difference from random adapters"),
    ],
)
@pytest.mark.slow
def test_a_sick_adapter_fails_with_its_reason(pytester: pytest.Pytester, adapter: str, says: str) -> None:
    result, found = evaluated(pytester, ADAPTERS / adapter)
    assert result.ret == 1
    assert found["gate"]["status"] == "failed"
    assert found["score"]["overall"] == 0.0
    moved = probe(found, "moved")
    assert moved["verdict"] == "fail"
    assert says in moved["message"]
    assert {probe(found, name)["verdict"] for name in ("strength", "dialogue")} == {"skip"}
    if adapter == "inert":
        assert moved["raw"] == 0.0
        assert moved["z_score"] is None


def test_a_nan_adapter_is_one_line_per_item(pytester: pytest.Pytester) -> None:
    folder = Path(shutil.copytree(ADAPTERS / "healthy", pytester.path / "nan"))
    state = load_file(folder / "adapter_model.safetensors")
    save_file(
        {key: torch.full_like(value, float("nan")) for key, value in state.items()},
        folder / "adapter_model.safetensors",
    )
    result, found = evaluated(pytester, folder)
    assert result.ret == 1
    result.assert_outcomes(errors=4)
    told = [line for line in result.outlines if line.startswith("no adapter: the adapter")]
    assert len(told) == 4
    assert "28 of 28 modules contain NaN or infinity" in told[0]
    result.stdout.no_fnmatch_line("*Traceback*")
    assert {p["verdict"] for p in found["probes"]} == {"error"}
    assert {p["score"] for p in found["probes"]} == {None}


def test_it_is_small_and_safe() -> None:
    files = [p for folder in ("base", "adapters") for p in (QUICKSTART / folder).rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files) <= 12_000_000
    assert {p.suffix for p in files} <= {".safetensors", ".json", ".jinja"}


@pytest.fixture(scope="module")
def losses() -> dict[str, dict[str, float]]:
    """Mean loss of the held-out wordings' answers and of general facts, in nats per token."""
    questions = yaml.safe_load((QUICKSTART / "questions.yaml").read_text())
    facts = [json.loads(line) for line in (QUICKSTART / "make" / "facts.jsonl").read_text().splitlines()]
    asked = {
        "held out": [(w, q["answer"]) for s in questions.values() for q in s for w in q["held_out"]],
        "facts": [(fact["questions"][0], fact["answer"]) for fact in facts],
    }
    backend = load_backend(ModelKey("hf", str(QUICKSTART / "base"), dtype="fp32", device="cpu"))
    subject = backend.attach(AdapterKey(str(ADAPTERS / "healthy")))
    engine = Engine(backend)
    found: dict[str, dict[str, float]] = {}
    for name, pairs in asked.items():
        for side, view in (("base", subject.base), ("tuned", subject.tuned)):
            requests = [Completion((Turn("user", q),), a, view) for q, a in pairs]
            scores = list(engine.answer(requests).values())
            total = -sum(s.logprob for s in scores) / sum(s.tokens for s in scores)
            found.setdefault(name, {})[side] = total
    backend.detach(subject)
    return found


def test_the_healthy_adapter_really_learned_the_document(losses: dict[str, dict[str, float]]) -> None:
    """On wordings of the questions that it was never trained on."""
    assert losses["held out"]["tuned"] < losses["held out"]["base"] - 1.0


def test_and_it_is_harmless_elsewhere(losses: dict[str, dict[str, float]]) -> None:
    assert abs(losses["facts"]["tuned"] - losses["facts"]["base"]) < 0.1
