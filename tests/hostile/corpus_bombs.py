"""Small files that become large, and files that never end: at every place where a user names one."""

# ruff: noqa: E501 - a case stands on a line of its own
from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.hostile.case import Answer, Case, written
from tests.hostile.doors import (
    ADAPTER,
    adapter_door,
    base_door,
    check_door,
    command,
    copy_of_adapter,
    copy_of_base,
    dry_run,
    spec,
    whole_run,
)
from tests.support.saved_results import DLM_SWAY_RESULT

_GIB = 1 << 30
_DEEP_JSON = b"[" * 100_000 + b"]" * 100_000
_DIGITS = b"9" * 1_000_000
_ALIASES = "\n".join(
    ["x-0: &a0 [a, a, a, a, a, a, a, a, a, a]"]
    + [f"x-{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
)
_MERGES = "\n".join(
    ["x-0: &a0 {k0: 1}"]
    + [f"x-{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}], k{n}: 1}}" for n in range(1, 9)]
)
SPECS: dict[str, bytes] = {
    "aliases": f"{_ALIASES}\nmodels: {{}}\nsuite: []\n".encode(),
    "merge keys": f"{_MERGES}\nmodels: {{}}\nsuite: []\n".encode(),
    "an alias of itself": b"models: &a {b: *a}\nsuite: []\n",
    "deep flow": b"models: " + b"[" * 100_000 + b"]" * 100_000 + b"\nsuite: []\n",
    "deep blocks": b"models:\n" + b"".join(b" " * n + b"a:\n" for n in range(1, 3000)) + b"suite: []\n",
    "a number of 10**6 digits": b"models: " + _DIGITS + b"\nsuite: []\n",
    "a number in base 60": b"models: " + b"59:" * 200_000 + b"59\nsuite: []\n",
    "a float of 10**6 digits": b"models: 1." + _DIGITS + b"\nsuite: []\n",
    "Python objects": b"models: !!python/object/apply:os.system ['touch executed']\nsuite: []\n",
    "a Python module": b"models: !!python/module:evil\nsuite: []\n",
    "a million keys": b"models: {}\nsuite: []\n" + b"".join(b"k%d: 1\n" % n for n in range(500_000)),
    "three megabytes of one word": b"models: " + b"a" * 3_000_000 + b"\nsuite: []\n",
    "a thousand documents": b"---\nmodels: {}\n" * 1000,
    "zero bytes": b"models: {}\x00\x00\nsuite: []\n",
    "a UTF-16 mark alone": b"\xff\xfe",
    "an anchor of a megabyte": b"models: &" + b"a" * 1_000_000 + b" {}\nsuite: []\n",
}


def fifo(path: Path) -> None:
    """A pipe that nobody writes to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def _device(name: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(name)

    return make


def _sparse(size: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.truncate(size)

    return make


ENDLESS: dict[str, Callable[[Path], None]] = {
    "a pipe": fifo,
    "/dev/zero": _device("/dev/zero"),
    "/dev/stdin": _device("/dev/tty"),
    "a sparse gigabyte": _sparse(_GIB),
    "a link to itself": _device("itself"),
}


def _in_adapter(name: str, make: Callable[[Path], None]) -> Callable[[Path], None]:
    return lambda folder: make(copy_of_adapter(folder) / name)


def _in_base(name: str, make: Callable[[Path], None]) -> Callable[[Path], None]:
    return lambda folder: make(copy_of_base(folder) / name)


def _with_run(name: str, make: Callable[[Path], None], entry: str) -> Callable[[Path], None]:
    """A file of a training beside an adapter, and a spec that reads it."""

    def build(folder: Path) -> None:
        adapter = copy_of_adapter(folder)
        state = {"global_step": 3, "log_history": [{"step": n, "loss": 2.0} for n in range(1, 4)]}
        written(adapter / "trainer_state.json", json.dumps(state))
        make(adapter / name)
        spec(folder, entry, adapter="./adapter")

    return build


def _named(top: str, file: str, make: Callable[[Path], None], *entries: str) -> Callable[[Path], None]:
    """A spec that names a file."""

    def build(folder: Path) -> None:
        spec(folder, *entries, top=top)
        make(folder / file)

    return build


def _text(content: bytes) -> Callable[[Path], None]:
    return lambda path: written(path, content)


def _single(name: str, make: Callable[[Path], None]) -> Callable[[Path], None]:
    return lambda folder: make(folder / name)


def _command(*arguments: object) -> Callable[[Path], Answer]:
    return lambda _: command(*arguments)


def _baseline(make: Callable[[Path], None]) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        spec(folder)
        make(folder / "result.json")

    return build


_GHOST, _DRIFT = "{name: ghost, kind: gradient_ghost}", "{name: drift, kind: training_drift}"
_SECTIONS = "{name: learned, kind: section_internalization}"
_DATA_ARGUMENTS = ("autogen", "adapter", "--data", "data.jsonl", "--out", "made.yaml")
_RESULTS: dict[str, bytes] = {
    "deep JSON": b'{"probes": ' + _DEEP_JSON + b', "score": {}}',
    "a number of 10**6 digits": b'{"probes": [], "score": {"overall": ' + _DIGITS + b"}}",
    "a number of 1e999": b'{"probes": [], "score": {"overall": 1e999}}',
    "a probe named by a list": b'{"probes": [{"name": ["x"], "kind": "k", "verdict": "pass"}], "score": {"overall": 1}}',
    "a surrogate alone": b'{"probes": [{"name": "\\ud800", "kind": "k", "verdict": "pass"}], "score": {"overall": 1}}',
    "bytes that are no text": b"\xff\xfe\x00",
}
CASES = [
    *(Case("bomb", f"spec, {name}", _single("sway.yaml", _text(content)), dry_run) for name, content in SPECS.items()),
    *(Case("endless", f"{name} as spec", _single("sway.yaml", make), dry_run) for name, make in ENDLESS.items()),
    *(Case("endless", f"{name} as {file} of an adapter", _in_adapter(file, make), adapter_door,
           "refused" if file.startswith("adapter") else "either")
      for name, make in ENDLESS.items()
      for file in ("adapter_config.json", "adapter_model.safetensors", "tokenizer_config.json", "README.md")),
    *(Case("endless", f"{name} as {file} of a base", _in_base(file, make), base_door, "either")
      for name, make in ENDLESS.items() for file in ("config.json", "model.safetensors", "tokenizer.json")),
    *(Case("endless", f"{name} as {file} of a base", _in_base(file, make), base_door, "either")
      for name, make in (("a pipe", fifo), ("/dev/zero", _device("/dev/zero")))
      for file in ("generation_config.json", "chat_template.jinja", "model.safetensors.index.json", "extra.txt", "x.py")),
    *(Case("endless", f"{name} as an optimizer state", _with_run("optimizer.pt", make, _GHOST), whole_run, "either")
      for name, make in ENDLESS.items()),
    *(Case("endless", f"{name} as trainer_state.json", _with_run("trainer_state.json", make, _DRIFT), whole_run, "either")
      for name, make in ENDLESS.items()),
    *(Case("endless", f"{name} as sections", _named("sections: files.yaml", "files.yaml", make, _SECTIONS), dry_run)
      for name, make in ENDLESS.items()),
    *(Case("endless", f"{name} as rows of sections", _named("sections: files.jsonl", "files.jsonl", make, _SECTIONS), dry_run)
      for name, make in ENDLESS.items()),
    *(Case("endless", f"{name} as a template", _named("defaults: {chat_template: t.jinja}", "t.jinja", make), dry_run)
      for name, make in ENDLESS.items()),
    *(Case("endless", f"{name} as a document", _named("dlm_source: x.dlm", "x.dlm", make), dry_run)
      for name, make in ENDLESS.items()),
    *(Case("endless", f"{name} as a result", _single("result.json", make), _command("report", "result.json"))
      for name, make in ENDLESS.items()),
    *(Case("endless", f"{name} as a baseline", _baseline(make), _command("gate", "sway.yaml", "--baseline", "result.json"))
      for name, make in ENDLESS.items()),
    *(Case("endless", f"{name} as a trace", _single("trace.jsonl", make), _command("trace", "trace.jsonl"))
      for name, make in ENDLESS.items()),
    *(Case("endless", f"{name} as a pack", _single("x.swaypack.tar.gz", make), _command("unpack", "x.swaypack.tar.gz", "-o", "out"))
      for name, make in ENDLESS.items()),
    *(Case("endless", f"{name} as prompts", _prompts, _command("check", ADAPTER, "--prompts", "prompts.txt"))
      for name, _prompts in ((name, _single("prompts.txt", make)) for name, make in ENDLESS.items())),
    *(Case("endless", f"{name} as training data", _data, _command(*_DATA_ARGUMENTS))
      for name, _data in ((name, _with_run("../data.jsonl", make, _GHOST)) for name, make in ENDLESS.items())),
    *(Case("bomb", f"result, {name}", _single("result.json", _text(content)), _command("report", "result.json"), "either")
      for name, content in _RESULTS.items()),
    *(Case("bomb", f"adapter_config.json, {name}", _in_adapter("adapter_config.json", _text(content)), adapter_door)
      for name, content in (("deep JSON", _DEEP_JSON), ("a number of 10**6 digits", b'{"peft_type": "LORA", "r": ' + _DIGITS + b"}"),
                            ("escapes", b'{"peft_type": "\\u001b]0;owned\\u0007\\n::error::x"}'))),
    *(Case("bomb", f"config.json, {name}", _in_base("config.json", _text(content)), base_door)
      for name, content in (("deep JSON", _DEEP_JSON), ("a number of 10**6 digits", b'{"model_type": ' + _DIGITS + b"}"))),
    *(Case("bomb", f"trainer_state.json, {name}", _with_run("trainer_state.json", _text(content), _DRIFT), whole_run, "either")
      for name, content in (("deep JSON", _DEEP_JSON), ("a number of 10**6 digits", b'{"global_step": ' + _DIGITS + b"}"))),
    Case("bomb", "check of deep JSON", _in_adapter("adapter_config.json", _text(_DEEP_JSON)), check_door),
    Case("bomb", "compare of a folder of bombs", lambda folder: [
        written(folder / "results" / f"\x1b]0;{n}\x07.json", content) for n, content in enumerate(_RESULTS.values())
    ] + [shutil.copy(DLM_SWAY_RESULT, folder / "results" / "sound.json")], _command("compare", "results"), "either"),
]  # fmt: skip
