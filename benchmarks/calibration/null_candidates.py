"""Which null does a short or a wrong training not beat? Candidates, measured on the quickstart's model.

``python benchmarks/calibration/null_candidates.py [--draws 8] [--steps 5] [--only NAME …] [--out FILE.json]``
prints Markdown tables; some ten minutes on one core. Every draw is made for the adapter under test:

``norm``             Gaussian factors, each module's product as large as the adapter's (today's default)
``signs``            random signs of the adapter's singular components
``activations``      Gaussian factors; what the module adds on general prose is as large as the adapter's
``moved``            the adapter's update of another layer's module of the same kind, each kind shifted by its
                     own random number of layers, scaled to the adapter's norm here
``trained_tokens``   a fresh LoRA after a few steps on the document with its tokens shuffled, so scaled
``trained_answers``  a fresh LoRA after a few steps on the questions with each other's answers, so scaled

T1 is delta_kl on the document's stems, T2 the document's relative loss reduction less the controls'.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[2]))
sys.path.append(str(Path(__file__).resolve().parents[2] / "examples" / "quickstart"))

import numpy as np
import torch
import yaml
from make.common import IGNORE, QUICKSTART, assistant, load_tokenizer, set_up, user
from make.handbook import TokenRow, chat_row, lessons, probes, questions, sections, text_row
from make.metrics import POSITIONS, greedy, jensen_shannon, padded, row_loss, scaled
from make.train_adapters import fresh
from markdown_cells import table
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file

from pytest_sway.backends.hf.lora_factors import Factors, product_norm
from pytest_sway.backends.hf.null_weights import draw_null_weights
from pytest_sway.data.packaged_texts import passages
from pytest_sway.requests import NullSeed
from pytest_sway.statistics.prediction import Scale, display_z, predict
from tests.known_adapters.make.document_adapters import anchored
from tests.known_adapters.make.fit import fit, token_scores
from tests.known_adapters.make.training_setting import KNOWN_ADAPTERS, TrainingSetting

Adapter = dict[str, Factors]
Figures = dict[str, Any]

LEARNED = ("healthy", "half", "mild", "careless")
BETWEEN = ("undertrained", "memoriser", "preference")
NOTHING = ("random", "style_only", "forgetter", "3 steps (a)", "3 steps (b)")
GROUPS = dict.fromkeys(LEARNED, "yes") | dict.fromkeys(BETWEEN, "in part") | dict.fromkeys(NOTHING, "no")
SHORT = {"3 steps (a)": 501, "3 steps (b)": 502}
FAMILIES = ("norm", "signs", "activations", "moved", "trained_tokens", "trained_answers")
SCALES: dict[str, Scale] = {"T1": "inverse_root", "T2": "raw"}
FIRST_SEED = 4000
TEXTS, CHATS, PROSE = 3, 6, 6
ENDS = ("family", "train s", "make s", "T1 learned", "T1 nothing", "T2 learned", "T2 nothing")


class Lab:
    """The base with one adapter's worth of LoRA modules, whose factors are put in and measured."""

    def __init__(self) -> None:
        self.tokenizer, self.model = load_tokenizer(), fresh(0).eval()
        self.layers = {n: layer for n, layer in self.model.named_modules() if isinstance(layer, LoraLayer)}
        bodies = sections()
        controls = yaml.safe_load((QUICKSTART / "controls.yaml").read_text("utf-8"))
        texts, self.own = [*bodies.values(), *(one["content"] for one in controls)], len(bodies)
        self.rows = [text_row(self.tokenizer, text) for text in texts]
        with torch.no_grad(), scaled(self.model, 0.0):
            stems = [self.tokenizer(stem).input_ids for stem in probes("document")]
            self.read = [TokenRow(ids, ids) for ids in (greedy(self.model, s, POSITIONS - 1) for s in stems)]
            self.before, self.losses = self._logits(), self._losses()
            self.moments = self._moments()

    @torch.no_grad()
    def measured(self, adapter: Adapter) -> tuple[float, float]:
        """T1 and T2."""
        for name, parts in adapter.items():
            for factor, part in zip(_weights(self.layers[name]), parts, strict=True):
                factor.copy_(part)
        moved = jensen_shannon(self.before, self._logits()).mean().item()
        gain = (self.losses - self._losses()) / self.losses
        return moved, gain[: self.own].mean().item() - max(0.0, gain[self.own :].mean().item())

    def response(self, name: str, factors: Factors) -> float:
        """Root mean square over tokens of ‖B·A·x‖, x the base's own inputs of the module on prose."""
        a, b = (part.double() for part in factors)
        return math.sqrt(max(0.0, ((b.T @ b) * (a @ self.moments[name] @ a.T)).sum().item()))

    def _logits(self) -> torch.Tensor:
        """Stems × positions × vocabulary, in fp64: the smallest divergences are below fp32's rounding."""
        logits = self.model(input_ids=padded(self.read)[0]).logits.double()
        ends = [len(row.ids) for row in self.read]
        return torch.stack([at[end - POSITIONS : end] for at, end in zip(logits, ends, strict=True)])

    def _losses(self) -> torch.Tensor:
        """Loss per token of each section and control."""
        counts = torch.tensor([len(row.ids) - 1 for row in self.rows])
        return -token_scores(self.model, self.rows).double().sum(1) / counts

    def _moments(self) -> dict[str, torch.Tensor]:
        """Mean of x·xᵀ by module."""
        ids = padded([text_row(self.tokenizer, passage.text) for passage in passages()[:PROSE]])
        mask = ids[1].ne(IGNORE).flatten()
        found: dict[LoraLayer, torch.Tensor] = {}

        def keep(layer: LoraLayer, inputs: tuple[torch.Tensor, ...]) -> None:
            x = inputs[0].flatten(0, 1)[mask].double()
            found[layer] = x.T @ x / len(x)

        hooks = [layer.register_forward_pre_hook(keep) for layer in self.layers.values()]
        self.model(input_ids=ids[0])
        for hook in hooks:
            hook.remove()
        return {name: found[layer] for name, layer in self.layers.items()}


