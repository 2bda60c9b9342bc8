"""One plain LoRA adapter attached to a model by PEFT, with its nulls in PEFT adapters beside it."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby

import torch
from peft import LoraConfig, PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer

from pytest_sway.backends.base import BackendError, Form
from pytest_sway.backends.hf.adapter_files.adapter_config import AdapterFiles
from pytest_sway.backends.hf.adapter_files.adapter_tensors import (
    SUBJECT,
    StateDict,
    check_complete,
    check_shapes,
    peft_errors,
)
from pytest_sway.backends.hf.adapter_forms.in_place_lora import use_in_place_forward
from pytest_sway.backends.hf.adapter_forms.mixed_batch import RowGroup, has_mixed_forward, use_mixed_forward
from pytest_sway.backends.hf.deferred_signals import deferred_signals
from pytest_sway.backends.hf.lora_factors import Factors, product_norm, size_of
from pytest_sway.backends.hf.null_weights import draw_null_weights
from pytest_sway.backends.null_weight_cache import NullWeightCache
from pytest_sway.backends.zero_updates import zero_update_notes
from pytest_sway.requests import NullSeed, RequestError, View

NULL, OWN = "null", "own"
_START_EPSILONS = 512
"""Machine epsilons of ‖B₀·A₀‖ by which a start found again may differ: one thread or two make it 163."""


@dataclass(frozen=True)
class LoraUpdate:
    """The parts of a plain LoRA adapter.

    Attributes:
        files: the folder that it came from.
        config: shapes, with the plain init.
        state: the factors under PEFT's names.
        scaling: factor on B·A by module, where it is not what ``config`` says.
        has_start_factors: whether it is [B − B₀, B₀]·[A; A − A₀], converted from training that began at
            B₀·A₀ with half the rank.
    """

    files: AdapterFiles
    config: LoraConfig
    state: StateDict
    scaling: Mapping[str, float] = field(default_factory=dict)
    has_start_factors: bool = False


class LoraAdapter:
    """The adapter and its nulls in a model that PEFT wraps until :meth:`unload`."""

    form: Form = "factors"

    def __init__(self, model: torch.nn.Module, update: LoraUpdate, digest: str) -> None:
        self.digest = digest
        self._model = model
        self._peft = _wrap_and_load(model, update)
        self._config = self._peft.peft_config[SUBJECT]
        self.layers: dict[str, LoraLayer] = {
            name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)
        }
        for layer in self.layers.values():
            use_in_place_forward(layer)
        self._scaling = {n: update.scaling.get(n, layer.scaling[SUBJECT]) for n, layer in self.layers.items()}
        own = size_of(part for name in self.layers for part in self.factors(name))
        self._null_weights: NullWeightCache[dict[str, Factors]] = NullWeightCache(
            size_of(model.parameters()) - own, own
        )
        self._own_nulls: dict[str, dict[str, Factors]] = {}
        self._has_start_factors = update.has_start_factors
        self._is_mixed = False
        self._peft.eval()

    @property
    def inert(self) -> bool:
        """Whether the update is zero in every module."""
        return len(self._zero_modules) == len(self.layers)

    @property
    def notes(self) -> tuple[str, ...]:
        """Which modules hold no update."""
        zero, modules = self._zero_modules, len(self.layers)
        if not any(self._scaling.values()):
            return ("the adapter is inert: its update is multiplied by lora_alpha, which is 0",)
        update = "B·A - B₀·A₀ is zero up to rounding" if self._has_start_factors else "B·A is zero"
        return zero_update_notes(zero, modules, update)

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
        return f"{len(broken)} of {len(self.layers)} modules contain NaN or infinity (first: {broken[0]})"

    @property
    def changed_paths(self) -> Iterable[str]:
        """The modules that hold factors."""
        return self.layers.keys()

    @property
    def views_per_batch(self) -> int:
        """As many as there are nulls in memory; 1 where a layer is of another kind than PEFT's plain ones."""
        mixable = all(has_mixed_forward(layer) for layer in self.layers.values())
        return self._null_weights.most if mixable else 1

    def enter(self, view: View) -> None:
        """Put a view's weights in force; every layer is set, whatever was in force before."""
        if self._is_mixed:
            for layer in self.layers.values():
                use_in_place_forward(layer)
            self._is_mixed = False
        if view.is_base:
            for layer in self.layers.values():
                if not layer.disable_adapters:
                    layer.enable_adapters(enabled=False)
            return
        self._check_is_mine(view)
        slot = SUBJECT if view.null is None else self._filled_slot(view.null)
        for name, layer in self.layers.items():
            if layer.disable_adapters:
                layer.enable_adapters(enabled=True)
            if layer.active_adapters != [slot]:
                layer.set_adapter(slot, inference_mode=True)
            layer.scaling[slot] = self._scaling[name] * view.scale

    def enter_rows(self, views: Sequence[View]) -> None:
        """Put the weights of a batch in force whose rows belong to ``views``; equal ones stand together."""
        distinct = list(dict.fromkeys(views))
        for view in distinct:
            if not view.is_base:
                self._check_is_mine(view)
        sampled = [view.null for view in distinct if view.null is not None and not view.null.source]
        self._null_weights.drop_others(list(dict.fromkeys(sampled)))
        updates = {view: self._update_of(view) for view in distinct}
        runs = [(view, len(list(rows))) for view, rows in groupby(views)]
        self._is_mixed = True
        for name, layer in self.layers.items():
            scaling = self._scaling[name]
            groups = [RowGroup(n, updates[view][name], scaling * view.scale) for view, n in runs]
            use_mixed_forward(layer, groups)

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

    def add_null(self, update: LoraUpdate, digest: str) -> None:
        """Let a user's own plain LoRA adapter, of whatever rank, stand as a null; without it a module is 0.

        Raises:
            BackendError: it does not fit, or it changes what the subject does not.
        """
        folder = update.files.folder
        strange = sorted({_module_name(key) for key in update.state} - self.layers.keys())
        if strange:
            raise BackendError(
                f"{folder} cannot be used as a null adapter here: it changes {len(strange)} modules that the "
                f"evaluated adapter does not change (first: {strange[0]}). Train it with the same "
                "target_modules"
            )
        config = update.config
        config.target_modules = sorted({_module_name(key) for key in update.state})
        config.layers_to_transform = config.layers_pattern = config.exclude_modules = None
        with peft_errors(folder):
            self._peft.add_adapter(OWN, config)
        try:
            with peft_errors(folder):
                own = get_peft_model_state_dict(self._peft, adapter_name=OWN, save_embedding_layers=False)
                state = update.state
                check_complete(update.files, own.keys() - state.keys(), state.keys() - own.keys())
                check_shapes(update.files, state, own)
                set_peft_model_state_dict(self._peft, state, adapter_name=OWN)
            self._own_nulls[digest] = {name: self._user_null_factors(name) for name in self.layers}
        finally:
            self._peft.delete_adapter(OWN)
            self._peft.eval()

    def _user_null_factors(self, name: str) -> Factors:
        """One module of the slot ``own``, at the subject's scaling; zeros where that adapter has none."""
        layer = self.layers[name]
        if OWN not in layer.scaling or not self._scaling[name]:  # a subject that is multiplied by 0
            a, b = self.factors(name)
            return torch.zeros_like(a), torch.zeros_like(b)
        a, b = self.factors(name, OWN)
        like, _ = self.factors(name)
        return a.clone().to(like), (b * (layer.scaling[OWN] / self._scaling[name])).to(like)

    def _check_is_mine(self, view: View) -> None:
        if view.adapter != self.digest:
            raise RequestError(
                f"cannot evaluate {view.label()}: its adapter {view.adapter[:8]} is not attached"
            )

    def _update_of(self, view: View) -> dict[str, Factors]:
        """The factors of the subject or of a null, by module; the base's are zeros."""
        if view.null is not None:
            return self._factors_of(view.null)
        found = {name: self.factors(name) for name in self.layers}
        if not view.is_base:
            return found
        return {name: (torch.zeros_like(a), torch.zeros_like(b)) for name, (a, b) in found.items()}

    @cached_property
    def _zero_modules(self) -> list[str]:
        """Modules whose update s·B·A is zero, after PiSSA or OLoRA up to the rounding of their start."""
        return [
            name
            for name, scaling in self._scaling.items()
            if not scaling or product_norm(*self.factors(name)) <= self._rounding_of_start(name)
        ]

    def _rounding_of_start(self, name: str) -> float:
        if not self._has_start_factors:
            return 0.0
        _, _, start_a, start_b = self._parts(name)
        return _START_EPSILONS * torch.finfo(start_a.dtype).eps * product_norm(start_a, start_b)

    def _filled_slot(self, seed: NullSeed) -> str:
        """The null slot, holding this null's factors."""
        factors = self._factors_of(seed)
        if NULL not in self._peft.peft_config:
            with deferred_signals(), warnings.catch_warnings():  # half a slot would break every null to come
                warnings.simplefilter("ignore")
                self._peft.add_adapter(NULL, plain_lora_config(self._config))
                self._peft.eval()
        for name, (a, b) in factors.items():
            slot_a, slot_b = self._parameters(name, NULL)
            slot_a.data, slot_b.data = a, b
        return NULL

    def _factors_of(self, seed: NullSeed) -> dict[str, Factors]:
        """A null's factors: the user's own, or sampled."""
        if seed.source:
            return self._own_nulls[seed.source]
        return self._null_weights.get(seed, lambda: self._draw(seed))

    def _parts(self, name: str) -> tuple[torch.Tensor, ...]:
        """What a null of one module imitates; see :func:`draw_null_weights`."""
        a, b = self.factors(name)
        if not self._has_start_factors:
            return a, b
        half = a.shape[0] // 2
        return a[half:], b[:, :half], a[:half] - a[half:], b[:, half:]

    def _draw(self, seed: NullSeed) -> dict[str, Factors]:
        factors = {}
        for name in self.layers:
            a, b = draw_null_weights(seed, self.digest, name, self._parts(name))
            factors[name] = a, b
        return factors


