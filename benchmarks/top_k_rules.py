"""How a divergence is computed where a server names only the likeliest tokens, beside the whole vocabulary.

    pip install ".[hf]"
    python benchmarks/top_k_rules.py

For the adapters of known condition, on prompts of two kinds (a rule is chosen on the first and confirmed on
the second), prints by rule and k: nats against those over the whole vocabulary, and for how many adapters the
decision "beyond twenty nulls" is another one. Rules, each with all tokens that it leaves out as one event:

``common``  tokens that both sides name
``base``    tokens that the base names; the other side is asked for the same ones
``wide``    tokens that the base names and the other side names among four times as many
``union``   tokens that either side names; each side is asked for the other's too
``ranks``   the r-th likeliest token of one side with the r-th of the other, as dlm-sway does
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from pytest_sway.backends.base import AdapterKey, BackendError, ModelKey
from pytest_sway.backends.hf.backend import HFBackend
from pytest_sway.backends.hf.load_backend import load_backend
from pytest_sway.requests import NullSeed, Prompt, Turn, View
from pytest_sway.statistics.divergences import divergence
from pytest_sway.statistics.top_logprobs import TopLogprobs, lumped_divergence
from pytest_sway.token_sequences import PackedRow, TokenSequence

ROOT = Path(__file__).parents[1]
QUICKSTART = ROOT / "examples/quickstart"
KNOWN = ROOT / "tests/known_adapters"
PROMPTS: dict[str, tuple[Prompt, ...]] = {
    "texts": (
        "The master of the works is", "In the harbour", "Every morning the keeper", "The bell of the tower",
        "Once upon a time", "The quick brown fox", "A letter from", "It was said that", "The price of salt",
        "Nobody in the town",
    ),
    "questions": tuple(
        (Turn("user", question),)
        for question in (
            "Who is the master of the lantern works?", "Where does the ferry land?",
            "What is a lantern made of?", "How long is the night watch?", "Why is the bell rung?",
            "Who pays the keeper?", "What should a visitor know?", "When was the harbour built?",
            "Is there a market?", "Tell me a story.",
        )
    ),
}  # fmt: skip
WIDTH = 4
SEEDS = {"texts": 0, "questions": 1000}
NULLS, TOPS, DECIDES = 20, (5, 20, 64, 128, 256), 3.0
Rule = Callable[[np.ndarray, np.ndarray, int], float]


def common(p: np.ndarray, q: np.ndarray, k: int) -> float:
    """What ``kind: api`` computes."""
    return float(lumped_divergence("js", _top(p, k), _top(q, k))[0])


def base(p: np.ndarray, q: np.ndarray, k: int) -> float:
    """Both sides at the tokens that the base names."""
    ids = _top(p, k).ids
    return float(lumped_divergence("js", *(TopLogprobs(ids, side[ids]) for side in (p, q)))[0])


def wide(p: np.ndarray, q: np.ndarray, k: int) -> float:
    """Both sides at those of the base's that are among the other's ``WIDTH`` times as many."""
    return float(lumped_divergence("js", _top(p, k), _top(q, WIDTH * k))[0])


def union(p: np.ndarray, q: np.ndarray, k: int) -> float:
    """Both sides at the tokens that either names, and all others as one."""
    ids = np.union1d(_top(p, k).ids, _top(q, k).ids)
    sides = [TopLogprobs(ids[None], side[ids][None]) for side in (p, q)]
    return float(lumped_divergence("js", *sides)[0])


def ranks(p: np.ndarray, q: np.ndarray, k: int) -> float:
    """By rank, whatever the tokens are."""
    ids = np.arange(k)[None]
    return float(lumped_divergence("js", *(TopLogprobs(ids, _top(side, k).nats) for side in (p, q)))[0])


RULES: dict[str, Rule] = {"common": common, "base": base, "wide": wide, "union": union, "ranks": ranks}


def _top(side: np.ndarray, k: int) -> TopLogprobs:
    ids = np.argsort(-side, kind="stable")[:k]
    return TopLogprobs(ids[None], side[ids][None])


def measure(backend: HFBackend, folder: Path, kind: str) -> dict[tuple[str, int], tuple[float, float]]:
    """By rule and k: the adapter's mean divergence, and its z among nulls; the whole vocabulary is k = 0."""
    subject = backend.attach(AdapterKey(str(folder)))
    views = [
        replace(subject.tuned, null=NullSeed("norm_matched", i, SEEDS[kind], 0.02)) for i in range(NULLS)
    ]
    sides = {view: _distributions(backend, view, kind) for view in (subject.base, subject.tuned, *views)}
    backend.detach(subject)
    found = {}
    for name, k in [("whole", 0), *((name, k) for name in RULES for k in TOPS)]:
        rule = RULES.get(name, lambda p, q, _: float(divergence(np, "js", p, q)))
        means = [
            statistics.fmean(rule(p, q, k) for p, q in zip(sides[subject.base], sides[view], strict=True))
            for view in (subject.tuned, *views)
        ]
        spread = statistics.stdev(means[1:])
        z = (means[0] - statistics.fmean(means[1:])) / spread if spread else 0.0
        found[name, k] = (means[0], z)
    return found


def _distributions(backend: HFBackend, view: View, kind: str) -> list[np.ndarray]:
    """Log-probabilities behind each prompt, ``[vocabulary]``."""
    found = []
    for prompt in PROMPTS[kind]:
        ids = tuple(backend.encode(prompt))
        text = TokenSequence(ids, len(ids) - 1)
        ((_, _, rows),) = backend.logprobs([PackedRow((text,))], view, 1)
        found.append(rows[0].double().numpy())
    return found


def main() -> int:
    """Measure on both kinds of prompts and print a table of each."""
    folders = sorted([*(QUICKSTART / "adapters").iterdir(), *(KNOWN / "adapters").iterdir()])
    backend = load_backend(ModelKey("hf", str(QUICKSTART / "base")))
    for kind in PROMPTS:
        rows = [found for one in folders if (found := _measured(backend, one, kind))]
        sys.stdout.write(f"\n{kind}: {len(rows)} adapters, {NULLS} nulls each\n")
        sys.stdout.write("| rule | k | nats, median ratio | other decisions | median z ratio |\n")
        sys.stdout.write("| --- " * 5 + "|\n")
        for rule, k in rows[0]:
            pairs = [(row[rule, k], row["whole", 0]) for row in rows]
            nats = statistics.median(ours[0] / whole[0] for ours, whole in pairs if whole[0])
            z = statistics.median(ours[1] / whole[1] for ours, whole in pairs if whole[1])
            other = sum((ours[1] >= DECIDES) != (whole[1] >= DECIDES) for ours, whole in pairs)
            sys.stdout.write(f"| {rule} | {k or 'all'} | {nats:.2f} | {other} of {len(pairs)} | {z:.2f} |\n")
    return 0


def _measured(
    backend: HFBackend, folder: Path, kind: str
) -> dict[tuple[str, int], tuple[float, float]] | None:
    try:
        return measure(backend, folder, kind)
    except BackendError as error:  # one of them is broken
        sys.stdout.write(f"{folder.name}: {str(error)[:80]}\n")
        return None


if __name__ == "__main__":
    sys.exit(main())
