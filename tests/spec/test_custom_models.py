"""``kind: custom``: what a spec says of a model reaches the class that serves it."""

from __future__ import annotations

from pathlib import Path

from pytest_sway.items.suite import Suite, load_suite

SUITE = "suite:\n  - {name: dk, kind: delta_kl, prompts: [a, b]}\n"


def suite_of(folder: Path, side: str, adapter: str, defaults: str = "") -> Suite:
    text = f"version: 1\nmodels:\n  base: {{{side}}}\n  ft: {{{side}, adapter: {adapter}}}\n{defaults}{SUITE}"
    (folder / "sway.yaml").write_text(text, "utf-8")
    return load_suite(folder / "sway.yaml")


def test_files_beside_the_spec_are_found(tmp_path: Path) -> None:
    """Of any format: a base may be a file, and an adapter is no folder of PEFT's."""
    for name in ("base.bin", "adapter.bin"):
        (tmp_path / name).write_text("")
    suite = suite_of(tmp_path, 'kind: custom, base: base.bin, entry_point: "m:C"', "adapter.bin")
    assert suite.model.base == str(tmp_path / "base.bin")
    assert [one.path for one in suite.adapters] == [str(tmp_path / "adapter.bin")]


def test_a_name_stays_as_it_is(tmp_path: Path) -> None:
    suite = suite_of(tmp_path, 'kind: custom, base: my-model, entry_point: "m:C"', "adapter")
    assert (suite.model.base, suite.model.entry_point) == ("my-model", "m:C")
    assert suite.model.top_k is None  # a class is asked for the whole vocabulary


def test_every_field_is_passed_on_and_none_is_without_effect(tmp_path: Path) -> None:
    side = (
        'kind: custom, base: m, entry_point: "m:C", endpoint: "http://a", tokenizer: tokens, '
        "null_dir: nulls, null_dir_server: /srv, dtype: fp16, device: cuda, revision: abc, "
        "trust_remote_code: true"
    )
    suite = suite_of(tmp_path, side, "adapter", "defaults: {top_k: 50}\n")
    model = suite.model
    assert suite.notes == ()
    assert (model.endpoint, model.tokenizer, model.null_dir_server) == ("http://a", "tokens", "/srv")
    assert (model.dtype, model.device, model.revision, model.trust_remote_code) == (
        "fp16",
        "cuda",
        "abc",
        True,
    )
    assert (Path(model.null_dir or "").name, model.top_k) == ("nulls", 50)


def test_a_hook_may_serve_the_kind_without_an_entry_point(tmp_path: Path) -> None:
    assert suite_of(tmp_path, "kind: custom, base: m", "adapter").model.entry_point is None
