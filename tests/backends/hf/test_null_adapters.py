"""Null adapters on a real model: for every form what their family promises, and the user's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from pytest_sway.backends.base import AdapterKey, BackendError, Subject
from pytest_sway.backends.hf.adapter_forms.weight_delta import _scale_after_rounding
from pytest_sway.backends.hf.backend import HFBackend
from pytest_sway.backends.hf.load_backend import load_backend
from pytest_sway.backends.hf.lora_factors import product_norm
from pytest_sway.backends.null_population import FAMILIES_BY_FORM, NullPlan, null_population
from pytest_sway.engine.engine import Engine
from pytest_sway.requests import Divergence, View
from tests.support.hf_models import MODEL_KEY, ROWS, logprobs
from tests.support.peft_adapters import (
    CONVERTED_LORA,
    FULL_WEIGHTS,
    PLAIN_LORA,
    base_model,
    lora,
    save_adapter,
)

ALL = [0, 0, 0]


@contextmanager
def attached_subject(backend: HFBackend, folder: Path) -> Iterator[Subject]:
    subject = backend.attach(AdapterKey(str(folder)))
    try:
        yield subject
    finally:
        backend.detach(subject)


def null_of(subject: Subject, family: str) -> View:
    return null_population(subject, NullPlan(family, 1, 3, 0.02)).views[0]


def update(lora_layers: object, module: str, slot: str) -> torch.Tensor:
    a, b = lora_layers.factors(module, slot)  # type: ignore[attr-defined]
    return b.flatten(1).double() @ a.flatten(1).double()


@pytest.mark.slow
@pytest.mark.parametrize("family", ["norm_matched", "signs", "spectrum_matched", "permuted"])
@pytest.mark.parametrize("name", ["plain", "rslora", "patterns", "embedding"])
def test_a_family_keeps_what_it_promises_in_every_module(
    backend: HFBackend, tmp_path: Path, name: str, family: str
) -> None:
    moved: list[bool] = []
    with attached_subject(backend, save_adapter(tmp_path, PLAIN_LORA[name])) as subject:
        logprobs(backend, ROWS, null_of(subject, family), ALL)
        held = backend._attached_adapter
        for module in held.layers:
            real, null = held.factors(module), held.factors(module, "null")
            assert product_norm(*null) == pytest.approx(product_norm(*real), rel=1e-4)
            assert held.layers[module].scaling["null"] == held.layers[module].scaling["subject"]
            before, after = update(held, module, "subject"), update(held, module, "null")
            moved.append(not torch.allclose(before, after, rtol=0.1))
            if family != "norm_matched" and max(before.shape) < 600:
                spectrum = torch.linalg.svdvals(after)
                torch.testing.assert_close(spectrum, torch.linalg.svdvals(before), rtol=1e-4, atol=1e-5)
            if family == "signs":  # the same subspaces: ΔW·ΔWᵀ does not see a sign
                torch.testing.assert_close(after @ after.T, before @ before.T, rtol=1e-3, atol=1e-4)
                torch.testing.assert_close(after.T @ after, before.T @ before, rtol=1e-3, atol=1e-4)
            if family == "permuted":
                torch.testing.assert_close(after.flatten().sort()[0], before.flatten().sort()[0])
    assert sum(moved) > len(moved) / 2 if family == "signs" else all(moved)  # all signs may be plus by luck


@pytest.mark.parametrize("family", ["norm_matched", "permuted"])
@pytest.mark.parametrize(
    "name",
    [
        "dora",
        "saved_head",
        pytest.param("lora_bias", marks=pytest.mark.slow),
        pytest.param("tokens", marks=pytest.mark.slow),
    ],
)
def test_whole_tensors_have_nulls_of_their_size(
    backend: HFBackend, tmp_path: Path, name: str, family: str
) -> None:
    """No trained head may stay under a null: it would carry most of the real effect."""
    own = {path: tensor.clone() for path, tensor in backend._model.state_dict().items()}
    with attached_subject(backend, save_adapter(tmp_path, FULL_WEIGHTS[name])) as subject:
        null = null_of(subject, family)
        found = logprobs(backend, ROWS, null, ALL)
        drawn = {path: tensor.clone() for path, tensor in backend._model.state_dict().items()}
        assert backend._attached_adapter._tuned
        for path, tuned in backend._attached_adapter._tuned.items():
            base = own.get(path, torch.zeros_like(tuned))
            real, random = tuned - base, drawn[path] - base
            assert float(random.norm()) == pytest.approx(float(real.norm()), rel=1e-3)
            assert not torch.allclose(real, random, rtol=0.1)
        tied = ("model.embed_tokens.weight", "lm_head.weight")
        if name == "tokens":  # tied in the base and in the tuned model
            assert torch.equal(*(drawn[path] for path in tied))
        half = logprobs(backend, ROWS, null.scaled(0.5), ALL)
        zero = logprobs(backend, ROWS, null.scaled(0.0), ALL)
        base_answers = logprobs(backend, ROWS, subject.base, ALL)
        again = logprobs(backend, ROWS, null, ALL)
    moved = [
        sum(float((x - y).abs().sum()) for x, y in zip(answers, base_answers, strict=True))
        for answers in (zero, half, found)
    ]
    assert moved[0] < 1e-2 < moved[1] < moved[2]
    assert all(torch.equal(x, y) for x, y in zip(found, again, strict=True))


def test_more_nulls_than_the_cache_holds_are_sampled_again(backend: HFBackend, tmp_path: Path) -> None:
    with attached_subject(backend, save_adapter(tmp_path, FULL_WEIGHTS["dora"])) as subject:
        backend._attached_adapter._null_weights.most = 2
        views = null_population(subject, NullPlan("norm_matched", 4, 0, 0.02)).views
        first = [logprobs(backend, ROWS, view, ALL) for view in views]
        again = [logprobs(backend, ROWS, view, ALL) for view in views]
        assert len(backend._attached_adapter._null_weights) == 2
    for one, two in zip(first, again, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(one, two, strict=True))


def test_a_bf16_base_has_nulls_of_whole_tensors(tmp_path: Path) -> None:
    folder = save_adapter(tmp_path, FULL_WEIGHTS["dora"])
    backend = load_backend(MODEL_KEY.__class__("hf", MODEL_KEY.base, dtype="bf16", device="cpu"))
    try:
        with attached_subject(backend, folder) as subject:
            found = logprobs(backend, ROWS, null_of(subject, "norm_matched"), ALL)
            base = logprobs(backend, ROWS, subject.base, ALL)
            assert all(torch.isfinite(row).all() for row in found)
            assert max(float((x - y).abs().max()) for x, y in zip(found, base, strict=True)) > 0.1
    finally:
        backend.close()


@pytest.mark.parametrize("name", ["rslora", "patterns", "two_modules"])
def test_your_own_null_answers_as_if_it_were_the_subject(
    backend: HFBackend, tmp_path: Path, name: str
) -> None:
    """Another rank, another scaling, fewer modules: the null is that adapter, whole."""
    subject_folder, null_folder = (
        save_adapter(tmp_path / "s", PLAIN_LORA["plain"]),
        save_adapter(tmp_path / "n", PLAIN_LORA[name]),
    )
    with attached_subject(backend, null_folder) as alone:
        expected = logprobs(backend, ROWS, alone.tuned, ALL)
    with attached_subject(backend, subject_folder) as subject:
        tuned = logprobs(backend, ROWS, subject.tuned, ALL)
        digest = backend.add_null(AdapterKey(str(null_folder)))
        plan = NullPlan("yours", 1, 0, 0.02, adapters=(str(null_folder),))
        (view, _) = null_population(subject, plan, [digest, "another"]).views
        found = logprobs(backend, ROWS, view, ALL)
        again = logprobs(backend, ROWS, subject.tuned, ALL)
    for x, y in zip(found, expected, strict=True):
        torch.testing.assert_close(x, y, atol=2e-4, rtol=0)
    assert all(torch.equal(x, y) for x, y in zip(tuned, again, strict=True))


def test_your_null_must_stand_where_the_subject_does(backend: HFBackend, tmp_path: Path) -> None:
    narrow, wide = (
        save_adapter(tmp_path / "n", PLAIN_LORA["two_modules"]),
        save_adapter(tmp_path / "w", PLAIN_LORA["plain"]),
    )
    dora = save_adapter(tmp_path / "d", FULL_WEIGHTS["dora"])
    with attached_subject(backend, narrow):
        with pytest.raises(
            BackendError, match="changes 20 modules that the evaluated adapter does not change"
        ):
            backend.add_null(AdapterKey(str(wide)))
        with pytest.raises(BackendError, match="a null adapter must be plain LoRA"):
            backend.add_null(AdapterKey(str(dora)))
        with pytest.raises(BackendError, match="does not exist"):
            backend.add_null(AdapterKey(str(tmp_path / "nowhere")))
    with (
        attached_subject(backend, dora),
        pytest.raises(BackendError, match="the evaluated adapter changes full weight tensors"),
    ):
        backend.add_null(AdapterKey(str(narrow)))


def test_a_family_that_cannot_be_made_names_those_that_can(backend: HFBackend, tmp_path: Path) -> None:
    with attached_subject(backend, save_adapter(tmp_path, FULL_WEIGHTS["dora"])) as subject:
        for family in FAMILIES_BY_FORM["factors"]:
            found = null_population(subject, NullPlan(family, 3, 0, 0.02))
            made = family in FAMILIES_BY_FORM["tensors"]
            assert bool(found.views) is made
            assert ("use family: norm_matched or permuted" in found.reason) is not made


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_factor_on_the_rank_is_its_root_on_the_update(factor: float) -> None:
    """Sampled at rank s·r with the same deviation, ‖BA‖² is s times as large: s^¼ on each factor."""
    generator = torch.Generator().manual_seed(5)

    def mean_square(rank: int, deviation: float = 1.0) -> float:
        norms = []
        for _ in range(200):
            a, b = (torch.randn(shape, generator=generator) * deviation for shape in ((rank, 48), (40, rank)))
            norms.append(product_norm(a, b) ** 2)
        return sum(norms) / len(norms)

    truly, plain = mean_square(int(8 * factor)), mean_square(8)
    assert truly / plain == pytest.approx(factor, rel=0.05)
    assert mean_square(8, factor**0.25) == pytest.approx(truly, rel=0.05)


def test_the_rank_profile_scales_the_update_by_the_root(backend: HFBackend, tmp_path: Path) -> None:
    with attached_subject(backend, save_adapter(tmp_path, lora())) as subject:
        found = null_population(subject, NullPlan("norm_matched", 2, 0, 0.02, ranks=(0.5, 1.0, 4.0)))
        assert {factor: views[1].scale for factor, views in found.by_rank.items()} == {
            0.5: pytest.approx(0.5**0.5), 4.0: 2.0
        }  # fmt: skip
        logprobs(backend, ROWS, found.by_rank[4.0][0], ALL)
        held = backend._attached_adapter
        norm = {slot: held.layers[m].scaling[slot] * product_norm(*held.factors(m, slot))
                for m in list(held.layers)[:1] for slot in ("subject", "null")}  # fmt: skip
    assert norm["null"] == pytest.approx(2 * norm["subject"], rel=1e-4)


def test_a_broken_base_is_not_what_nulls_leave(backend: HFBackend, tmp_path: Path) -> None:
    with attached_subject(backend, save_adapter(tmp_path, FULL_WEIGHTS["saved_head"])) as subject:
        logprobs(backend, ROWS, null_of(subject, "norm_matched"), ALL)
    reference = base_model().state_dict()
    for path, tensor in backend._model.state_dict().items():
        assert torch.equal(tensor, reference[path])


def test_random_pissa_weights_are_no_more_than_their_nulls(backend: HFBackend, tmp_path: Path) -> None:
    """What moves the base's own singular vectors moves its answers more than a blind update of its size."""
    prompts = ("The harbour was", "She said that", "A lamp is", "In spring they", "The oil is kept")
    with attached_subject(backend, save_adapter(tmp_path, CONVERTED_LORA["pissa"])) as subject:
        engine = Engine(backend)

        def moved(view: View) -> float:
            asked = [Divergence(prompt, subject.base, view) for prompt in prompts]
            return sum(engine.answer(asked).values()) / len(asked)

        nulls = null_population(subject, NullPlan("norm_matched", 8, 0, 0.02)).views
        own, others = moved(subject.tuned), [moved(view) for view in nulls]
        for module in backend._attached_adapter.layers:
            real, null = (backend._attached_adapter.factors(module, slot) for slot in ("subject", "null"))
            assert product_norm(*null) == pytest.approx(product_norm(*real), rel=1e-3)
            half = null[0].shape[0] // 2
            torch.testing.assert_close(null[1][:, half:], real[1][:, half:])  # B₀, and A₀ as a difference
            torch.testing.assert_close(null[0][:half] - null[0][half:], real[0][:half] - real[0][half:])
    assert 0.4 < own / (sum(others) / 8) < 2


