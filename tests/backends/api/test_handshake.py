"""Each way in which a server was seen to answer wrongly with status 200 is found before the first probe."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_sway.backends.base import AdapterKey, BackendError
from pytest_sway.engine.engine import Engine
from pytest_sway.requests import Completion, Divergence
from tests.backends.api.conftest import Open
from tests.support.completions_server import CompletionsServer, Reply, error
from tests.support.paths import QUICKSTART
from tests.support.peft_adapters import lora, save_adapter

HEALTHY = AdapterKey(str(QUICKSTART / "adapters" / "healthy"))
Change = Callable[[dict[str, Any], dict[str, Any]], None]


def changed(server: CompletionsServer, change: Change) -> None:
    """Have every completion's answer changed before it is sent."""

    def override(self: CompletionsServer, path: str, body: dict[str, Any]) -> Reply | None:
        if path != "/v1/completions":
            return None
        status, content = self.true_answer(path, body)
        if status == 200:
            change(body, content)
        return status, content

    server.override = override


def refusal(open_backend: Open, adapter: AdapterKey = HEALTHY, **fields: Any) -> str:
    """Why a backend, or an adapter on it, is refused."""
    with pytest.raises(BackendError) as refused:
        open_backend(**fields).attach(adapter)
    return str(refused.value)


def test_what_a_good_server_can_do(open_backend: Open) -> None:
    backend = open_backend()
    facts = backend._base.facts
    assert (facts.engine, facts.dialect, facts.context) == ("vLLM 0.32.0", "prompt_logprobs", 1023)
    assert (facts.top, facts.vocabulary, facts.writes_ids) == (4096, 4096, True)
    subject = backend.attach(HEALTHY)
    level = backend.determinism(batch_invariant=False)
    assert level.level == "strict"
    notes = " ".join(subject.notes)
    assert "Its weights cannot be verified" in notes
    assert "not cached on disk" in notes
    assert backend.identity == ""


def test_a_router_that_knows_no_negative_number(open_backend: Open, server: CompletionsServer) -> None:
    says = "logprobs: invalid value: integer `-1`, expected u32"
    server.override = lambda _, path, body: error(422, says) if body.get("logprobs", 0) < 0 else None
    assert open_backend()._base.facts.is_whole


def test_a_revision_names_the_weights_and_keeps_answers(open_backend: Open) -> None:
    backend = open_backend(revision="2026-11-30")
    assert "vLLM 0.32.0" in backend.identity
    assert "cached on disk only for the revision 2026-11-30" in " ".join(backend.attach(HEALTHY).notes)


def test_a_model_that_is_not_served(open_backend: Open) -> None:
    assert "does not serve 'bass'. It serves base;" in refusal(open_backend, base="bass")


def test_a_server_that_ignores_what_it_is_asked(open_backend: Open, server: CompletionsServer) -> None:
    changed(server, lambda _, answer: [choice.pop("prompt_logprobs", 0) for choice in answer["choices"]])
    says = refusal(open_backend)
    assert "does not return log-probabilities of prompt tokens" in says
    assert "prompt_logprobs: the server returned no log-probabilities" in says
    assert "echo: the server returned 0" in says


def test_a_server_that_makes_the_numbers_up(open_backend: Open, server: CompletionsServer) -> None:
    def flat(body: dict[str, Any], answer: dict[str, Any]) -> None:
        for choice in answer["choices"]:
            for place in choice.get("prompt_logprobs") or []:
                for value in (place or {}).values():
                    value["logprob"] = -1.0

    changed(server, flat)
    assert "every token has the log-probability -1" in refusal(open_backend)


@pytest.mark.parametrize("found", [0.5, float("nan")])
def test_what_is_no_log_probability(open_backend: Open, server: CompletionsServer, found: float) -> None:
    def broken(body: dict[str, Any], answer: dict[str, Any]) -> None:
        for choice in answer["choices"]:
            for place in choice.get("prompt_logprobs") or []:
                for value in (place or {}).values():
                    value["logprob"] = found

    changed(server, broken)
    assert "does not return log-probabilities of prompt tokens" in refusal(open_backend)


@pytest.mark.slow
def test_echo_is_the_second_way(open_backend: Open, server: CompletionsServer) -> None:
    def echo(self: CompletionsServer, path: str, body: dict[str, Any]) -> Reply | None:
        if "prompt_logprobs" in body:
            return error(400, "unknown field prompt_logprobs")
        if not body.get("echo"):
            return None
        choices = []
        for index, ids in enumerate(body["prompt"]):
            rows = self.scores(body["model"], ids)
            nats = [None, *(float(row[token]) for row, token in zip(rows, ids[1:], strict=False)), -1.0]
            tokens = [f"token_id:{token}" for token in [*ids, 7]]
            choices.append({"index": index, "logprobs": {"tokens": tokens, "token_logprobs": nats}})
        return 200, {"model": body["model"], "choices": choices}

    asked = Completion("The lantern", " works", None)  # type: ignore[arg-type]
    found = []
    for override in (server.override, echo):
        server.override = override
        backend = open_backend()
        subject = backend.attach(HEALTHY)
        request = Completion(asked.prompt, asked.completion, subject.tuned)
        found.append(Engine(backend).answer([request])[request].logprob)
        backend.detach(subject)
    assert backend._base.facts.dialect == "echo"
    assert found[0] == pytest.approx(found[1], abs=1e-6)


