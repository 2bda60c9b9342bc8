"""Fields of an adapter_config.json that PEFT does not know: a leftover is ignored, a variant is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peft
import pytest

from pytest_sway.backends.base import BackendError
from pytest_sway.backends.hf.adapter_files.adapter_config import read_adapter_files
from tests.support.adapter_stubs import adapter_stub

LEFTOVERS: list[dict[str, Any]] = [
    {"unsloth_fixed": True},
    {"_from_model_config": True, "architectures": ["LlamaForCausalLM"], "use_cache": True},
    {"trained_on": "a100", "peft_version": None},
    {"_name_or_path": "x", "peft_version": "99.0.0.dev0@abc"},
    {"wandb_run": "abc", "peft_version": "0.7.1"},
]


@pytest.mark.parametrize("fields", LEFTOVERS)
def test_leftovers_are_ignored_with_a_note(tmp_path: Path, fields: dict[str, Any]) -> None:
    config = {"peft_version": peft.__version__, **fields}
    found = read_adapter_files(str(adapter_stub(tmp_path, **config)))
    assert found.form == "plain"
    (note,) = found.notes
    assert all(name in note for name in fields if name != "peft_version")
    assert "can be removed" in note


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"some_switch": True, "peft_version": "99.0"}, "PEFT 99.0 wrote the adapter. Install that version"),
        ({"some_switch": 3, "peft_version": "99.0.0.dev0@UNKNOWN"}, "Install that version"),
        ({"use_quantum_lora": True}, "a fork of PEFT may have written the adapter"),
        ({"lora_nums": 3, "peft_version": None}, "a fork of PEFT may have written the adapter"),
        ({"alora_invocation_tokens": [5]}, "the effect of this setting on the weights has not been verified"),
    ],
)
def test_what_may_change_the_numbers_is_refused(tmp_path: Path, fields: dict[str, Any], says: str) -> None:
    config = {"peft_version": peft.__version__, **fields}
    name = next(name for name in fields if name != "peft_version")
    with pytest.raises(BackendError) as found:
        read_adapter_files(str(adapter_stub(tmp_path, **config)))
    assert f"{name}={fields[name]!r}" in str(found.value)
    assert says in str(found.value)


def test_what_a_newer_peft_left_at_nothing_is_nothing(tmp_path: Path) -> None:
    found = read_adapter_files(str(adapter_stub(tmp_path, some_switch=None, others=[], peft_version="99.0")))
    assert not found.notes


def test_a_task_that_is_not_the_bases_is_noted(tmp_path: Path) -> None:
    (note,) = read_adapter_files(str(adapter_stub(tmp_path, task_type="SEQ_CLS"))).notes
    assert "task_type is SEQ_CLS" in note