class Families:
    """The draws of each family; the trained ones are trained once and then only scaled."""

    def __init__(self, lab: Lab, draws: int, steps: int) -> None:
        self.lab, self.draws, self.training = lab, draws, dict.fromkeys(FAMILIES, 0.0)
        self.trained: dict[str, list[Adapter]] = {}
        for family, rows in (("trained_tokens", self._shuffled), ("trained_answers", self._crossed)):
            began = time.perf_counter()
            seeds = range(FIRST_SEED, FIRST_SEED + draws)
            self.trained[family] = [_trained(lab, seed, *rows(random.Random(seed)), steps) for seed in seeds]
            self.training[family] = (time.perf_counter() - began) / draws

    def draw(self, family: str, subject: str, adapter: Adapter, at: int) -> Adapter:
        """Draw number `at` for the adapter under test."""
        if family in self.trained:
            return {name: _sized(self.trained[family][at][name], adapter[name]) for name in adapter}
        if family == "moved":
            return _moved(adapter, random.Random(f"{subject}:{at}"))
        seed = NullSeed("signs" if family == "signs" else "norm_matched", at, FIRST_SEED, 0.0)
        null: Any = {name: draw_null_weights(seed, subject, name, parts) for name, parts in adapter.items()}
        if family == "activations":
            for name, (a, b) in null.items():
                factor = self.lab.response(name, adapter[name]) / (self.lab.response(name, (a, b)) or 1.0)
                null[name] = (a, b * factor)
        return dict(null)

    def _shuffled(self, rng: random.Random) -> tuple[list[TokenRow], int]:
        """Rows, and how many of them are a step."""
        texts = [row.ids for row in lessons(self.lab.tokenizer)[0]]
        mixed = [[bos, *rng.sample(ids, len(ids))] for bos, *ids in texts]
        return [TokenRow(ids, [IGNORE, *ids[1:]]) for ids in mixed], TEXTS

    def _crossed(self, rng: random.Random) -> tuple[list[TokenRow], int]:
        """In a random circle of the questions, each has the next one's answer."""
        items = questions()
        rng.shuffle(items)
        pairs = zip(items, [*items[1:], items[0]], strict=True)
        talks = [[user(asked.question), assistant(other.answer)] for asked, other in pairs]
        return [chat_row(self.lab.tokenizer, talk) for talk in talks], CHATS


def _trained(lab: Lab, seed: int, rows: Sequence[TokenRow], each: int, steps: int) -> Adapter:
    """A fresh adapter fitted to the rows without an anchor."""
    model, rng = fresh(seed), random.Random(seed)
    with contextlib.redirect_stdout(io.StringIO()):
        fit(model, lambda: {"rows": row_loss(model, rng.sample(rows, each))}, steps)
    return _held(model, lab)


def _held(model: torch.nn.Module, lab: Lab) -> Adapter:
    return {name: _weights(model.get_submodule(name)) for name in lab.layers}


def _weights(layer: Any) -> Factors:
    return layer.lora_A["default"].weight.detach(), layer.lora_B["default"].weight.detach()


def _moved(adapter: Adapter, rng: random.Random) -> Adapter:
    """Each kind of module takes the update of the layer so many further on."""
    donors: dict[str, str] = {}
    for kind in dict.fromkeys(name.rsplit(".", 1)[-1] for name in adapter):
        names = [name for name in adapter if name.endswith(f".{kind}")]
        by = rng.randrange(1, len(names))
        donors |= dict(zip(names, names[by:] + names[:by], strict=True))
    return {name: _sized(adapter[donors[name]], like) for name, like in adapter.items()}


def _sized(factors: Factors, like: Factors) -> Factors:
    """The factors with B scaled so that the product has the other's norm."""
    return factors[0], factors[1] * (product_norm(*like) / (product_norm(*factors) or 1.0))