def test_another_tokenizer(open_backend: Open, server: CompletionsServer) -> None:
    server.override = lambda _, path, body: (200, {"tokens": [1, 2, 3]}) if path == "/tokenize" else None
    assert "the server's tokenizer for 'base' gives different token ids" in refusal(open_backend)


def test_ids_that_the_server_read_otherwise(open_backend: Open, server: CompletionsServer) -> None:
    def shorter(body: dict[str, Any], answer: dict[str, Any]) -> None:
        answer["usage"]["prompt_tokens"] -= 1

    changed(server, shorter)
    assert "tokens, but" in refusal(open_backend)

    def other(body: dict[str, Any], answer: dict[str, Any]) -> None:
        for choice in answer["choices"]:
            choice["prompt_token_ids"] = [9]

    changed(server, other)
    assert "processed different token ids" in refusal(open_backend)


def test_a_server_that_answers_as_another_model(open_backend: Open, server: CompletionsServer) -> None:
    changed(server, lambda _, answer: answer.update(model="gpt-9"))
    assert "for the model 'base', but the server answered with 'gpt-9'" in refusal(open_backend)


def test_log_probabilities_after_sampling(open_backend: Open, server: CompletionsServer) -> None:
    server.temperature = 0.5
    assert "--logprobs-mode raw_logprobs" in refusal(open_backend)


@pytest.mark.slow
def test_adapters_that_are_mixed_up(open_backend: Open, server: CompletionsServer) -> None:
    """As vLLM on CPUs does with a base beside adapters."""

    def mixing(body: dict[str, Any], answer: dict[str, Any]) -> None:
        if "prompt_logprobs" not in body:
            return
        deadline = time.monotonic() + 0.5  # on a busy machine the other request comes later
        while len(server.at_once) == 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        if len(server.at_once) > 1:
            for choice in answer["choices"]:
                for place in choice["prompt_logprobs"][1:]:
                    for value in place.values():
                        value["logprob"] -= 2.0

    changed(server, mixing)
    assert "the server mixes up the models" in refusal(open_backend)


@pytest.mark.parametrize("dropped", [("o_proj",), ("q_proj", "down_proj")])
def test_modules_that_the_server_drops(
    open_backend: Open, server: CompletionsServer, dropped: tuple[str, ...]
) -> None:
    server.dropped = frozenset(dropped)
    says = refusal(open_backend)
    assert f"silently ignores the adapter's changes in {', '.join(sorted(dropped))}" in says
    assert "--lora-target-modules" in says
    assert not server.adapters


def test_a_server_that_reads_no_lora_alpha(open_backend: Open, server: CompletionsServer) -> None:
    add = server.add

    def at_full_strength(name: str, path: str) -> None:
        file = Path(path, "adapter_config.json")
        own = file.read_text()
        config = json.loads(own)
        if config["lora_alpha"] and "canary" not in name:
            config["lora_alpha"] = 16
        file.write_text(json.dumps(config))
        add(name, path)

    server.add = at_full_strength  # type: ignore[method-assign]
    assert "half strength" in refusal(open_backend)


def test_an_adapter_of_zeros_that_changes_something(open_backend: Open, server: CompletionsServer) -> None:
    add = server.add

    def never_zero(name: str, path: str) -> None:
        file = Path(path, "adapter_config.json")
        file.write_text(json.dumps({**json.loads(file.read_text()), "lora_alpha": 16}))
        add(name, path)

    server.add = never_zero  # type: ignore[method-assign]
    assert "the adapter at strength 0 should give the same" in refusal(open_backend)


def test_a_server_that_loads_nothing_while_it_runs(open_backend: Open, server: CompletionsServer) -> None:
    server.loads_adapters = False
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True" in refusal(open_backend)


def test_a_folder_that_the_server_does_not_see(open_backend: Open) -> None:
    says = refusal(open_backend, null_dir_server="/not/there")
    assert "cannot load the adapter from /not/there/sway-" in says
    assert "models.ft.null_dir_server" in says


