"""The doors of the product: the command line, and what the fixtures of an item do with a model."""

from __future__ import annotations

import io
import json
import shutil
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from tests.hostile.case import Answer, written
from tests.support.paths import QUICKSTART

BASE, ADAPTER = QUICKSTART / "base", QUICKSTART / "adapters" / "healthy"
MODEL = {"dtype": "fp32", "device": "cpu"}


def command(*arguments: object) -> Answer:
    """``sway`` with these arguments, in this process; refused where its exit status is 2, or 1."""
    from pytest_sway.cli.main import main

    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        try:
            status: Any = main([str(one) for one in arguments])
        except SystemExit as ended:
            status = ended.code
    return Answer(status not in (0, None), said.getvalue())


def dry_run(_: Path) -> Answer:
    """``sway run --dry-run`` of the spec in the folder."""
    return command("run", "sway.yaml", "--dry-run")


def whole_run(_: Path) -> Answer:
    """``sway run`` of the spec in the folder; refused where a probe could not be measured, too."""
    answer = command("run", "sway.yaml", "--json", "result.json")
    if answer.is_refused or not Path("result.json").is_file():
        return answer
    result = json.loads(Path("result.json").read_text("utf-8"))
    is_refused = any(probe["verdict"] in ("error", "skip") for probe in result["probes"])
    return Answer(is_refused, answer.text)


def model_and_adapter(
    folder: Path, base: Path | None = None, adapter: Path | None = None, prompt: str = "Who are you?"
) -> Answer:
    """Load a base, attach an adapter, score a text and a dialogue: what the fixtures of an item do."""
    from pytest_sway.backends.base import AdapterKey, BackendError, ModelKey
    from pytest_sway.backends.hf.load_backend import load_backend
    from pytest_sway.requests import RequestError, Turn

    try:
        template = folder / "template.jinja"
        key = ModelKey(
            "hf", str(base or BASE), **MODEL, chat_template=str(template) if template.is_file() else None
        )
        backend = load_backend(key)
        subject = backend.attach(AdapterKey(str(adapter or ADAPTER)))
        text = backend.rendered_prompt((Turn("user", prompt),)) + backend.rendered_prompt(prompt)
        text += "".join(map(str, (*subject.notes, *subject.warnings)))
        backend.detach(subject)
    except (BackendError, RequestError) as error:
        return Answer(True, str(error))
    return Answer(False, repr(text)[:2000])


def adapter_door(folder: Path) -> Answer:
    """The adapter in ``adapter`` on the quickstart's base."""
    return model_and_adapter(folder, adapter=folder / "adapter")


def base_door(folder: Path) -> Answer:
    """The base in ``base`` with the quickstart's adapter."""
    return model_and_adapter(folder, base=folder / "base")


def template_door(folder: Path) -> Answer:
    """The quickstart with the spec's own chat template in ``template.jinja``."""
    return model_and_adapter(folder)


def check_door(_: Path) -> Answer:
    """``sway check`` of the adapter in ``adapter``."""
    return command("check", "adapter", "--base", BASE)


def copy_of_adapter(folder: Path, **config: Any) -> Path:
    """The quickstart's adapter in ``adapter``, with these fields in its config."""
    target = folder / "adapter"
    shutil.copytree(ADAPTER, target)
    fields = json.loads((target / "adapter_config.json").read_text("utf-8"))
    written(target / "adapter_config.json", json.dumps({**fields, **config}))
    return target


def copy_of_base(folder: Path, **config: Any) -> Path:
    """The quickstart's base in ``base``, with these fields in its config."""
    target = folder / "base"
    shutil.copytree(BASE, target)
    fields = json.loads((target / "config.json").read_text("utf-8"))
    written(target / "config.json", json.dumps({**fields, **config}))
    return target


def spec(folder: Path, *entries: str, base: object = BASE, adapter: object = ADAPTER, top: str = "") -> Path:
    """A spec with these entries of its suite, as lines of YAML."""
    lines = [
        "version: 1",
        "models:",
        f"  base: {{kind: hf, base: {base}, dtype: fp32, device: cpu}}",
        f"  ft: {{kind: hf, base: {base}, adapter: {adapter}, dtype: fp32, device: cpu}}",
        *filter(None, [top]),
        "suite:",
        *(f"  - {entry}" for entry in entries or ["{name: moved, kind: delta_kl, prompts: [Who?]}"]),
    ]
    return written(folder / "sway.yaml", "\n".join(lines) + "\n")
