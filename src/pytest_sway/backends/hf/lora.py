"""One LoRA adapter attached to a model, with its nulls in slots beside it."""

from __future__ import annotations

import copy
import warnings
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from peft import LoraConfig, PeftModel, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file

from pytest_sway.backends.hf.factors import Factors, product_norm
from pytest_sway.backends.protocols import BackendError, NullWeights
from pytest_sway.requests import NullSeed, RequestError, View

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_sway.backends.hf.adapters import AdapterFiles

SUBJECT, NULL = "subject", "null"
NULL_SHARE = 0.5
"""Nulls together take at most this share of the base's memory (but two are always kept)."""


class Lora:
    """The subject's update and its nulls', on a model that they wrap until :meth:`unload`."""

    def __init__(self, model: torch.nn.Module, files: AdapterFiles, digest: str) -> None:
        self.digest = digest
        self._model = model
        self._peft = _attach(model, files)
        self._config = self._peft.peft_config[SUBJECT]
        self.layers: dict[str, LoraLayer] = {
            name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)
        }
        self._scaling = {name: layer.scaling[SUBJECT] for name, layer in self.layers.items()}
        self._drawn: OrderedDict[NullSeed, dict[str, Factors]] = OrderedDict()
        self._room = self._null_room(model)
        self.null_weights: NullWeights | None = None
        self._peft.eval()

    def enter(self, view: View) -> None:
        """Put a view's weights in force; every layer is set, whatever was in force before."""
        if view.is_base:
            for layer in self.layers.values():
                if not layer.disable_adapters:
                    layer.enable_adapters(enabled=False)
            return
        if view.adapter != self.digest:
            raise RequestError(f"the adapter {view.adapter[:8]} of view {view.label()} is not attached")
        slot = SUBJECT if view.null is None else self._filled_slot(view.null)
        for name, layer in self.layers.items():
            if layer.disable_adapters:
                layer.enable_adapters(enabled=True)
            if layer.active_adapters != [slot]:
                layer.set_adapter(slot, inference_mode=True)
            layer.scaling[slot] = self._scaling[name] * view.scale

    def unload(self) -> None:
        """Take the wrappers off; the model holds its own modules again."""
        _unwrap(self._model)

    def factors(self, name: str, slot: str = SUBJECT) -> Factors:
        """A and B of one module, as ``[rank, ...]`` and ``[out, rank, ...]``."""
        a, b = self._parameters(name, slot)
        return a.data, b.data

    def _parameters(self, name: str, slot: str) -> tuple[torch.nn.Parameter, torch.nn.Parameter]:
        layer = self.layers[name]
        if slot in layer.lora_embedding_A:
            return layer.lora_embedding_A[slot], layer.lora_embedding_B[slot]
        return layer.lora_A[slot].weight, layer.lora_B[slot].weight

    def zero_modules(self) -> list[str]:
        """Modules whose update is exactly zero: B·A = 0."""
        return [name for name in self.layers if product_norm(*self.factors(name)) == 0.0]

    def non_finite_modules(self) -> list[str]:
        """Modules that hold a NaN or an infinity."""
        return [
            name
            for name in self.layers
            if not all(bool(torch.isfinite(part).all()) for part in self.factors(name))
        ]

    def _filled_slot(self, seed: NullSeed) -> str:
        """The null slot, holding this null's factors."""
        factors = self._factors_of(seed)
        if NULL not in self._peft.peft_config:
            with _quiet():
                self._peft.add_adapter(NULL, _plain_copy(self._config))
            self._peft.eval()
        for name, (a, b) in factors.items():
            slot_a, slot_b = self._parameters(name, NULL)
            slot_a.data, slot_b.data = a, b
        return NULL

    def _factors_of(self, seed: NullSeed) -> dict[str, Factors]:
        """A null's factors: drawn once, and again if they had to make room for others."""
        if seed not in self._drawn:
            if self.null_weights is None:
                raise RequestError("no null family was given: the suite has no null_adapter")
            drawn = {
                name: self.null_weights(seed, self.digest, name, *self.factors(name)) for name in self.layers
            }
            while len(self._drawn) >= self._room:
                self._drawn.popitem(last=False)
            self._drawn[seed] = drawn
        self._drawn.move_to_end(seed)
        return self._drawn[seed]

    def _null_room(self, model: torch.nn.Module) -> int:
        """How many nulls are kept."""
        own = sum(part.numel() * part.element_size() for n in self.layers for part in self.factors(n))
        base = sum(p.numel() * p.element_size() for p in model.parameters()) - own
        return max(2, int(NULL_SHARE * base / max(own, 1)))


def _plain_copy(config: LoraConfig) -> LoraConfig:
    """The same shapes with the plain init: no init that looks at the base runs again."""
    plain = copy.deepcopy(config)
    plain.init_lora_weights = True
    return plain


def _attach(model: torch.nn.Module, files: AdapterFiles) -> PeftModel:
    """Wrap the model and load the weights; every tensor must find its place, and every place one."""
    state = _update_alone(model, files)
    with _quiet():
        try:
            config = _plain_copy(LoraConfig.from_pretrained(str(files.folder)))
            config.inference_mode = True
            wrapped = PeftModel(model, config, adapter_name=SUBJECT)
            found = set_peft_model_state_dict(wrapped, state, adapter_name=SUBJECT)
        except Exception as error:
            _unwrap(model)
            first = " ".join(str(error).strip().splitlines()[:2])
            raise BackendError(f"{files.folder} does not fit the base model: {first}") from error
    missing = [key for key in found.missing_keys if _is_update(key)]
    if missing or found.unexpected_keys:
        _unwrap(model)
        raise BackendError(
            f"{files.weights} is not the adapter that {files.folder.name}/adapter_config.json describes: "
            f"{_some(missing, 'missing')}; {_some(found.unexpected_keys, 'unexpected')}"
        )
    return wrapped


def _update_alone(model: torch.nn.Module, files: AdapterFiles) -> dict[str, torch.Tensor]:
    """The file's LoRA tensors.

    Others would overwrite the base's own (PEFT adds the embeddings of some adapters): such a one is
    dropped where it equals the base's, and refused where it was trained.
    """
    try:
        state: dict[str, torch.Tensor] = load_file(files.weights)
    except Exception as error:
        raise BackendError(
            f"{files.weights} does not fit the base model: it cannot be read: {error}"
        ) from error
    own = model.state_dict()
    for key in [key for key in state if not _is_update(key)]:
        name = key.removeprefix("base_model.model.").replace(".base_layer.", ".")
        if name not in own:
            continue  # told as unexpected
        other = own[name]
        tensor = state.pop(key).to(other)
        if tensor.shape != other.shape or not torch.equal(tensor, other):
            raise BackendError(
                f"{files.weights} carries {name} whole, and not as the base has it; whole trained modules "
                "are not served: train with LoRA alone, and with the base's own vocabulary"
            )
    return state


def _is_update(key: str) -> bool:
    return ".lora_" in key


def _unwrap(model: torch.nn.Module) -> None:
    """Put every module's own layer back, also after an injection that stopped half-way."""
    for name, module in list(model.named_modules()):
        if isinstance(module, LoraLayer):
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, module.get_base_layer())
    if hasattr(model, "peft_config"):
        del model.peft_config


def _some(keys: list[str], word: str) -> str:
    return f"{len(keys)} {word} tensors" + (f" (first: {keys[0]})" if keys else "")


@contextmanager
def _quiet() -> Iterator[None]:
    """PEFT warns where we check and refuse by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