def test_a_reason_of_the_servers_own(open_backend: Open, server: CompletionsServer) -> None:
    message = "Call to add_lora method failed: LoRA rank 32 is greater than max_lora_rank 16"
    server.override = lambda _, path, body: error(500, message) if path == "/v1/load_lora_adapter" else None
    assert message in refusal(open_backend)
    assert sum(path == "/v1/load_lora_adapter" for path, _ in server.asked) == 1


def test_replicas_with_lists_of_their_own(open_backend: Open, server: CompletionsServer) -> None:
    server.replicas = 2
    assert "VLLM_PLUGINS=lora_filesystem_resolver" in refusal(open_backend)


def test_adapters_that_a_server_cannot_add(open_backend: Open, tmp_path: Path) -> None:
    for name, options, says in (
        ("dora", {"use_dora": True}, "is not plain LoRA"),
        ("head", {"target_modules": ["lm_head"]}, "which a server would ignore"),
    ):
        folder = save_adapter(tmp_path / name, lora(**options))
        assert says in refusal(open_backend, AdapterKey(str(folder)))


def test_answers_of_a_name_alone_are_not_those_of_the_next_run(
    open_backend: Open, server: CompletionsServer
) -> None:
    server.add("tuned", str(QUICKSTART / "adapters" / "healthy"))
    digests = [
        open_backend(revision="r1").attach(AdapterKey(None, "tuned", revision)).tuned.adapter
        for revision in (None, None, "r2", "r2")
    ]
    assert len(set(digests)) == 3
    assert digests[2] == digests[3]


@pytest.mark.slow
def test_a_dtype_is_part_of_the_identity(open_backend: Open) -> None:
    digests = {open_backend(dtype=dtype).attach(HEALTHY).base.base for dtype in ("auto", "bf16")}
    assert len(digests) == 2


def test_a_second_model_of_another_tokenizer(open_backend: Open, server: CompletionsServer) -> None:
    """One gateway before two engines."""

    def two(self: CompletionsServer, path: str, body: dict[str, Any]) -> Reply | None:
        if path == "/v1/models":
            entry = {"owned_by": "vllm", "parent": None, "max_model_len": 1024}
            return 200, {"data": [{"id": name, **entry} for name in ("base", "tuned")]}
        return (200, {"tokens": [1]}) if path == "/tokenize" and body["model"] == "tuned" else None

    server.override = two
    assert "the server's tokenizer for 'tuned'" in refusal(open_backend, AdapterKey(None, "tuned"))


def test_the_adapters_of_other_runs_are_not_asked(open_backend: Open, server: CompletionsServer) -> None:
    for name in ("tuned", "theirs", "sway-1234-5678"):
        server.add(name, str(QUICKSTART / "adapters" / "healthy"))
    open_backend().attach(AdapterKey(None, "tuned"))
    asked = {body["model"] for path, body in server.asked if path == "/v1/completions"}
    assert asked == {"base", "tuned", "theirs"}


def test_no_second_model(open_backend: Open) -> None:
    assert "compares two models" in refusal(open_backend, AdapterKey(None))
    assert "not an adapter on a fine-tuned" in refusal(open_backend, AdapterKey("x", "tuned"))
    assert "does not serve 'tuned'. It serves base;" in refusal(open_backend, AdapterKey(None, "tuned"))


def test_two_names_of_one_model_are_a_warning(open_backend: Open, server: CompletionsServer) -> None:
    server.add("tuned", str(QUICKSTART / "adapters" / "inert"))
    subject = open_backend().attach(AdapterKey(None, "tuned"))
    assert "the same model under two names, or the server does not apply the adapter" in subject.warnings[0]


def test_a_folder_without_a_config(open_backend: Open, tmp_path: Path) -> None:
    for file in (QUICKSTART / "base").glob("tokenizer*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert "contains no config.json" in refusal(open_backend, tokenizer=str(tmp_path))


def test_a_server_that_was_restarted_with_other_weights(
    open_backend: Open, server: CompletionsServer
) -> None:
    backend = open_backend()
    subject = backend.attach(HEALTHY)
    engine = Engine(backend)
    engine.answer([Divergence("The", subject.base, subject.tuned)])
    for tensor in server.model.parameters():
        tensor.data *= 1.1
    server._scored.clear()
    with pytest.raises(BackendError, match="nats since the start"):
        engine.answer([Divergence("A", subject.base, subject.tuned)])


def test_a_server_that_was_restarted_with_the_same(open_backend: Open, server: CompletionsServer) -> None:
    backend = open_backend()
    subject = backend.attach(HEALTHY)
    engine = Engine(backend)
    first = Completion("The", " works", subject.tuned)
    before = engine.answer([first])[first].logprob
    server.adapters.clear()
    again = Completion("The", " works", subject.tuned.scaled(1.0001))
    assert engine.answer([again])[again].logprob == pytest.approx(before, abs=0.01)
