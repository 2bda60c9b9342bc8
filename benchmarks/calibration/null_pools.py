"""The only module here that touches the product's model side: measures subjects and pools of null adapters.

A pool is a JSON file: what each probe measured on each null adapter of one subject, family and size. It is
written whole after every chunk (a temporary file, then a rename), so that a run cut short goes on from
there; a file of another subject, other probes or other options is begun anew.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_sway.backends.base import AdapterKey, Subject
from pytest_sway.backends.hf.load_backend import load_backend
from pytest_sway.backends.null_population import NullPlan, null_population
from pytest_sway.engine.drive import drive
from pytest_sway.engine.engine import Engine
from pytest_sway.items.suite import load_suite
from pytest_sway.probes.base import Judgement, NullSample, Probe
from pytest_sway.probes.delta_kl import DeltaKL
from pytest_sway.requests import View, Views
from pytest_sway.result import Measurement
from pytest_sway.statistics.prediction import Scale

ROOT = Path(__file__).resolve().parents[2]
QUICKSTART = ROOT / "examples" / "quickstart"
SPEC = QUICKSTART / "sway.yaml"
BATTERY = QUICKSTART / "battery.sway.yaml"
ADAPTERS = QUICKSTART / "adapters"
HEALTHY = ADAPTERS / "healthy"

CHUNK = 50
SEED_BASE = 1000
INIT_SCALE = 0.02
GENTLE = 0.25

STATISTICS = {
    "delta_kl": ("moved", "raw"),
    "delta_kl, divergence: kl": ("moved_kl", "raw"),
    "delta_kl, positions: 1": ("moved_1", "raw"),
    "adapter_ablation, signal": ("strength", "signal"),
    "multi_turn, signal": ("dialogue", "signal"),
    "multi_turn, last": ("dialogue", "last"),
}
"""Every calibrated statistic: its probe's name here, its name there."""
SUITE = ("moved", "strength", "dialogue")
EFFECT = ("moved",)


@dataclass(frozen=True)
class Recipe:
    """Which null adapters: of which family, how large beside the subject, how many."""

    family: str = "norm_matched"
    size: float = 1.0
    count: int = 1000
    seed_base: int = SEED_BASE


Draw = Mapping[str, Measurement]
"""What one adapter measured, by probe."""


class Lab:
    """The quickstart's base model in memory, its own probes, variants of delta_kl, and preference_flip."""

    def __init__(self) -> None:
        suite = load_suite(SPEC)
        self.probes: dict[str, Probe[Any]] = {e.probe.name: e.probe for e in suite.entries}
        prompts = self.probes["moved"].options.prompts
        self.probes["moved_kl"] = DeltaKL(prompts=prompts, divergence="kl")
        battery = load_suite(BATTERY)
        self.probes["lift"] = next(e.probe for e in battery.entries if e.probe.kind == "preference_flip")
        self.probes["moved_1"] = DeltaKL(prompts=prompts, positions=1)
        self.backend = load_backend(suite.model)

    @contextmanager
    def subject(self, folder: Path) -> Iterator[Subject]:
        """An adapter, attached, with its nulls served."""
        attached = self.backend.attach(AdapterKey(str(folder)))
        try:
            yield attached
        finally:
            self.backend.detach(attached)

    def engine(self) -> Engine:
        """An engine without a store: nothing is remembered from one to the next."""
        return Engine(self.backend)  # type: ignore[arg-type]

    def null_views(self, subject: Subject, recipe: Recipe) -> tuple[View, ...]:
        """The views of a recipe, in the order of their draws."""
        plan = NullPlan(recipe.family, recipe.count, recipe.seed_base, INIT_SCALE)
        return tuple(view.scaled(recipe.size) for view in null_population(subject, plan).views)

    def measured(self, engine: Engine, subject: Subject, names: Sequence[str]) -> Draw:
        """The subject itself, by each probe."""
        views = Views(subject.base, subject.tuned, subject.tuned)
        probes = [self.probes[name] for name in names]
        return _driven(engine, [[probe.measure(views) for probe in probes]], names)[0]

    def null_draws(
        self, engine: Engine, subject: Subject, names: Sequence[str], nulls: Sequence[View]
    ) -> list[Draw]:
        """Null adapters in the subject's place, by each probe."""
        probes = [self.probes[name] for name in names]
        measures = [
            [p.measure_null(Views(subject.base, null, subject.tuned)) for p in probes] for null in nulls
        ]
        return _driven(engine, measures, names)

    def pool(self, file: Path, folder: Path, recipe: Recipe, names: Sequence[str]) -> list[Draw]:
        """A recipe's draws: read from ``file`` as far as they are there, measured from there on."""
        with self.subject(folder) as subject:
            views = self.null_views(subject, recipe)
            known = _header(subject, recipe, {name: self.probes[name] for name in names})
            draws = _read(file, known)
            engine = self.engine()
            while len(draws) < len(views):
                began = time.perf_counter()
                chunk = views[len(draws) : len(draws) + CHUNK]
                draws += self.null_draws(engine, subject, names, chunk)
                _write(file, known, draws)
                spent = (time.perf_counter() - began) / len(chunk)
                say(f"{file.stem}: {len(draws)} of {len(views)} null adapters, {spent:.2f} s each")
        return draws[: recipe.count]

    def scale(self, name: str) -> Scale:
        """The scale that the probe declares for its statistic."""
        return self.probes[name].scale or "raw"

    def judge(self, name: str, measured: Measurement, draws: Sequence[Measurement]) -> Judgement:
        """The probe's own verdict on a measurement, with these nulls.

        The arithmetic's resolution (1e-13 nats here) is left out: every null of every pool is far above it.
        """
        probe = self.probes[name]
        return probe.judge(measured, NullSample(tuple(draws), "pool", self.scale(name)))


def say(text: str) -> None:
    """One line on standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _driven(engine: Engine, measures: Sequence[Sequence[Any]], names: Sequence[str]) -> list[Draw]:
    """All of them in the same rounds, so that probes that ask the same are answered once."""
    outcomes = drive([measure for row in measures for measure in row], engine.answer)
    found: list[Measurement] = []
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
        found.append(outcome)
    width = len(names)
    return [dict(zip(names, found[i : i + width], strict=True)) for i in range(0, len(found), width)]


def _header(subject: Subject, recipe: Recipe, probes: Mapping[str, Probe[Any]]) -> dict[str, Any]:
    options = {name: probe.options.model_dump(mode="json") for name, probe in probes.items()}
    return {
        "base": subject.base.base,
        "adapter": subject.tuned.adapter,
        "family": recipe.family,
        "size": recipe.size,
        "seed_base": recipe.seed_base,
        "probes": json.loads(json.dumps(options)),
    }


def _read(file: Path, known: Mapping[str, Any]) -> list[Draw]:
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    if held["pool"] != known:
        say(f"{file.name} is of another subject or other probes: begun anew")
        return []
    return [{name: Measurement(**values) for name, values in row.items()} for row in held["draws"]]


def _write(file: Path, known: Mapping[str, Any], draws: Sequence[Draw]) -> None:
    rows = [
        {
            name: {"raw": m.raw, "samples": m.samples, "statistics": dict(m.statistics)}
            for name, m in row.items()
        }
        for row in draws
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps({"pool": known, "draws": rows}), encoding="utf-8")
    part.rename(file)
