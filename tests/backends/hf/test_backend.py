"""The HF + PEFT backend on a real model: the same numbers as plain transformers, or a refusal by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from pytest_sway.backends.base import AdapterKey, BackendError, Subject
from pytest_sway.backends.hf.adapter_forms import lora
from pytest_sway.backends.hf.backend import HFBackend
from pytest_sway.backends.hf.load_backend import load_backend
from pytest_sway.backends.hf.lora_factors import product_norm
from pytest_sway.backends.null_population import NullPlan, null_population
from pytest_sway.engine.engine import Engine
from pytest_sway.requests import Completion, Divergence, Generate, Generation, RequestError, Turn
from tests.support.hf_models import MODEL_KEY, ROWS, logprobs, reference_logprobs
from tests.support.peft_adapters import BASE, PLAIN_LORA, REFUSED, base_model, save_adapter
from tests.support.rounding import tolerance


@pytest.fixture(scope="module")
def plain_adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("adapters")
    return {name: save_adapter(root / name, config) for name, config in PLAIN_LORA.items()}


@pytest.fixture
def plain(backend: HFBackend, plain_adapters: dict[str, Path]) -> Iterator[Subject]:
    subject = backend.attach(AdapterKey(str(plain_adapters["plain"])))
    yield subject
    backend.detach(subject)


@pytest.mark.parametrize("name", PLAIN_LORA)
@pytest.mark.parametrize(
    "scale", [1.0, pytest.param(0.5, marks=pytest.mark.slow), pytest.param(1.25, marks=pytest.mark.slow)]
)
def test_a_served_adapter_scores_like_a_merged_model(
    backend: HFBackend, plain_adapters: dict[str, Path], name: str, scale: float
) -> None:
    """The reference: PEFT's own merge into a fresh model, its update scaled in the files."""
    wrapped = PeftModel.from_pretrained(base_model(), plain_adapters[name])
    for module in wrapped.modules():
        for part in ("lora_B", "lora_embedding_B"):
            for weight in getattr(module, part, {}).values():
                tensor = getattr(weight, "weight", weight)
                tensor.data.mul_(scale)
    # merging into tied embeddings would change the output head too, which the adapter as trained does not
    reference = wrapped.eval() if name == "embedding" else wrapped.merge_and_unload()
    subject = backend.attach(AdapterKey(str(plain_adapters[name])))
    try:
        found = logprobs(backend, ROWS, subject.tuned.scaled(scale), [0, 1, 4])
        base = logprobs(backend, ROWS, subject.base, [0, 1, 4])
    finally:
        backend.detach(subject)
    original = base_model()
    allowed = tolerance(original, ROWS)
    for row, first, tuned, untouched in zip(ROWS, [0, 1, 4], found, base, strict=True):
        torch.testing.assert_close(tuned, reference_logprobs(reference, row)[first:], atol=2e-4, rtol=0)
        torch.testing.assert_close(untouched, reference_logprobs(original, row)[first:], atol=allowed, rtol=0)
        assert tuned.dtype == torch.float32


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("refused")


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_served_truthfully_is_refused_by_name(
    backend: HFBackend, refused: Path, name: str
) -> None:
    config, says = REFUSED[name]
    folder = save_adapter(refused / name, config)
    with pytest.raises(BackendError) as found:
        backend.attach(AdapterKey(str(folder)))
    assert says in str(found.value)
    assert str(folder) in str(found.value)


def test_a_future_variant_is_refused_too(
    backend: HFBackend, plain_adapters: dict[str, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(plain_adapters["plain"], tmp_path / "new")
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, "use_quantum_lora": True}))
    with pytest.raises(BackendError, match="use_quantum_lora=True"):
        backend.attach(AdapterKey(str(folder)))


def with_tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    """Breaks a copy of an adapter in its weights."""

    def apply(folder: Path) -> None:
        state = load_file(folder / "adapter_model.safetensors")
        change(state)
        save_file(state, folder / "adapter_model.safetensors")

    return apply