@pytest.mark.parametrize("name", ["plain", "embedding", "rslora"])
def test_the_same_recipe_can_be_its_own_null(backend: HFBackend, tmp_path: Path, name: str) -> None:
    folder, again = (
        save_adapter(tmp_path / "a", PLAIN_LORA[name]),
        save_adapter(tmp_path / "b", PLAIN_LORA[name], size=0.04),
    )
    with attached_subject(backend, again) as alone:
        expected = logprobs(backend, ROWS, alone.tuned, ALL)
    with attached_subject(backend, folder) as subject:
        digest = backend.add_null(AdapterKey(str(again)))
        plan = NullPlan("yours", 1, 0, 0.02)
        (view, *_) = null_population(subject, plan, [digest, "another"]).views
        found = logprobs(backend, ROWS, view, ALL)
    for x, y in zip(found, expected, strict=True):
        torch.testing.assert_close(x, y, atol=2e-4, rtol=0)


@pytest.mark.parametrize("size", [1e-4, 1e-5, 3e-6])
def test_a_null_in_bf16_has_its_size_after_rounding(size: float) -> None:
    generator = torch.Generator().manual_seed(2)
    start = (torch.randn(200, 300, generator=generator) * 0.02).to(torch.bfloat16)
    real = (start.float() + torch.randn(200, 300, generator=generator) * size).to(torch.bfloat16)
    norm = float((real.float() - start.float()).norm())
    update = torch.randn(200, 300, generator=generator)
    found = _scale_after_rounding(start, update * (norm / float(update.norm())), norm)
    assert float((found.float() - start.float()).norm()) == pytest.approx(norm, rel=0.05)
