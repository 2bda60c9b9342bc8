"""Texts that stand in one row as a tree of tokens score as if by themselves, on a real model."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sway.backends.hf import scoring
from pytest_sway.backends.hf.backend import HFBackend
from pytest_sway.backends.hf.scoring import Batch, Scorer, batch_of
from pytest_sway.engine.planner import Planner
from pytest_sway.requests import Completion, Divergence, Turn, View
from pytest_sway.token_sequences import PackedRow, TokenSequence
from tests.support.planner_answers import planner_answers

WORDS = ["the", "harbour", "lantern", "a", "green", "door", "is", "of", "keeper", "storm", "and", "six"]
FP32 = 1e-5
"""Largest difference from the text by itself, in nats per token."""


@st.composite
def word_tries(draw: st.DrawFn) -> list[list[str]]:
    """Texts in words, most of them a beginning of an earlier one and words of their own."""
    texts: list[list[str]] = []
    for _ in range(draw(st.integers(2, 8))):
        before = draw(st.sampled_from(texts)) if texts else []
        kept = before[: draw(st.integers(0, len(before)))]
        texts.append([*kept, *draw(st.lists(st.sampled_from(WORDS), min_size=2, max_size=25))])
    return texts


def own_logprobs(backend: HFBackend, rows: Sequence[PackedRow]) -> dict[TokenSequence, torch.Tensor]:
    """Of each text, the log-probabilities of its own tokens after the first wanted position."""
    pieces: dict[TokenSequence, list[torch.Tensor]] = {}
    for text, start, piece in backend.logprobs(rows, View(backend._view_digest()), 11):
        targets = text.ids[text.first + start + 1 :][: len(piece)]
        pieces.setdefault(text, []).append(piece[list(range(len(targets))), list(targets)])
    return {text: torch.cat(found) for text, found in pieces.items()}


@settings(max_examples=25, deadline=None)
@given(st.lists(word_tries(), min_size=1, max_size=3))
def test_a_tree_scores_every_text_as_if_by_itself(backend: HFBackend, tries: list[list[list[str]]]) -> None:
    rows = []
    for number, texts in enumerate(tries):
        ids = sorted({tuple(backend.encode(" ".join([f"{number}.", *words]))) for words in texts})
        rows.append(PackedRow(tuple(TokenSequence(one, min(len(one) - 1, len(one) // 3)) for one in ids)))
        assert batch_of(rows[-1:], torch.device("cpu")).ids.shape[1] == rows[-1].length
    together = own_logprobs(backend, rows)
    for row in rows:
        for text in row.texts:
            alone = own_logprobs(backend, [PackedRow((text,))])[text]
            assert len(alone) == text.positions - 1
            torch.testing.assert_close(together[text], alone, atol=FP32, rtol=0)


def test_nested_prompts_are_answered_as_one_text_a_row(backend: HFBackend) -> None:
    """A system prompt, questions under it, answers under each: completions and divergences."""
    base = View(backend._view_digest())
    system = Turn("system", "You answer questions about the lantern works on the quay, in one sentence each.")
    asked: list[Completion | Divergence] = []
    for question in ("Who holds the key?", "Who holds the book?", "Where does the sand come from?"):
        prompt = (system, Turn("user", question))
        asked += [Completion(prompt, answer, base) for answer in ("The master.", "The master of the works.")]
        asked.append(Divergence(prompt, base, base, "js", tuple(backend.encode("The master"))))
    planner = Planner(backend)
    together = planner_answers(planner, asked)
    plain = Planner(backend, batch_invariant=True)
    alone = planner_answers(plain, asked)
    assert plain.costs.shared_tokens == 0
    assert planner.costs.tokens + planner.costs.shared_tokens == plain.costs.tokens
    assert planner.costs.tokens < plain.costs.tokens / 2
    for request in asked:
        if isinstance(request, Completion):
            found, expected = together[request], alone[request]
            assert found.tokens == expected.tokens
            assert abs(found.logprob - expected.logprob) <= FP32 * found.tokens
        else:
            assert together[request] == alone[request] == 0.0


def one_level(rows: Sequence[PackedRow], device: torch.device) -> Batch:
    """As if a tree branched at one depth only: a branch below a branch sees the branch before it."""
    batch = batch_of(rows, device)
    if batch.ends is None:
        return batch
    deep = batch.positions >= 22  # the tree that is tried out branches after 20 tokens, and after 22
    return batch._replace(ends=torch.where(deep, batch.ids.shape[1], batch.ends))


def wrong_positions(rows: Sequence[PackedRow], device: torch.device) -> Batch:
    """Positions in the row, in the place of those in the text."""
    batch = batch_of(rows, device)
    return batch if batch.ends is None else batch._replace(positions=torch.arange(batch.ids.shape[1])[None])


@pytest.mark.parametrize("wrong", [one_level, wrong_positions])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_a_model_that_cannot_serve_a_tree_is_noticed(
    backend: HFBackend, monkeypatch: pytest.MonkeyPatch, wrong: object, dtype: torch.dtype
) -> None:
    model = backend._model.to(dtype)
    try:
        assert Scorer(model).packs_rows
        monkeypatch.setattr(scoring, "batch_of", wrong)
        assert not Scorer(model).packs_rows
    finally:
        model.to(torch.float32)