def subjects(lab: Lab, only: Sequence[str]) -> dict[str, Adapter]:
    """The adapters under test."""
    found = {}
    for name in only:
        if name in SHORT:
            setting = TrainingSetting(SHORT[name], QUICKSTART, Path())
            with contextlib.redirect_stdout(io.StringIO()):
                found[name] = _held(anchored(setting, setting.lessons(), 3), lab)
            continue
        parent = QUICKSTART if name in ("healthy", "random") else KNOWN_ADAPTERS
        file = parent / "adapters" / name / "adapter_model.safetensors"
        held = {key: part.float() for key, part in load_file(file).items()}
        found[name] = {m: (held[f"{m}.lora_A.weight"], held[f"{m}.lora_B.weight"]) for m in lab.layers}
    return found


def judged(lab: Lab, families: Families, name: str, adapter: Adapter) -> Figures:
    """The adapter's T1 and T2, and by family those of its draws and the seconds that making one took."""
    found: Figures = {"own": dict(zip(SCALES, lab.measured(adapter), strict=True))}
    for family in FAMILIES:
        began = time.perf_counter()
        nulls = [families.draw(family, name, adapter, at) for at in range(families.draws)]
        found[family] = {"making": (time.perf_counter() - began) / len(nulls)}
        found[family] |= zip(SCALES, zip(*map(lab.measured, nulls), strict=True), strict=True)
    return found


def tables(raw: Figures) -> str:
    """Every subject by family, what separates, what it costs, and draws in the adapter's place."""
    by_subject = raw["subjects"]
    parts = [f"### Candidates: {raw['draws']} draws each, trained ones {raw['steps']} steps\n"]
    for kind, cells in (("T1", "z (ratio to the draws' mean)"), ("T2", "z (mean of the draws)")):
        rows = [(name, GROUPS[name], *_cells(found, kind)) for name, found in by_subject.items()]
        parts += [f"{kind}: {cells}\n", table(("adapter", "learned", kind, *FAMILIES), rows)]
    rows = [_summary(raw, family) for family in FAMILIES]
    parts += ["Least z of what learned and most of what did not; seconds a draw\n", table(ENDS, rows)]
    rows = [(f, *(_beaten(by_subject, f, null) for null in FAMILIES)) for f in FAMILIES]
    heading = "Draws (rows) at z ≥ 3 against a family (columns), or the rest of their own; T1 / T2\n"
    parts += [heading, table(("draws of", *FAMILIES), rows)]
    return "\n".join(parts)


def _z(value: float, draws: Sequence[float], kind: str) -> float:
    found = predict(value, draws, SCALES[kind]).z
    return math.nan if found is None else display_z(found)


def _cells(found: Figures, kind: str) -> Iterator[str]:
    yield f"{(value := found['own'][kind]):.4g}"
    for draws in (found[family][kind] for family in FAMILIES):
        mean = sum(draws) / len(draws)
        yield f"{_z(value, draws, kind):+.1f} ({f'×{value / mean:.3g}' if kind == 'T1' else f'{mean:+.3f}'})"


def _summary(raw: Figures, family: str) -> list[str]:
    found = raw["subjects"]
    making = np.mean([one[family]["making"] for one in found.values()])
    cells = [family, f"{raw['training'][family]:.2f}", f"{making:.3f}"]
    for kind in SCALES:
        z = {name: _z(one["own"][kind], one[family][kind], kind) for name, one in found.items()}
        ends = [min((name for name in LEARNED if name in z), key=z.__getitem__, default="")]
        ends += [max((name for name in NOTHING if name in z), key=z.__getitem__, default="")]
        cells += [f"{z[name]:+.1f} ({name})" if name else "" for name in ends]
    return cells


def _beaten(by_subject: Figures, source: str, null: str) -> str:
    """Share of a family's draws that lie beyond another's, or the rest of their own."""
    z: dict[str, list[float]] = {kind: [] for kind in SCALES}
    for found in by_subject.values():
        for kind in SCALES:
            for at, value in enumerate(found[source][kind]):
                rest = [v for i, v in enumerate(found[null][kind]) if source != null or i != at]
                z[kind].append(_z(value, rest, kind))
    return " / ".join(f"{np.mean(np.array(values) >= 3.0):.0%}" for values in z.values())


def main() -> None:
    """Measure every adapter, print the tables, keep the raw figures."""
    parser = argparse.ArgumentParser(prog="null_candidates.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draws", type=int, default=8, help="of each family, at least 3")
    parser.add_argument("--steps", type=int, default=5, help="of the trained families")
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS), metavar="NAME")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="raw figures, after each adapter")
    asked = parser.parse_args()
    set_up(0)
    torch.set_num_threads(1)
    families = Families(lab := Lab(), asked.draws, asked.steps)
    raw: Figures = {"draws": asked.draws, "steps": asked.steps, "training": families.training, "subjects": {}}
    for name, adapter in subjects(lab, asked.only).items():
        raw["subjects"][name] = judged(lab, families, name, adapter)
        if asked.out:
            asked.out.write_text(json.dumps(raw), "utf-8")
    sys.stdout.write(tables(raw))


if __name__ == "__main__":
    main()
