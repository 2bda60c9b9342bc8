"""Python beside a model, and fields of its configs that name something to import, to load or to compute."""

# ruff: noqa: E501 - a case stands on a line of its own
from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.hostile.case import Case, python_payload, written
from tests.hostile.corpus_pickles import embedder
from tests.hostile.doors import (
    adapter_door,
    base_door,
    check_door,
    copy_of_adapter,
    copy_of_base,
    dry_run,
    spec,
    whole_run,
)

_REGEX_BOMB = r"((([a-z0-9_.]+)+)+)+!"
"""Every way to cut a name into pieces is tried before it does not match."""


def _modules(folder: Path, *places: Path) -> None:
    """A module of every name that a config might name, in these folders and in the working directory."""
    for place in (folder, *places):
        for name in (
            "evil",
            "modeling_evil",
            "configuration_evil",
            "tokenization_evil",
            "pipeline",
            "custom_generate",
        ):
            written(place / f"{name}.py", python_payload(folder))
    written(folder / "evil" / "core.py", python_payload(folder))


def _base(**config: Any) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        _modules(folder, copy_of_base(folder, **config))

    return build


def _adapter(**config: Any) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        _modules(folder, copy_of_adapter(folder, **config))

    return build


def _tokenizer(where: str, **fields: Any) -> Callable[[Path], None]:
    """A tokenizer's config with these fields, in the base or beside the adapter."""

    def build(folder: Path) -> None:
        base = copy_of_base(folder)
        target = base if where == "base" else copy_of_adapter(folder)
        if where == "adapter":
            shutil.copy(base / "tokenizer.json", target)
        file = base / "tokenizer_config.json"
        own = json.loads(file.read_text("utf-8"))
        written(target / "tokenizer_config.json", json.dumps({**own, **fields}))
        _modules(folder, target)

    return build


def _generation(folder: Path) -> None:
    """A custom generation method, as hub repositories have it."""
    base = copy_of_base(folder)
    _modules(folder, base)
    written(base / "custom_generate" / "generate.py", python_payload(folder))
    written(
        base / "generation_config.json",
        json.dumps({"custom_generate": "evil", "watermarking_config": {"a": 1}}),
    )


def _embedder_module(folder: Path) -> None:
    """A sentence embedder whose list of modules names ours."""
    target = folder / "embedder"
    shutil.copytree(copy_of_base(folder), target)
    _modules(folder, target)
    written(target / "modules.json", json.dumps([{"idx": 0, "name": "0", "path": "", "type": "evil.Module"}]))


_AUTO = {name: f"modeling_evil.{name}" for name in ("AutoConfig", "AutoModelForCausalLM", "AutoModel")}
_ELSEWHERE = {name: f"evil/repo--modeling_evil.{name}" for name in _AUTO}
_SLOW = {"AutoTokenizer": ["tokenization_evil.Evil", None]}


def _conftest_spec(folder: Path) -> None:
    spec(folder, base="./base", adapter="./adapter")
    copy_of_base(folder, auto_map=_AUTO, model_type="evil")
    copy_of_adapter(folder)
    _modules(folder, folder / "base")


def _hub_name(name: str, where: str) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        spec(folder, **{where: json.dumps(name)})

    return build


