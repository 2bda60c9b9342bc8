"""``kind: api``: two models by name, two servers, an adapter's folder, and a key that no report holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_sway.items.suite import Suite, load_suite
from pytest_sway.spec.problems import SpecError
from tests.support.paths import QUICKSTART

SUITE = "suite:\n  - {name: dk, kind: delta_kl, prompts: [a, b]}\n"


def suite_of(folder: Path, base: str, ft: str, defaults: str = "") -> Suite:
    text = f"version: 1\nmodels:\n  base: {{{base}}}\n  ft: {{{ft}}}\n{defaults}{SUITE}"
    (folder / "sway.yaml").write_text(text, "utf-8")
    return load_suite(folder / "sway.yaml")


def problems(folder: Path, base: str, ft: str, defaults: str = "") -> str:
    with pytest.raises(SpecError) as refused:
        suite_of(folder, base, ft, defaults)
    return str(refused.value)


TWO = "defaults: {differential: false}\n"


def test_dlm_sways_form_with_two_names(tmp_path: Path) -> None:
    """One endpoint, two names: a spec of dlm-sway's runs as it is."""
    suite = suite_of(
        tmp_path,
        "kind: api, base: base-model, endpoint: http://127.0.0.1:8000",
        "kind: api, base: my-tune, endpoint: http://127.0.0.1:8000",
        TWO,
    )
    assert (suite.model.kind, suite.model.base) == ("api", "base-model")
    assert suite.model.endpoint == "http://127.0.0.1:8000"
    (adapter,) = suite.adapters
    assert (adapter.path, adapter.model, adapter.endpoint) == (None, "my-tune", "http://127.0.0.1:8000")
    assert suite.notes == ()


def test_two_servers_with_one_name_and_keys_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY_A", "a-secret")
    monkeypatch.setenv("KEY_B", "b-secret")
    suite = suite_of(
        tmp_path,
        'kind: api, base: m, endpoint: "http://a", api_key: "${KEY_A}"',
        'kind: api, base: m, endpoint: "http://b", api_key: "${KEY_B}"',
        TWO,
    )
    (adapter,) = suite.adapters
    assert (suite.model.endpoint, suite.model.api_key) == ("http://a", "a-secret")
    assert (adapter.model, adapter.endpoint, adapter.api_key) == ("m", "http://b", "b-secret")
    assert "secret" not in f"{suite.model!r} {adapter!r} {suite.spec.envelope.models!r}"


def test_an_adapters_folder_on_a_served_base(tmp_path: Path) -> None:
    (tmp_path / "tokens").mkdir()
    side = (
        'kind: api, base: m, endpoint: "http://a", tokenizer: tokens, null_dir: nulls, null_dir_server: /srv'
    )
    suite = suite_of(tmp_path, side, f"{side}, adapter: ad", "defaults: {top_k: 50}\n")
    assert suite.model.tokenizer == str(tmp_path / "tokens")
    assert suite.model.null_dir is not None
    assert Path(suite.model.null_dir).name == "nulls"
    assert (suite.model.null_dir_server, suite.model.top_k) == ("/srv", 50)
    assert suite.adapters[0].model is None
    assert suite.notes == ()


def test_a_base_that_is_a_folder_brings_its_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    side = 'kind: api, base: ./model, endpoint: "http://a"'
    suite = suite_of(tmp_path, side, f"{side}, adapter: ad")
    assert (suite.model.base, suite.model.tokenizer) == ("./model", str(tmp_path / "model"))


@pytest.mark.parametrize("written", ["sk-abc123", "'prefix-${HOME}'", "12345"])
def test_a_key_in_the_file_is_refused_and_not_shown(tmp_path: Path, written: str) -> None:
    side = f'kind: api, base: m, endpoint: "http://a", api_key: {written}'
    says = problems(tmp_path, 'kind: api, base: m, endpoint: "http://a"', f"{side}, adapter: ad")
    assert "models.ft.api_key: a secret must not be in the spec as plain text. Write ${NAME}" in says
    assert written.strip("'") not in says


def test_a_key_that_is_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_KEY", raising=False)
    side = 'kind: api, base: m, endpoint: "http://a", api_key: "${NO_KEY}"'
    assert "the environment variable NO_KEY is not set" in problems(tmp_path, side, f"{side}, adapter: ad")


def test_keys_that_differ_for_one_model_are_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY_A", "a-secret")
    monkeypatch.setenv("KEY_B", "b-secret")
    base = 'kind: api, base: m, endpoint: "http://a", api_key: "${KEY_A}"'
    suite = suite_of(tmp_path, base, base.replace("KEY_A", "KEY_B") + ", adapter: ad")
    (note,) = suite.notes
    assert "models.base.api_key has no effect" in str(note)
    assert "secret" not in str(note)
    assert suite.model.api_key == "b-secret"


def test_one_server_written_in_two_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has one key, whichever side names it."""
    monkeypatch.setenv("KEY_A", "a-secret")
    suite = suite_of(
        tmp_path,
        'kind: api, base: m, endpoint: "http://a"',
        'kind: api, base: n, endpoint: "http://a/v1/", api_key: "${KEY_A}"',
        TWO,
    )
    assert suite.model.api_key == "a-secret"
    same = 'kind: api, base: m, endpoint: "http://a/v1", adapter: ad'
    assert suite_of(tmp_path, 'kind: api, base: m, endpoint: "http://a"', same, TWO).adapters[0].model is None


def test_variables_that_are_not_set_are_as_if_nothing_was_written(tmp_path: Path) -> None:
    fields = (f'{name}: "${{NO_SUCH_NAME:-}}"' for name in ("endpoint", "tokenizer", "null_dir"))
    side = f"kind: api, base: m, {', '.join(fields)}"
    suite = suite_of(tmp_path, side, f"{side}, adapter: ad")
    assert (suite.model.endpoint, suite.model.tokenizer, suite.model.null_dir) == (None, None, None)


@pytest.mark.parametrize("top", [0, -1])
def test_no_tokens_are_no_number_of_tokens(tmp_path: Path, top: int) -> None:
    side = 'kind: api, base: m, endpoint: "http://a"'
    says = problems(tmp_path, side, f"{side}, adapter: ad", f"defaults: {{top_k: {top}}}\n")
    assert "defaults.top_k" in says


@pytest.mark.parametrize("field", ["endpoint", "tokenizer", "null_dir"])
def test_a_field_that_another_kind_does_not_read(tmp_path: Path, field: str) -> None:
    side = f"kind: hf, base: '{QUICKSTART / 'base'}'"
    suite = suite_of(tmp_path, side, f"{side}, {field}: x, adapter: '{QUICKSTART / 'adapters' / 'healthy'}'")
    (note,) = suite.notes
    kinds = "api, gguf, custom" if field == "endpoint" else "api, custom"
    assert f"models.ft.{field} has no effect with kind: hf; it applies only to kind: {kinds}" in str(note)