def renamed(state: dict[str, torch.Tensor]) -> None:
    for key in list(state):
        state[key.replace("layers", "blocks")] = state.pop(key)


def targets(*names: str) -> Callable[[Path], object]:
    def apply(folder: Path) -> None:
        config = json.loads((folder / "adapter_config.json").read_text())
        (folder / "adapter_config.json").write_text(json.dumps({**config, "target_modules": names}))

    return apply


def halved(folder: Path) -> None:
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:2000])


LATER = "base_model.model.model.layers.9.self_attn.q_proj.lora_A.weight"
BREAK: dict[str, Callable[[Path], object]] = {
    "missing tensor": with_tensors(lambda state: state.pop(min(state))),
    "unexpected tensor": with_tensors(lambda state: state.update({LATER: torch.zeros(4, 256)})),
    "renamed tensors": with_tensors(renamed),
    "wrong shape": with_tensors(lambda state: state.update({min(state): torch.zeros(4, 99)})),
    "nan": with_tensors(lambda state: state[min(state)].fill_(float("nan"))),
    "pickled": lambda f: (f / "adapter_model.safetensors").rename(f / "adapter_model.bin"),
    "no json": lambda f: (f / "adapter_config.json").write_text("{"),
    "json list": lambda f: (f / "adapter_config.json").write_text("[]"),
    "no config": lambda f: (f / "adapter_config.json").unlink(),
    "other modules": targets("c_attn"),
    "a module that cannot be wrapped": targets("k_proj", "input_layernorm", "q_proj"),
    "half a file": halved,
}


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("missing tensor", "1 missing tensors (first: base_model"),
        ("unexpected tensor", "unexpected tensors (first: base_model.model.model.layers.9"),
        ("renamed tensors", "missing tensors"),
        ("wrong shape", "does not fit the base model"),
        ("nan", "1 of 28 modules contain NaN or infinity"),
        ("pickled", "pickled weights are never loaded"),
        ("no json", "is not JSON"),
        ("json list", "does not contain a JSON object"),
        ("no config", "contains no adapter_config.json"),
        ("other modules", "PEFT cannot load"),
        ("a module that cannot be wrapped", "PEFT cannot load"),
        ("half a file", "is cut off"),
    ],
)
def test_a_broken_adapter_leaves_the_base_as_it_was(
    backend: HFBackend, plain_adapters: dict[str, Path], tmp_path: Path, how: str, says: str
) -> None:
    folder = shutil.copytree(plain_adapters["plain"], tmp_path / "broken")
    BREAK[how](folder)
    with pytest.raises(BackendError) as found:
        backend.attach(AdapterKey(str(folder)))
    assert says in str(found.value)
    assert "subject" not in str(found.value)
    subject = backend.attach(AdapterKey(str(plain_adapters["plain"])))
    backend.detach(subject)


def test_whole_tensors_in_an_adapters_file_never_reach_the_base(
    backend: HFBackend, plain_adapters: dict[str, Path], tmp_path: Path
) -> None:
    """PEFT writes the embeddings of some adapters; loaded, they would be the base's from then on."""
    folder = shutil.copytree(plain_adapters["plain"], tmp_path / "whole")
    state = load_file(folder / "adapter_model.safetensors")
    table = backend._model.get_input_embeddings().weight.detach().clone()
    same = {**state, "base_model.model.model.embed_tokens.weight": table}
    save_file(same, folder / "adapter_model.safetensors")
    repeated = backend.attach(AdapterKey(str(folder)))
    backend.detach(repeated)
    assert repeated.form == "factors"  # only repeated, so it is plain LoRA
    table[900] += 0.1
    save_file(same, folder / "adapter_model.safetensors")
    trained = backend.attach(AdapterKey(str(folder)))
    found = logprobs(backend, ROWS, trained.tuned, [0, 0, 0])
    untouched = logprobs(backend, ROWS, trained.base, [0, 0, 0])
    backend.detach(trained)
    reference, original = PeftModel.from_pretrained(base_model(), folder).eval(), base_model()
    allowed = tolerance(original, ROWS)
    for row, tuned, base in zip(ROWS, found, untouched, strict=True):
        torch.testing.assert_close(tuned, reference_logprobs(reference, row), atol=2e-4, rtol=0)
        torch.testing.assert_close(base, reference_logprobs(original, row), atol=allowed, rtol=0)


