"""Continuations whose rows belong to several views are those of each view by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_sway.backends.base import AdapterKey, ModelKey, Subject
from pytest_sway.backends.hf import generation
from pytest_sway.backends.hf.adapter_forms.mixed_batch import MixedBatchError, RowGroup, use_mixed_forward
from pytest_sway.backends.hf.backend import HFBackend
from pytest_sway.backends.hf.load_backend import load_backend
from pytest_sway.backends.hf.mixed_views import views_per_batch
from pytest_sway.backends.null_population import NullPlan, null_population
from pytest_sway.requests import NullSeed, RequestError, View
from pytest_sway.token_sequences import PackedRow, TokenSequence
from tests.support.hf_models import MODEL_KEY, ROWS
from tests.support.peft_adapters import CONVERTED_LORA, FULL_WEIGHTS, PLAIN_LORA, lora, save_adapter

SYSTEM_PROMPT = [(29 * k) % 4000 for k in range(1, 25)]
NEW_TOKENS = 24
"""More than one chunk."""


@contextmanager
def attached_subject(backend: HFBackend, folder: Path) -> Iterator[Subject]:
    subject = backend.attach(AdapterKey(str(folder)))
    try:
        yield subject
    finally:
        backend.detach(subject)


def some_views(subject: Subject, family: str = "norm_matched") -> list[View]:
    nulls = null_population(subject, NullPlan(family, 3, 0, 0.02)).views
    return [subject.tuned, *nulls, subject.tuned.scaled(0.5), nulls[0].scaled(1.25)]


def row_logits(backend: HFBackend, views: Sequence[View], rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """Logits after the last token of each row, rows of one length, as the weights of ``views`` give them."""
    backend._enter_rows(views)
    with torch.inference_mode():
        found: torch.Tensor = backend._model(torch.tensor(rows)).logits[:, -1]
    return found


def check_rows(backend: HFBackend, views: Sequence[View], allowed: float = 2e-4) -> None:
    """Rows of several views in one forward, in groups of unequal sizes."""
    owners = [view for k, view in enumerate(views) for _ in range(1 + k % 3)]
    rows = [[(31 * i + 7 * k) % 4000 for k in range(9)] for i in range(len(owners))]
    mixed = row_logits(backend, owners, rows)
    for i, (owner, row) in enumerate(zip(owners, rows, strict=True)):
        alone = row_logits(backend, [owner], [row])[0]
        torch.testing.assert_close(mixed[i], alone, atol=allowed, rtol=0)
    other = row_logits(backend, [views[0]], rows)
    assert float((mixed[-1] - other[-1]).abs().max()) > 10 * allowed


FORMS = {**PLAIN_LORA, "pissa": CONVERTED_LORA["pissa"], "head": lora(target_modules=["lm_head", "v_proj"])}


@pytest.mark.parametrize("name", FORMS)
def test_every_row_has_its_own_update(backend: HFBackend, tmp_path: Path, name: str) -> None:
    with attached_subject(backend, save_adapter(tmp_path, FORMS[name])) as subject:
        assert backend.views_per_batch > 1
        check_rows(backend, some_views(subject))
    assert backend.views_per_batch == 1


@pytest.mark.parametrize("rank", [2, 16])
def test_nulls_of_ones_own_have_a_rank_of_their_own(backend: HFBackend, tmp_path: Path, rank: int) -> None:
    null = save_adapter(tmp_path / "null", lora(r=rank, target_modules=["q_proj", "up_proj"]), seed=1)
    with attached_subject(backend, save_adapter(tmp_path / "adapter", PLAIN_LORA["plain"])) as subject:
        digest = backend.add_null(AdapterKey(str(null)))
        seed = NullSeed("yours", 0, 0, 0.0, digest)
        check_rows(backend, [*some_views(subject), View(subject.base.base, subject.tuned.adapter, seed)])


def test_a_base_in_half_precision_adds_as_peft_does(tmp_path: Path) -> None:
    backend = load_backend(ModelKey("hf", MODEL_KEY.base, dtype="bf16", device="cpu"))
    try:
        with attached_subject(backend, save_adapter(tmp_path, PLAIN_LORA["plain"], size=0.2)) as subject:
            check_rows(backend, some_views(subject), allowed=0.1)
    finally:
        backend.close()


@pytest.mark.parametrize(
    ("name", "begin"),
    [
        pytest.param("plain", SYSTEM_PROMPT, id="plain, common prefix"),
        pytest.param("plain", [], id="plain", marks=pytest.mark.slow),
        pytest.param("rslora", [], id="rslora", marks=pytest.mark.slow),
        pytest.param("patterns", [], id="patterns", marks=pytest.mark.slow),
        pytest.param("embedding", SYSTEM_PROMPT, id="embedding, common prefix", marks=pytest.mark.slow),
    ],
)
@pytest.mark.slow
def test_continuations_are_those_of_each_view(
    backend: HFBackend, tmp_path: Path, name: str, begin: list[int]
) -> None:
    """Asked in any order; a position where two tokens are as likely to within rounding may differ."""
    prompts = [[*begin, *row] for row in ROWS]
    with attached_subject(backend, save_adapter(tmp_path, PLAIN_LORA[name], size=0.1)) as subject:
        views = [subject.base, *some_views(subject)]
        owners, rows = [v for _ in prompts for v in views], [row for row in prompts for _ in views]
        mixed = backend.generate(rows, owners, NEW_TOKENS)
        for view in views:
            alone = [new for row in prompts for new in backend.generate([row], [view], NEW_TOKENS)]
            found = [new for new, owner in zip(mixed, owners, strict=True) if owner == view]
            for row, one, other in zip(prompts, found, alone, strict=True):
                check_same_up_to_ties(backend, view, row, one, other)
    assert len(set(mixed)) > len(ROWS)


@pytest.mark.parametrize("packs_rows", [True, False])
def test_what_all_prompts_begin_with_is_read_once_for_each_view(
    backend: HFBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packs_rows: bool
) -> None:
    """Only in a model that keeps apart what its mask keeps apart."""
    monkeypatch.setattr(backend, "packs_rows", packs_rows)
    shapes: list[tuple[int, ...]] = []

    def note(_: object, __: object, named: dict[str, torch.Tensor]) -> None:
        shapes.append(tuple(named["input_ids"].shape))

    hook = backend._model.model.register_forward_pre_hook(note, with_kwargs=True)
    try:
        with attached_subject(backend, save_adapter(tmp_path, PLAIN_LORA["plain"])) as subject:
            views = some_views(subject)
            shapes.clear()
            rows = [[*SYSTEM_PROMPT, *row] for row in ROWS]
            backend.generate(rows * len(views), [view for view in views for _ in rows], 2)
            backend.generate(rows[:1] * len(views), views, 1)
            found = list(shapes)
    finally:
        hook.remove()
    count, prefix, longest = len(views), len(SYSTEM_PROMPT), max(map(len, ROWS))
    read = [(count, prefix), (3 * count, longest)] if packs_rows else [(3 * count, prefix + longest)]
    assert found == [*read, (3 * count, 1), (count, prefix + len(ROWS[0]))]


def check_same_up_to_ties(
    backend: HFBackend, view: View, row: list[int], one: tuple[int, ...], other: tuple[int, ...]
) -> None:
    if one == other:
        return
    at = next(k for k in range(max(len(one), len(other))) if one[k : k + 1] != other[k : k + 1])
    assert at < min(len(one), len(other))
    logits = row_logits(backend, [view], [[*row, *one[:at]]])[0]
    assert abs(float(logits[one[at]] - logits[other[at]])) < 1e-3


def test_rows_that_ended_leave_the_batch(
    backend: HFBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others go on as they would have; what a row wrote up to its end is kept."""
    monkeypatch.setattr(generation, "CHUNK", 4)
    sizes: list[int] = []
    hook = backend._model.model.register_forward_hook(lambda _, __, out: sizes.append(len(out[0])))
    try:
        with attached_subject(backend, save_adapter(tmp_path, PLAIN_LORA["plain"], size=0.1)) as subject:
            views = some_views(subject)
            owners, rows = [v for _ in ROWS for v in views], [row for row in ROWS for _ in views]
            free = backend.generate(rows, owners, NEW_TOKENS)
            stop = free[0][6]
            backend._ends = frozenset({stop})
            sizes.clear()
            ended = backend.generate(rows, owners, NEW_TOKENS)
    finally:
        hook.remove()
    cut = [new[: new.index(stop)] if stop in new else new for new in free]
    assert ended == cut
    assert len(ended[0]) <= 6
    assert sizes[0] == len(rows)
    assert sizes[8] < len(rows), "the first row ended within its first eight tokens"
    assert sizes == sorted(sizes, reverse=True)