CASES = [
    Case("code", "auto_map of a base of an unknown type", _base(auto_map=_AUTO, model_type="evil"), base_door),
    Case("code", "auto_map of a base of a known type", _base(auto_map=_AUTO), base_door, "harmless"),
    Case("code", "auto_map to another repository", _base(auto_map=_ELSEWHERE, model_type="evil"), base_door),
    Case("code", "auto_map that is text", _base(auto_map="modeling_evil.py"), base_door, "either"),
    Case("code", "custom_pipelines", _base(custom_pipelines={"evil": {"impl": "pipeline.Evil", "pt": ["AutoModel"]}}), base_door, "harmless"),
    Case("code", "an unknown model_type", _base(model_type="../../evil"), base_door),
    Case("code", "a model_type that is a list", _base(model_type=["llama"]), base_door),
    Case("code", "_name_or_path elsewhere", _base(_name_or_path="../../../etc"), base_door, "harmless"),
    Case("code", "_name_or_path on the hub", _base(_name_or_path="evil/repo"), base_door, "harmless"),
    Case("code", "attention from a repository", _base(_attn_implementation="evil/kernels"), base_door, "either"),
    Case("code", "attention from a repository, public name", _base(attn_implementation="evil/kernels"), base_door, "either"),
    Case("code", "an activation that is a path", _base(hidden_act="evil.core"), base_door),
    Case("code", "a quantizer that is code", _base(quantization_config={"quant_method": "evil", "modules": ["evil"]}), base_door),
    Case("code", "a torchao quantizer that names a class", _base(quantization_config={"quant_method": "torchao", "quant_type": {"default": {"_type": "evil.core", "_data": {}}}}), base_door),
    Case("code", "a dtype that is an attribute", _base(dtype="__builtins__"), base_door, "either"),
    Case("code", "transformers_weights elsewhere", _base(transformers_weights="../adapter/adapter_model.safetensors"), base_door),
    Case("code", "custom_generate", _generation, base_door, "either"),
    Case("code", "auto_map of a base's tokenizer", _tokenizer("base", auto_map=_SLOW, tokenizer_class="Evil"), base_door, "either"),
    Case("code", "auto_map of an adapter's tokenizer", _tokenizer("adapter", auto_map=_SLOW, tokenizer_class="Evil"), adapter_door, "either"),
    Case("code", "a tokenizer_class that is a path", _tokenizer("base", tokenizer_class="evil.core.Evil"), base_door, "either"),
    Case("code", "tokenizer_file elsewhere", _tokenizer("base", tokenizer_file="/etc/passwd", vocab_file="/etc/passwd"), base_door, "either"),
    Case("code", "a processor of a tokenizer", _tokenizer("base", processor_class="Evil", auto_map={"AutoProcessor": "evil.Evil"}), base_door, "either"),
    Case("code", "auto_map of an adapter", _adapter(auto_map=_AUTO), adapter_door, "either"),
    Case("code", "auto_mapping of an adapter", _adapter(auto_mapping={"base_model_class": "Evil", "parent_library": "evil"}), adapter_door, "either"),
    Case("code", "megatron_core of an adapter", _adapter(megatron_config={"a": 1}, megatron_core="evil.core"), adapter_door),
    Case("code", "megatron_core alone", _adapter(megatron_core="evil.core"), adapter_door, "either"),
    Case("code", "a peft_type that is a path", _adapter(peft_type="evil.core"), adapter_door),
    Case("code", "corda_config", _adapter(init_lora_weights="corda", corda_config={"cache_file": "evil", "covariance_file": "evil.pt"}), adapter_door),
    Case("code", "eva_config", _adapter(init_lora_weights="eva", eva_config={"rho": 2.0}), adapter_door, "harmless"),
    Case("code", "loftq_config", _adapter(init_lora_weights="loftq", loftq_config={"loftq_bits": 4}), adapter_door),
    Case("code", "a runtime_config", _adapter(runtime_config={"ephemeral_gpu_offload": True}), adapter_door, "either"),
    Case("code", "base_model_name_or_path above", _adapter(base_model_name_or_path="../../../../etc"), adapter_door, "harmless"),
    Case("code", "base_model_name_or_path a URL", _adapter(base_model_name_or_path="https://evil.example/x"), adapter_door, "harmless"),
    Case("code", "base_model_name_or_path a list", _adapter(base_model_name_or_path=["x"]), adapter_door, "either"),
    Case("code", "base_model_name_or_path with escapes", _adapter(base_model_name_or_path="\x1b]0;owned\x07\u202e"), adapter_door, "either"),
    Case("code", "a regular expression of target_modules", _adapter(target_modules=_REGEX_BOMB), adapter_door),
    Case("code", "a regular expression of exclude_modules", _adapter(exclude_modules=_REGEX_BOMB), adapter_door),
    Case("code", "a regular expression of rank_pattern", _adapter(rank_pattern={_REGEX_BOMB: 4}), adapter_door),
    Case("code", "a regular expression of alpha_pattern", _adapter(alpha_pattern={_REGEX_BOMB: 4}), adapter_door),
    Case("code", "a regular expression of layers_pattern", _adapter(layers_to_transform=[0], layers_pattern=_REGEX_BOMB), adapter_door, "either"),
    Case("code", "a regular expression that is none", _adapter(target_modules="(("), adapter_door),
    Case("code", "check of a hostile config", _adapter(target_modules=_REGEX_BOMB, auto_mapping={"parent_library": "evil"}), check_door, "either"),
    Case("code", "a run of a base with code", _conftest_spec, whole_run),
    Case("code", "a module of a sentence embedder", _embedder_module, embedder),
    Case("code", "a hub name with dots", _hub_name("../../evil/repo", "adapter"), dry_run),
    Case("code", "a URL as an adapter", _hub_name("https://evil.example/adapter", "adapter"), dry_run),
    Case("code", "a hub name as an adapter", _hub_name("evil/repo", "adapter"), whole_run),
    Case("code", "a URL as a base", _hub_name("https://evil.example/base", "base"), whole_run),
    Case("code", "a base with a zero byte", _hub_name("a\0b", "base"), whole_run),
]  # fmt: skip
