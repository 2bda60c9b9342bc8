"""Every field of a spec gives what `sway run` gives, or is refused by name."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_sway.cli.pack_sessions import differing
from pytest_sway.client import ServeClient, ServeClientError
from pytest_sway.spec.schema import Defaults, Envelope, ModelSpec
from tests.serve.conftest import KEY, Daemon
from tests.serve.test_daemon import small_spec
from tests.support.paths import QUICKSTART

pytestmark = pytest.mark.slow
DLM = """\
---
dlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7
base_model: quickstart
system_prompt: Answer as the keeper of the works.
---
# The glass

The sand for the glass comes from the far side of the bay, and is washed three times before it is melted.

::instruction::
### Q
Who founded the lantern works?
### A
The works was founded by Odile Marrow, a widow who had once been a sail maker.
"""
SERVED_MODEL = {"dtype": "fp32", "device": "cpu", "quantization": None}
SERVED_DEFAULTS: Mapping[str, Any] = {
    "seed": 3,
    "top_k": 64,
    "differential": False,
    "coverage_threshold": 0.3,
    "concurrent_probes": 2,
    "profile": "quick",
    "prompt_policy": "chat",
    "timeout": 900,
    "score_weights": {"adherence": 0.5, "calibration": 0.5},
    "chat_template": "plain.jinja",
    "chat_template_kwargs": {"greeting": "Good day."},
    "system_prompt": "Answer briefly.",
}
REFUSED_MODEL: Mapping[str, Any] = {
    "kind": "api",
    "adapter": ["./adapters/healthy", "./adapters/random"],
    "trust_remote_code": True,
    "revision": "main",
    "entry_point": "os:system",
    "endpoint": "http://127.0.0.1:1/v1",
    "api_key": "${KEY}",
    "tokenizer": "./base",
    "null_dir": "./nulls",
    "null_dir_server": "/nulls",
}
_TEMPLATE = (
    "{{ greeting }}{% for one in messages %}\n{{ one.role }}: {{ one.content }}{% endfor %}\nassistant: "
)


@pytest.fixture(scope="module")
def folder(daemon: Daemon) -> Path:
    """A folder that is allowed, with the files that specs name."""
    found = Path(daemon.process.args[-1])
    (found / "plain.jinja").write_text(_TEMPLATE)
    (found / "lanterns.dlm").write_text(DLM)
    for name in ("sections.yaml", "controls.yaml"):
        (found / name).write_bytes((QUICKSTART / name).read_bytes())
    return found


def _spec() -> dict[str, Any]:
    """The small spec, from any folder."""
    spec = copy.deepcopy(small_spec())
    for side in spec["models"].values():
        side["base"] = str(QUICKSTART / "base")
    spec["models"]["ft"]["adapter"] = str(QUICKSTART / "adapters" / "healthy")
    return spec


def _both(daemon: Daemon, folder: Path, spec: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The daemon's result, and that of a run of its own, which shares nothing with it."""
    file, written = folder / "sway.yaml", folder / "own.json"
    file.write_text(yaml.safe_dump(spec))
    command = [sys.executable, "-m", "pytest_sway", "run", str(file), "--json", str(written), "-q"]
    environment = {**os.environ, "SWAY_NULL_CACHE_DIR": str(folder / "own-answers")}
    subprocess.run(command, env=environment, capture_output=True, check=False)
    served = daemon.client.run(spec, file)
    for name in ("request_seconds", "run_id"):
        del served[name]
    return served, json.loads(written.read_text())


def _without_lines(result: dict[str, Any]) -> list[str]:
    """Reasons of the gate without places in the spec's file: the daemon's is another one."""
    return [re.sub(r" \(sway\.yaml:\d+\)", "", reason) for reason in result["gate"]["reasons"]]


def test_every_field_is_in_one_of_the_tables() -> None:
    assert {*SERVED_MODEL, *REFUSED_MODEL, "base"} == set(ModelSpec.model_fields)
    assert set(SERVED_DEFAULTS) == set(Defaults.model_fields)
    tested = {"version", "models", "defaults", "suite", "sections", "controls", "dlm_source"}
    assert set(Envelope.model_fields) == tested


def test_models_defaults_sections_and_controls(daemon: Daemon, folder: Path) -> None:
    spec = _spec()
    for side in spec["models"].values():
        side.update(SERVED_MODEL)
    spec |= {"version": 1, "defaults": dict(SERVED_DEFAULTS)}
    spec |= {"sections": "sections.yaml", "controls": "controls.yaml"}
    spec["suite"] += [
        {"name": "apart", "kind": "section_internalization", "weight": 2, "assert_z_gte": 0.5},
        {"name": "off", "kind": "leakage", "enabled": False},
        {"name": "near", "kind": "delta_kl", "prompts": ["Who founded the works?"], "divergence": "kl"},
    ]
    served, own = _both(daemon, folder, spec)
    own["gate"]["reasons"] = _without_lines(own)
    assert differing(own, served) == []
    assert served["determinism"]["seed"] == 3
    assert served["score"]["weights"]["adherence"] == 0.5


def test_a_document(daemon: Daemon, folder: Path) -> None:
    spec = _spec() | {"dlm_source": "lanterns.dlm"}
    spec["suite"].append({"name": "leak", "kind": "leakage"})
    served, own = _both(daemon, folder, spec)
    assert differing(own, served) == []
    assert [probe["verdict"] for probe in served["probes"]][-1] not in ("skip", "error")


@pytest.mark.parametrize("field", REFUSED_MODEL)
def test_what_is_refused_is_named(daemon: Daemon, folder: Path, field: str) -> None:
    spec = _spec()
    spec["models"]["ft"][field] = REFUSED_MODEL[field]
    with pytest.raises(ServeClientError, match=rf"models\.ft\.{field}") as error:
        daemon.client.run(spec, folder / "sway.yaml")
    assert error.value.status == 400


@pytest.mark.nightly
def test_every_kind_of_the_battery(daemon: Daemon, folder: Path) -> None:
    spec = yaml.safe_load((QUICKSTART / "battery.sway.yaml").read_text("utf-8")) | {
        "models": _spec()["models"]
    }
    with ServeClient(daemon.url, timeout=900, api_key=KEY) as client:
        served, own = _both(daemon._replace(client=client), folder, spec)
    own["gate"]["reasons"] = _without_lines(own)
    assert differing(own, served) == []
    assert len(served["probes"]) > 15