def test_what_ends_the_adapters_texts_does_not_end_the_bases(backend: HFBackend, tmp_path: Path) -> None:
    with attached_subject(backend, save_adapter(tmp_path, PLAIN_LORA["plain"])) as subject:
        rows, owners = [ROWS[0]] * 2, [subject.tuned, subject.base]
        free = backend.generate(rows, owners, 8)
        backend._ends = frozenset({free[0][3], free[1][3]})
        tuned, base = backend.generate(rows, owners, 8)
    assert len(tuned) <= 3
    assert base == free[1]


def test_nothing_runs_on_when_all_ended(
    backend: HFBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation, "CHUNK", 4)
    base = View(backend._view_digest())
    first = backend.generate(ROWS[:2], [base] * 2, 12)
    with attached_subject(backend, save_adapter(tmp_path, PLAIN_LORA["plain"])) as subject:
        written = backend.generate(ROWS[:2], [subject.tuned] * 2, 12)
        backend._ends = frozenset(new[2] for new in written)
        steps: list[int] = []
        hook = backend._model.model.register_forward_hook(lambda *_: steps.append(1))
        try:
            short = backend.generate(ROWS[:2], [subject.tuned] * 2, 12)
        finally:
            hook.remove()
        assert max(map(len, short)) <= 2
        assert len(steps) == 3
        assert backend.generate(ROWS[:2], [base] * 2, 12) == first, "an adapter's ends are not the base's"


