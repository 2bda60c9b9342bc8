"""mlx-lm answers as transformers and PEFT do, from one set of weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten
from mlx_lm.models.cache import KVCache

from pytest_sway.backends.base import AdapterKey, BackendError, ModelKey, Subject
from pytest_sway.backends.hf.backend import HFBackend
from pytest_sway.backends.mlx.backend import MLXBackend
from pytest_sway.backends.mlx.load_backend import load_backend
from pytest_sway.backends.null_weights import FACTORS
from pytest_sway.engine.engine import Engine
from pytest_sway.requests import (
    Completion,
    Divergence,
    Generate,
    NullSeed,
    Request,
    RequestError,
    Turn,
    View,
)
from tests.support.both_backends import assert_same_answers, while_attached
from tests.support.hf_models import ROWS
from tests.support.mlx_models import save_mlx_adapter
from tests.support.paths import QUICKSTART
from tests.support.peft_adapters import BASE, FULL_WEIGHTS, PLAIN_LORA, lora, save_adapter

HEALTHY = QUICKSTART / "adapters" / "healthy"
TEXT = "The master of the works is"


def null_views(subject: Subject, *families: str) -> list[View]:
    tuned = subject.tuned
    return [View(tuned.base, tuned.adapter, NullSeed(family, 3, 1000, 0.02)) for family in families]


def requests(subject: Subject, views: Sequence[View]) -> list[Request[Any]]:
    return [
        one
        for view in views
        for one in (
            Divergence(TEXT, subject.base, view, "js"),
            Divergence((Turn("user", TEXT),), subject.base, view, "kl"),
            Completion(TEXT, " Ada Lovell.", view),
        )
    ]


@pytest.mark.slow
def test_base_subject_scales_and_nulls_of_every_family(backend: MLXBackend, reference: HFBackend) -> None:
    def asked(subject: Subject) -> list[Request[Any]]:
        more = Divergence(TEXT, subject.base, subject.tuned.scaled(1.25), "js")
        views = [subject.tuned, subject.tuned.scaled(0.5), *null_views(subject, *FACTORS)]
        return [more, *requests(subject, views)]

    assert_same_answers(backend, reference, HEALTHY, asked)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["norm_matched", "permuted"])
def test_nulls_of_dora_change_the_same_weights(
    backend: MLXBackend, reference: HFBackend, tmp_path: Path, family: str
) -> None:
    folder = save_adapter(tmp_path, FULL_WEIGHTS["dora"], size=0.01)

    def asked(subject: Subject) -> list[Request[Any]]:
        assert subject.form == "tensors"
        return requests(subject, [subject.tuned.scaled(0.5), *null_views(subject, family)])

    assert_same_answers(backend, reference, folder, asked)


@pytest.mark.slow
def test_what_is_written_is_what_transformers_writes(backend: MLXBackend, reference: HFBackend) -> None:
    def asked(subject: Subject) -> list[Request[Any]]:
        texts = [TEXT, "The oil", "Each cask is marked with the sign of", "Salt"]
        return [Generate(text, view, 12) for text in texts for view in (subject.base, subject.tuned)]

    assert_same_answers(backend, reference, HEALTHY, asked)


@pytest.mark.slow
def test_a_model_whose_cache_mlx_lm_cannot_batch(
    backend: MLXBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = View(backend._view_digest())
    together = backend.generate(ROWS, [view] * 3, 8)
    monkeypatch.delattr(KVCache, "merge")
    assert backend.generate(ROWS, [view] * 3, 8) == together


def test_a_batch_changes_no_text(backend: MLXBackend) -> None:
    with while_attached(backend, HEALTHY) as subject:
        engine = Engine(backend)
        together = [Completion(text, " a lantern", subject.tuned) for text in (TEXT, "Salt", "The oil " * 9)]
        found = engine.answer(together)
        for request in together:
            alone = Engine(backend, batch_invariant=True).answer([request])[request]
            assert found[request].logprob == pytest.approx(alone.logprob, abs=2e-4)


@pytest.mark.slow
def test_a_users_own_null(backend: MLXBackend, reference: HFBackend) -> None:
    def asked(subject: Subject) -> list[Request[Any]]:
        held = backend if backend._adapter is not None else reference
        digest = held.add_null(AdapterKey(str(QUICKSTART / "adapters" / "random")))
        null = NullSeed("custom", 0, 0, 0.0, source=digest)
        return requests(subject, [View(subject.tuned.base, subject.tuned.adapter, null)])

    assert_same_answers(backend, reference, HEALTHY, asked)


@pytest.mark.slow
def test_adapters_follow_one_another_and_the_base_stays(backend: MLXBackend, tmp_path: Path) -> None:
    before = mx.array(backend._logits(ROWS[:1]))
    for folder in (
        HEALTHY,
        save_adapter(tmp_path / "dora", FULL_WEIGHTS["dora"]),
        save_adapter(tmp_path / "embedding", PLAIN_LORA["embedding"]),
        save_mlx_adapter(tmp_path / "mlx", keys=["mlp.up_proj"]),
    ):
        with while_attached(backend, folder) as subject:
            Engine(backend).answer(requests(subject, [subject.tuned]))
        assert mx.array_equal(backend._logits(ROWS[:1]), before)


def test_an_inert_adapter_says_so(backend: MLXBackend) -> None:
    with while_attached(backend, QUICKSTART / "adapters" / "inert") as subject:
        assert subject.inert
        assert "inert" in subject.notes[0]


def test_one_copy_of_the_weights_serves_an_adapter_and_its_nulls(backend: MLXBackend) -> None:
    weights = sum(one.nbytes for _, one in tree_flatten(backend._model.parameters()))
    with while_attached(backend, HEALTHY) as subject:
        own = sum(part.nbytes for one in backend._adapter._tuned.values() for part in one[:2])  # type: ignore[union-attr]
        mx.clear_cache()
        mx.reset_peak_memory()
        before = mx.get_active_memory()
        Engine(backend).answer(requests(subject, null_views(subject, "norm_matched", "permuted")))
        mx.clear_cache()
        assert mx.get_active_memory() - before < 3 * own + (1 << 20)
        assert mx.get_peak_memory() - before < weights  # one batch


def test_a_view_of_another_base_or_adapter_is_refused(backend: MLXBackend) -> None:
    with while_attached(backend, HEALTHY) as subject:
        with pytest.raises(RequestError, match="is not attached"):
            backend.generate([[5]], [View(subject.base.base, "0" * 32)], 1)
        with pytest.raises(RequestError, match="belongs to another base model"):
            backend.generate([[5]], [View("0" * 32)], 1)
        with pytest.raises(BackendError, match="another adapter is still attached"):
            backend.attach(AdapterKey(str(HEALTHY)))


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_half_precision_is_what_the_spec_says(dtype: str) -> None:
    loaded = load_backend(ModelKey("mlx", str(BASE), dtype=dtype, device="cpu"))
    kinds = {one.dtype for _, one in tree_flatten(loaded._model.parameters())}
    assert kinds == {{"bf16": mx.bfloat16, "fp16": mx.float16}[dtype]}
    assert loaded.epsilon == pytest.approx({"bf16": 2**-7, "fp16": 2**-10}[dtype])
    loaded.close()


@pytest.mark.slow
def test_an_untied_head_and_its_adapter(tmp_path: Path) -> None:
    from tests.support.checkpoints import llama

    folder = llama(tmp_path / "base")
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    adapter = save_adapter(tmp_path / "adapter", lora(target_modules=["q_proj", "lm_head"]), base=model)
    from pytest_sway.backends.hf.load_backend import load_backend as load_hf

    backends = load_backend(ModelKey("mlx", str(folder))), load_hf(ModelKey("hf", str(folder)))
    assert_same_answers(*backends, adapter, lambda subject: requests(subject, [subject.tuned]))
    for one in backends:
        one.close()


def test_logprobs_sum_to_one_and_come_in_pieces(backend: MLXBackend) -> None:
    from pytest_sway.token_sequences import PackedRow, TokenSequence

    with while_attached(backend, HEALTHY) as subject:
        rows = [PackedRow((TokenSequence(tuple(row), 1),)) for row in ROWS]
        whole = [np.array(piece) for _, _, piece in backend.logprobs(rows, subject.tuned, 1000)]
        pieces = [np.array(piece) for _, _, piece in backend.logprobs(rows, subject.tuned, 3)]
    assert max(len(piece) for piece in pieces) <= 3
    assert np.allclose(np.concatenate(whole), np.concatenate(pieces), atol=2e-4)
    assert np.allclose(np.exp(np.concatenate(whole)).sum(-1), 1.0, atol=1e-5)