def plain_lora_update(files: AdapterFiles, state: StateDict) -> LoraUpdate:
    """The update of a folder that holds plain LoRA."""
    with peft_errors(files.folder):
        return LoraUpdate(files, plain_lora_config(LoraConfig.from_pretrained(str(files.folder))), state)


def plain_lora_config(config: LoraConfig) -> LoraConfig:
    """The same shapes with the plain init: no init that looks at the base runs again.

    Nor any dropout, which acts in training alone, and which PEFT refuses on parameters (a router of experts).
    """
    plain = copy.deepcopy(config)
    plain.init_lora_weights = True
    plain.lora_dropout = 0.0
    plain.inference_mode = True
    return plain


def _module_name(key: str) -> str:
    """The module that a tensor of an adapter's file belongs to."""
    return key.removeprefix("base_model.model.").partition(".lora_")[0]


def _wrap_and_load(model: torch.nn.Module, update: LoraUpdate) -> PeftModel:
    """Wrap the model and load the weights; raises BackendError unless they match one to one."""
    try:
        with peft_errors(update.files.folder):
            wrapped = PeftModel(model, update.config, adapter_name=SUBJECT)
            own = get_peft_model_state_dict(wrapped, adapter_name=SUBJECT, save_embedding_layers=False)
            check_shapes(update.files, update.state, own)
            result = set_peft_model_state_dict(wrapped, update.state, adapter_name=SUBJECT)
            missing = [key for key in result.missing_keys if ".lora_" in key]
            check_complete(update.files, missing, result.unexpected_keys)
    except BaseException:
        _unwrap(model)
        raise
    return wrapped


def _unwrap(model: torch.nn.Module) -> None:
    """Put the base's own layers back, also after an injection that stopped half-way.

    One wrapper may hold another, around one module; the outer one goes with all that it holds.
    """
    for name, module in list(model.named_modules()):
        inside = ".base_layer" in name  # of a wrapper, which comes first
        if isinstance(module, LoraLayer) and not inside:
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, module.get_base_layer())
    if hasattr(model, "peft_config"):
        del model.peft_config