def test_a_cache_that_cannot_be_cut_keeps_the_batch_as_it_is(
    backend: HFBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = View(backend._view_digest())
    expected = backend.generate(ROWS, [base] * len(ROWS), NEW_TOKENS)
    real = backend._model.generate

    def without_cache(**options: Any) -> Any:
        found = real(**options)
        return type(found)(sequences=found.sequences)

    monkeypatch.setattr(backend._model, "generate", without_cache)
    assert backend.generate(ROWS, [base] * len(ROWS), NEW_TOKENS) == expected


def test_changed_tensors_are_the_same_for_all_rows(backend: HFBackend, tmp_path: Path) -> None:
    with attached_subject(backend, save_adapter(tmp_path, FULL_WEIGHTS["dora"])) as subject:
        assert backend.views_per_batch == 1
        with pytest.raises(RequestError, match="changes full weight tensors"):
            backend.generate(ROWS[:2], [subject.tuned, subject.tuned.scaled(0.5)], 2)


def test_no_more_nulls_than_the_cache_holds(backend: HFBackend, tmp_path: Path) -> None:
    """Those that are needed stay, others are dropped."""
    with attached_subject(backend, save_adapter(tmp_path, PLAIN_LORA["plain"])) as subject:
        cache = backend._attached_adapter._null_weights  # type: ignore[attr-defined]
        cache.most = 3
        nulls = null_population(subject, NullPlan("norm_matched", 5, 0, 0.02)).views
        for part in (nulls[:3], nulls[2:5], nulls[:2]):
            row_logits(backend, part, [ROWS[0]] * len(part))
            assert len(cache) == 3
            assert {view.null for view in part} <= cache._weights.keys()


def test_rows_that_a_model_puts_together_are_not_mixed(
    backend: HFBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_adapter(tmp_path, PLAIN_LORA["plain"])
    attention = backend._model.model.layers[1].mlp
    real = attention.forward

    def flat(x: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(real(x.reshape(-1, x.shape[-1]))).view(x.shape)

    def swapped(x: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(real(x.flip(0))).flip(0)

    for changed in (flat, swapped):
        monkeypatch.setattr(attention, "forward", changed)
        with attached_subject(backend, folder):
            assert backend.views_per_batch == 1, changed.__name__
    monkeypatch.setattr(attention, "forward", real)


def test_other_numbers_of_rows_are_refused(backend: HFBackend, tmp_path: Path) -> None:
    with attached_subject(backend, save_adapter(tmp_path, PLAIN_LORA["plain"])) as subject:
        held = backend._attached_adapter
        name, layer = next(iter(held.layers.items()))  # type: ignore[attr-defined]
        use_mixed_forward(layer, [RowGroup(2, held.factors(name), 1.0)])  # type: ignore[attr-defined]
        with torch.inference_mode(), pytest.raises(MixedBatchError):
            layer(torch.zeros(3, 5, 256))
        held._is_mixed = True  # type: ignore[attr-defined]
        backend._enter(subject.tuned)
        known = backend._row_logits()[0], backend._check_logits[1]
        assert views_per_batch(held, subject.tuned, backend._row_logits, known) > 1
        assert views_per_batch(held, subject.tuned, backend._row_logits, (known[1], known[0])) == 1


def test_a_null_that_wrote_first_scores_afterwards(backend: HFBackend, tmp_path: Path) -> None:
    """Its parameters are added while a continuation runs, and are used outside of it."""
    with attached_subject(backend, save_adapter(tmp_path, PLAIN_LORA["plain"])) as subject:
        first, second = null_population(subject, NullPlan("norm_matched", 2, 5, 0.02)).views
        backend.generate([[5, 9, 3]], [first], 2)
        row = PackedRow((TokenSequence((5, 9, 3), 0),))
        scored = {view: next(iter(backend.logprobs([row], view, 16)))[2] for view in (subject.base, second)}
        assert float((scored[second] - scored[subject.base]).abs().max()) > 0