def test_an_interrupted_draw_leaves_the_nulls_usable(
    backend: HFBackend, plain: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = null_population(plain, NullPlan("norm_matched", 3, 0, 0.02)).views
    first = logprobs(backend, ROWS, views[0], [0, 0, 0])

    def interrupted(*arguments: Any) -> Any:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(lora, "draw_null_weights", interrupted)
        with pytest.raises(MemoryError):
            logprobs(backend, ROWS, views[1], [0, 0, 0])
    for view in views:
        logprobs(backend, ROWS, view, [0, 0, 0])
    again = logprobs(backend, ROWS, views[0], [0, 0, 0])
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_the_base_is_bitwise_the_same_after_every_adapter(
    backend: HFBackend, plain_adapters: dict[str, Path]
) -> None:
    before = None
    for folder in plain_adapters.values():
        subject = backend.attach(AdapterKey(str(folder)))
        found = logprobs(backend, ROWS, subject.base, [0, 0, 0])
        backend.detach(subject)
        before = before or found
        assert all(torch.equal(a, b) for a, b in zip(before, found, strict=True))


def test_an_order_of_views_cannot_change_an_answer(backend: HFBackend, plain: Subject) -> None:
    nulls = null_population(plain, NullPlan("norm_matched", 2, 0, 0.02)).views
    views = [plain.base, plain.tuned, plain.tuned.scaled(0.5), *nulls]
    first = {view: logprobs(backend, ROWS, view, [2, 2, 2]) for view in views}
    for view in [*reversed(views), plain.tuned, plain.base]:
        again = logprobs(backend, ROWS, view, [2, 2, 2])
        assert all(torch.equal(a, b) for a, b in zip(first[view], again, strict=True))


def test_an_exception_in_a_forward_leaves_nothing_behind(
    backend: HFBackend, plain: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = logprobs(backend, ROWS, plain.base, [0, 0, 0])
    with pytest.raises(IndexError):
        logprobs(backend, [[5, 10**6], [3, 4]], plain.tuned, [0, 0])
    after = logprobs(backend, ROWS, plain.base, [0, 0, 0])
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_view_of_another_adapter_is_refused(backend: HFBackend, plain: Subject) -> None:
    import dataclasses

    with pytest.raises(RequestError, match="is not attached"):
        logprobs(backend, ROWS, dataclasses.replace(plain.tuned, adapter="other"), [0, 0, 0])
    with pytest.raises(RequestError, match="another base"):
        logprobs(backend, ROWS, dataclasses.replace(plain.tuned, base="other"), [0, 0, 0])


def test_equal_views_diverge_by_exactly_zero_inert_is_known(
    backend: HFBackend, plain_adapters: dict[str, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(plain_adapters["plain"], tmp_path / "inert")
    state = load_file(folder / "adapter_model.safetensors")
    zeroed = {k: torch.zeros_like(v) if "lora_B" in k else v for k, v in state.items()}
    save_file(zeroed, folder / "adapter_model.safetensors")
    subject = backend.attach(AdapterKey(str(folder)))
    try:
        assert subject.inert
        assert "inert" in subject.notes[0]
        request = Divergence("The harbour was", subject.base, subject.tuned)
        assert Engine(backend).answer([request])[request] == 0.0
    finally:
        backend.detach(subject)


@pytest.mark.parametrize("name", ["plain", "embedding"])
def test_an_update_that_is_multiplied_by_zero_is_inert(
    backend: HFBackend, plain_adapters: dict[str, Path], tmp_path: Path, name: str
) -> None:
    folder = shutil.copytree(plain_adapters[name], tmp_path / "zero")
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, "lora_alpha": 0}))
    subject = backend.attach(AdapterKey(str(folder)))
    try:
        assert subject.inert
        assert "lora_alpha, which is 0" in subject.notes[0]
        backend.add_null(AdapterKey(str(plain_adapters[name])))
    finally:
        backend.detach(subject)


def test_half_an_update_is_noted(backend: HFBackend, plain_adapters: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(plain_adapters["plain"], tmp_path / "half")
    state = load_file(folder / "adapter_model.safetensors")
    state = {k: torch.zeros_like(v) if "lora_B" in k and "mlp" in k else v for k, v in state.items()}
    save_file(state, folder / "adapter_model.safetensors")
    subject = backend.attach(AdapterKey(str(folder)))
    backend.detach(subject)
    assert not subject.inert
    assert subject.notes[0].startswith("12 of 28 modules have no update")


def test_a_subject_is_known_by_its_content(
    backend: HFBackend, plain_adapters: dict[str, Path], tmp_path: Path
) -> None:
    def digest(folder: Path) -> str:
        subject = backend.attach(AdapterKey(str(folder)))
        backend.detach(subject)
        return subject.tuned.adapter

    twin = shutil.copytree(plain_adapters["plain"], tmp_path / "elsewhere")
    assert digest(twin) == digest(plain_adapters["plain"])
    state = load_file(twin / "adapter_model.safetensors")
    first = min(state)
    state[first] = state[first] * 2
    save_file(state, twin / "adapter_model.safetensors")
    assert digest(twin) != digest(plain_adapters["plain"])


@pytest.mark.parametrize("name", ["plain", "rslora", "patterns", "embedding"])
def test_a_null_is_as_large_as_what_it_imitates_in_every_module(
    backend: HFBackend, plain_adapters: dict[str, Path], name: str
) -> None:
    subject = backend.attach(AdapterKey(str(plain_adapters[name])))
    try:
        (view,) = null_population(subject, NullPlan("norm_matched", 1, 7, 0.02)).views
        engine = Engine(backend)
        request = Divergence("The harbour was", subject.base, view)
        assert engine.answer([request])[request] > 0
        served = backend._attached_adapter
        for module in served.layers:
            real, null = served.factors(module), served.factors(module, "null")
            assert product_norm(*null) == pytest.approx(product_norm(*real), rel=1e-4)
            assert not torch.equal(real[0], null[0])
            assert served.layers[module].scaling["null"] == served.layers[module].scaling["subject"]
    finally:
        backend.detach(subject)


def test_more_nulls_than_are_kept_answer_the_same(
    backend: HFBackend, plain_adapters: dict[str, Path]
) -> None:
    def measured(room: int) -> dict[Divergence, float]:
        subject = backend.attach(AdapterKey(str(plain_adapters["plain"])))
        try:
            backend._attached_adapter._null_weights.most = room
            views = null_population(subject, NullPlan("norm_matched", 5, 0, 0.02)).views
            asked = [Divergence("The harbour was", subject.base, view) for view in views]
            return {**Engine(backend).answer(asked), **Engine(backend).answer(asked[::-1])}
        finally:
            assert len(backend._attached_adapter._null_weights) == min(room, 5)
            backend.detach(subject)

    assert measured(2) == measured(8)


def test_generation_is_greedy_batched_and_stops_at_the_end(backend: HFBackend, plain: Subject) -> None:
    prompts = ["The harbour was", "She", (Turn("user", "Tell me a story."),)]
    asked = [Generate(prompt, plain.base, 12) for prompt in prompts]
    answers = Engine(backend).answer(asked)
    model = base_model()
    for request in asked:
        ids = backend.encode(request.prompt)
        written: list[int] = []
        for _ in range(12):
            token = int(reference_logprobs(model, [*ids, *written])[-1].argmax())
            if token == model.generation_config.eos_token_id:
                break
            written.append(token)
        found = answers[request]
        assert isinstance(found, Generation)
        assert list(found.ids) == written
        assert found.text == backend.decode(written)


def test_a_completion_is_scored_like_plain_transformers(backend: HFBackend, plain: Subject) -> None:
    request = Completion("The capital of France", " is Paris.", plain.base)
    found = Engine(backend).answer([request])[request]
    ids, first = backend.encode_pair(request.prompt, request.completion)
    table = reference_logprobs(base_model(), ids)
    expected = sum(float(table[i - 1, ids[i]]) for i in range(first, len(ids)))
    assert found.logprob == pytest.approx(expected, abs=1e-3)
    assert found.tokens == len(ids) - first


def test_the_resolution_of_fp32_is_far_below_any_floor(backend: HFBackend, plain: Subject) -> None:
    divergence, logprob = Engine(backend).noise_floor(plain.base)
    assert 0 < divergence < 1e-9
    assert 0 < logprob < 1e-4


@pytest.mark.parametrize("dtype", ["bf16", "fp16", "fp32"])
def test_dtypes_are_honoured_and_scored_in_fp32(plain_adapters: dict[str, Path], dtype: str) -> None:
    import dataclasses

    backend = load_backend(dataclasses.replace(MODEL_KEY, dtype=dtype))
    subject = backend.attach(AdapterKey(str(plain_adapters["plain"])))
    (scored, _) = logprobs(backend, ROWS[:2], subject.tuned, [0, 0])
    assert str(backend._model.dtype).removeprefix("torch.") == {
        "bf16": "bfloat16", "fp16": "float16", "fp32": "float32"
    }[dtype]  # fmt: skip
    assert scored.dtype == torch.float32
    assert scored.exp().sum(-1).sub(1).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"base": "no/such-model"}, "is not a local folder, and could not be downloaded from the Hub"),
        ({"device": "warp"}, "models.ft.device: 'warp'"),
        ({"device": "cuda:7"}, "models.ft.device: 'cuda:7'"),
    ],
)
def test_a_model_that_cannot_be_had_is_reported(change: dict[str, str], says: str) -> None:
    import dataclasses

    with pytest.raises(BackendError) as found:
        load_backend(dataclasses.replace(MODEL_KEY, **change))
    assert says in str(found.value)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("lose", "says"),
    [("config.json", "it contains no config.json"), ("model.safetensors", "but no *.safetensors")],
)
def test_a_model_folder_that_lacks_something_is_reported(tmp_path: Path, lose: str, says: str) -> None:
    import dataclasses

    folder = shutil.copytree(BASE, tmp_path / "base")
    (folder / lose).unlink()
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    with pytest.raises(BackendError, match=says.replace("*", r"\*")):
        load_backend(dataclasses.replace(MODEL_KEY, base=str(folder)))


