"""One LoRA adapter attached to a model, with its nulls in slots beside it."""

from __future__ import annotations

import copy
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from peft import LoraConfig, PeftModel, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer

from pytest_sway.backends.hf.adapters import AdapterFiles
from pytest_sway.backends.hf.factors import Factors, product_norm
from pytest_sway.backends.hf.loading import SUBJECT, State, accounted, fitting
from pytest_sway.backends.protocols import NullWeights
from pytest_sway.requests import NullSeed, RequestError, View

NULL_SHARE = 0.5
"""Null slots together take at most this share of the base's memory (but there are always two)."""


@dataclass(frozen=True)
class Update:
    """What a plain LoRA adapter is made of.

    Attributes:
        files: the folder that it came from.
        config: shapes, with the plain init.
        state: the factors under PEFT's names.
        scaling: factor on B·A by module, where it is not what ``config`` says.
    """

    files: AdapterFiles
    config: LoraConfig
    state: State
    scaling: Mapping[str, float] = field(default_factory=dict)


class Lora:
    """The subject's update and its nulls', on a model that they wrap until :meth:`unload`."""

    def __init__(self, model: torch.nn.Module, update: Update, digest: str) -> None:
        self.digest = digest
        self.lacks: Mapping[str, str] = {}
        self._model = model
        self._peft = _attach(model, update)
        self._config = self._peft.peft_config[SUBJECT]
        self.layers: dict[str, LoraLayer] = {
            name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)
        }
        self._scaling = {n: update.scaling.get(n, layer.scaling[SUBJECT]) for n, layer in self.layers.items()}
        self._slots: OrderedDict[NullSeed, str] = OrderedDict()
        self._free: list[str] = []
        self._room = self._null_room(model)
        self._null_weights: NullWeights | None = None
        self._peft.eval()

    @property
    def inert(self) -> bool:
        """Whether B·A is zero in every module."""
        return len(self._zero_modules()) == len(self.layers)

    @property
    def notes(self) -> tuple[str, ...]:
        """Which modules hold no update."""
        zero, modules = self._zero_modules(), len(self.layers)
        if len(zero) == modules:
            return (f"the adapter is inert: the update B·A is zero in all {modules} modules",)
        return (f"{len(zero)} of {modules} modules hold no update (first: {zero[0]})",) if zero else ()

    @property
    def fault(self) -> str:
        """Modules that hold a NaN or an infinity."""
        broken = [
            name
            for name in self.layers
            if not all(bool(torch.isfinite(part).all()) for part in self.factors(name))
        ]
        if not broken:
            return ""
        return f"{len(broken)} of {len(self.layers)} modules hold NaN or infinity (first: {broken[0]})"

    def enter(self, view: View) -> None:
        """Put a view's weights in force; every layer is set, whatever was in force before."""
        if view.is_base:
            self._peft.base_model.disable_adapter_layers()
            return
        if view.adapter != self.digest:
            raise RequestError(f"the adapter {view.adapter[:8]} of view {view.label()} is not attached")
        slot = SUBJECT if view.null is None else self._null_slot(view.null)
        self._peft.base_model.enable_adapter_layers()
        self._peft.base_model.set_adapter(slot)
        for name, layer in self.layers.items():
            layer.scaling[slot] = self._scaling[name] * view.scale

    def unload(self) -> None:
        """Take the wrappers off; the model holds its own modules again."""
        _unwrap(self._model)

    def factors(self, name: str, slot: str = SUBJECT) -> Factors:
        """A and B of one module, as ``[rank, ...]`` and ``[out, rank, ...]``."""
        layer = self.layers[name]
        if slot in layer.lora_embedding_A:
            return layer.lora_embedding_A[slot], layer.lora_embedding_B[slot]
        return layer.lora_A[slot].weight, layer.lora_B[slot].weight

    def serve_nulls(self, weights: NullWeights) -> None:
        """Draw null factors with ``weights`` from now on."""
        self._null_weights = weights

    def _zero_modules(self) -> list[str]:
        """Modules whose update is exactly zero: B·A = 0."""
        return [name for name in self.layers if product_norm(*self.factors(name)) == 0.0]

    def _null_slot(self, seed: NullSeed) -> str:
        """The slot that holds this null: made, or the least recently used one refilled."""
        if seed in self._slots:
            self._slots.move_to_end(seed)
            return self._slots[seed]
        slot = self._empty_slot()
        try:
            self._fill(slot, seed)
        except BaseException:  # half filled: nobody's null, but still a slot
            self._free.append(slot)
            raise
        self._slots[seed] = slot
        return slot

    def _empty_slot(self) -> str:
        if self._free:
            return self._free.pop()
        if len(self._slots) >= self._room:
            return self._slots.popitem(last=False)[1]
        slot = f"null{len(self._slots)}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._peft.add_adapter(slot, plain_config(self._config))
        self._peft.eval()
        return slot

    def _fill(self, slot: str, seed: NullSeed) -> None:
        if self._null_weights is None:
            raise RequestError("no null family was given: the suite has no null_adapter")
        with torch.inference_mode(False), torch.no_grad():
            for name in self.layers:
                real = self.factors(name)
                made = self._null_weights(seed, self.digest, name, *real)
                for target, value in zip(self.factors(name, slot), made, strict=True):
                    target.copy_(value)

    def _null_room(self, model: torch.nn.Module) -> int:
        own = sum(t.numel() * t.element_size() for n in self.layers for t in self.factors(n))
        base = sum(p.numel() * p.element_size() for p in model.parameters()) - own
        return max(2, int(NULL_SHARE * base / own)) if own else 2


def plain_update(files: AdapterFiles, state: State) -> Update:
    """The update of a folder that holds plain LoRA."""
    with fitting(files.folder):
        return Update(files, plain_config(LoraConfig.from_pretrained(str(files.folder))), state)


def plain_config(config: LoraConfig) -> LoraConfig:
    """The same shapes with the plain init: no init that looks at the base runs again."""
    plain = copy.deepcopy(config)
    plain.init_lora_weights = True
    plain.inference_mode = True
    return plain


def _attach(model: torch.nn.Module, update: Update) -> PeftModel:
    """Wrap the model and load the weights; every tensor must find its place, and every place one."""
    try:
        with fitting(update.files.folder):
            wrapped = PeftModel(model, update.config, adapter_name=SUBJECT)
            found = set_peft_model_state_dict(wrapped, update.state, adapter_name=SUBJECT)
            missing = [key for key in found.missing_keys if ".lora_" in key]
            accounted(update.files, missing, found.unexpected_keys)
    except BaseException:
        _unwrap(model)
        raise
    return wrapped


def _unwrap(model: torch.nn.Module) -> None:
    """Put every module's own layer back, also after an injection that stopped half-way."""
    for name, module in list(model.named_modules()):
        if isinstance(module, LoraLayer):
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, module.get_base_layer())
    if hasattr(model, "peft_config"):
        del model.peft_config
