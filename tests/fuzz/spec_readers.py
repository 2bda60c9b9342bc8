"""Readers of specs."""

from __future__ import annotations

from pathlib import Path

from pytest_sway.spec.parser import parse
from pytest_sway.spec.problems import SpecError
from pytest_sway.spec.yaml_source import read_spec
from tests.fuzz.mutations import yaml_documents
from tests.fuzz.reader import Reader

_SPEC = {
    "version": 1,
    "models": {
        "base": {"kind": "hf", "base": "./base"},
        "ft": {"kind": "hf", "base": "./base", "adapter": "./a"},
    },
    "defaults": {"seed": 0, "differential": True},
    "suite": [
        {"name": "dk", "kind": "delta_kl", "prompts": ["The sky is", "2 + 2 ="], "assert_mean_gte": 0.02},
        {"name": "null", "kind": "null_adapter", "runs": 3},
    ],
}


def _read(file: Path) -> None:
    _, problems = parse(read_spec(file))
    if problems:
        raise SpecError(file, problems)


READERS = [Reader("spec", "sway.yaml", _read, (SpecError,), yaml_documents(_SPEC))]