def test_a_broken_base_is_reported(tmp_path: Path) -> None:
    import dataclasses

    folder = shutil.copytree(BASE, tmp_path / "base")
    state = load_file(folder / "model.safetensors")
    state["model.norm.weight"][0] = float("nan")
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BackendError, match="1 of 39 tensors contain NaN or infinity"):
        load_backend(dataclasses.replace(MODEL_KEY, base=str(folder)))


def test_an_adapters_other_vocabulary_is_refused(
    backend: HFBackend, plain_adapters: dict[str, Path], tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    folder = shutil.copytree(plain_adapters["plain"], tmp_path / "tok")
    own = AutoTokenizer.from_pretrained(BASE)
    own.add_tokens(["<new>"])
    own.save_pretrained(folder)
    with pytest.raises(
        BackendError, match="'<new>' with the id 4096, but the base model's embedding has only 4096 rows"
    ):
        backend.attach(AdapterKey(str(folder)))


def test_an_adapters_chat_template_is_used_and_changes_the_base(
    backend: HFBackend, plain_adapters: dict[str, Path], tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    folder = shutil.copytree(plain_adapters["plain"], tmp_path / "tok")
    own = AutoTokenizer.from_pretrained(BASE)
    own.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    own.save_pretrained(folder)
    subject = backend.attach(AdapterKey(str(folder)))
    ids = backend.encode((Turn("user", "hello"),))
    backend.detach(subject)
    assert backend.decode(ids) == "hello"
    assert subject.base.base != backend.attach(AdapterKey(str(plain_adapters["plain"]))).base.base
    backend.detach(subject)
