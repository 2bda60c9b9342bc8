"""One process of ``gpu.py``: a model of one size, the scenarios, determinism, and batches that do not fit."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any


def measure(shape: str, device: str, folder: Path) -> dict[str, Any]:
    """Everything that the table of ``gpu.py`` has of one size."""
    import inputs
    import make_model
    import torch
    from model_sizes import MODEL_SIZES
    from pytest_sway_side import Side

    from pytest_sway.backends.base import AdapterKey, ModelKey
    from pytest_sway.backends.hf.load_backend import load_backend

    dtype = "fp32" if device == "cpu" else "bf16"
    torch_dtype = torch.float32 if device == "cpu" else torch.bfloat16
    model = make_model.make(folder, MODEL_SIZES[shape], torch_dtype, device)
    began = perf_counter()
    backend = load_backend(ModelKey("hf", model["model"], dtype=dtype, device=device))
    subject = backend.attach(AdapterKey(model["adapters"][0]))
    load_s = perf_counter() - began
    side = Side(backend, subject, model["vocabulary"])
    side.warm_up()
    short, mixed, again = side.short_prompts(), side.mixed(), side.mixed()
    nulls = side.measure_nulls()["nulls"]
    most = max(nulls, key=int)
    return {
        "dtype": dtype,
        "device": torch.cuda.get_device_name() if device.startswith("cuda") else device,
        "load_s": load_s,
        "prompts_per_s": len(inputs.short_prompts(model["vocabulary"])) / short["seconds"],
        "mixed_s": min(mixed["seconds"], again["seconds"]),
        "null_s": nulls[most]["seconds"] / int(most),
        "determinism": backend.determinism(batch_invariant=False).level,
        "same_twice": _answers(mixed) == _answers(again),
        "exact_alike": _exact_alike(backend, subject, model["vocabulary"]),
        "halved_alike": _halved_alike(side, mixed) if device.startswith("cuda") else None,
    }


def _answers(result: dict[str, Any]) -> tuple[Any, Any]:
    return result["divergences"], result["logprobs"]


def _exact_alike(backend: Any, subject: Any, vocabulary: int) -> bool:
    """Whether a text's number is the same alone and beside others, where each text is scored by itself."""
    import inputs

    from pytest_sway.engine.engine import Engine
    from pytest_sway.requests import Divergence

    prompts = inputs.short_prompts(vocabulary)[:8]
    asked = [Divergence(prompt.text, subject.base, subject.tuned) for prompt in prompts]
    together = Engine(backend, batch_invariant=True).answer(asked)
    alone: Sequence[Any] = [Engine(backend, batch_invariant=True).answer([one])[one] for one in asked]
    return [together[one] for one in asked] == list(alone)


def _halved_alike(side: Any, mixed: dict[str, Any]) -> bool:
    """Whether batches were halved for want of memory, and the numbers stayed within bf16's rounding."""
    import torch

    left = torch.cuda.memory_allocated() + (192 << 20)
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(left / torch.cuda.get_device_properties(0).total_memory)
    try:
        found = side.mixed()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    per_token = [
        abs(one - other) / count
        for one, other, count in zip(
            found["logprobs"], mixed["logprobs"], mixed["logprob_tokens"], strict=True
        )
    ]
    return bool(found["stats"]["halved_batches"] > 0 and max(per_token) < 0.05)


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    found = measure(asked["shape"], asked["device"], Path(asked["folder"]))
    sys.stdout.write("\n" + json.dumps(found) + "\n")
