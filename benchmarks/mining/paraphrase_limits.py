"""Which cosine tells other wordings of a question from other questions of the same document.

    python benchmarks/mining/paraphrase_limits.py

The limit was chosen on the quickstart's questions, and is confirmed on those of another document.
"""

from __future__ import annotations

import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import yaml

from pytest_sway.backends.embedder import SentenceEmbedder
from pytest_sway.mining.candidates import candidates
from pytest_sway.mining.meaning import LEAST_SIMILARITY, MeaningFilter
from pytest_sway.requests import DEFAULT_EMBEDDER

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = (ROOT / "examples" / "quickstart", ROOT / "tests" / "known_adapters" / "second")
LIMITS = (0.6, 0.65, 0.7, 0.75, LEAST_SIMILARITY, 0.85)


def _show(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def main() -> None:
    embedder = SentenceEmbedder()
    for document in DOCUMENTS:
        sections = yaml.safe_load((document / "questions.yaml").read_text("utf-8"))
        rows = [row for section in sections.values() for row in section]
        questions = [row["question"] for row in rows]
        vectors = np.array(embedder.embed(questions, DEFAULT_EMBEDDER))
        worded = np.array(
            [
                float(np.dot(vectors[i], vector))
                for i, row in enumerate(rows)
                for vector in embedder.embed(row["held_out"], DEFAULT_EMBEDDER)
            ]
        )
        others = np.array([float(vectors[i] @ vectors[k]) for i, k in combinations(range(len(rows)), 2)])
        _show(f"\n{document.name}: {len(worded)} held-out wordings, {len(others)} pairs of other questions")
        for limit in LIMITS:
            kept, false = float(np.mean(worded >= limit)), int(np.sum(others >= limit))
            _show(f"  cosine ≥ {limit:.2f}: keeps {kept:4.0%} of the wordings and {false} of the pairs")
        keep = MeaningFilter(questions, lambda texts: embedder.embed(texts, DEFAULT_EMBEDDER))
        found = [len(candidates(question, (), 50, 0, keep)) for question in questions]
        _show(
            f"  candidates a question: mean {np.mean(found):.1f}, least {min(found)}; {dict(keep.rejected)}"
        )


if __name__ == "__main__":
    main()
