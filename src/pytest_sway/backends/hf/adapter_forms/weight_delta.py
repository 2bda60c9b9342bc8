"""Changed weights in the place of the base's, for every adapter that is not plain LoRA."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

from pytest_sway.backends.base import BackendError, Form
from pytest_sway.backends.hf.adapter_files.adapter_tensors import StateDict
from pytest_sway.backends.hf.finite_checks import check_logits_in_fp32, non_finite_tensors
from pytest_sway.backends.hf.lora_factors import size_of
from pytest_sway.backends.hf.null_weights import draw_null_tensor
from pytest_sway.backends.merge_rounding import MAX_ROUNDS, MERGE_ROUNDING, SIZE_TOLERANCE
from pytest_sway.backends.null_weight_cache import NullWeightCache
from pytest_sway.requests import NullSeed, RequestError, View

_ROUNDING_NOTED = 0.1
"""From this share of the update's own size on, the report notes the rounding of merged weights."""
_LOGIT_TOLERANCE = 1e-3
"""Largest deviation of the changed weights' logits from the true ones, as a share of the largest logit."""


@dataclass(frozen=True)
class TunedWeights:
    """The weights of a tuned model, and its logits on the check row.

    Attributes:
        source: its folder, for messages.
        state: all of its parameters and persistent buffers by path, fp32 on the CPU.
        logits: of the check row, by the tuned model's own forward; fp32 on the CPU. They may have
            fewer columns than the base, where the base has rows that no token uses.
        if_different: the end of a message, where the base with these weights has other logits.
        notes: what a reader of the report should know of how the state was made.
    """

    source: str
    state: StateDict
    logits: torch.Tensor
    if_different: str
    notes: tuple[str, ...] = ()


class WeightDelta:
    """Tensors that replace the base's, path by path: tied weights may part, and absent biases appear.

    λ blends *weights*: W + λ·(W′ − W), which is 0 at the base and 1 at the tuned model for any form. For
    plain LoRA the update is B·A and this is the same scale; a DoRA magnitude or an IA3 factor is not scaled
    by itself. Tensors that did not change are not kept. A null is the base with a random change in the same
    tensors.
    """

    form: Form = "tensors"

    def __init__(
        self, model: torch.nn.Module, tensors: StateDict, digest: str, notes: tuple[str, ...]
    ) -> None:
        self.digest = digest
        self.notes = notes
        own = model.state_dict(keep_vars=True)
        self._model = model
        self._base = {path: own.get(path) for path in tensors}
        self._tuned = {path: _parameter_or_buffer(own.get(path), tensor) for path, tensor in tensors.items()}
        self._blend: tuple[View | None, Mapping[str, torch.Tensor]] = (None, {})
        self._null_weights: NullWeightCache[dict[str, torch.Tensor]] = NullWeightCache(
            size_of(model.parameters()), size_of(self._tuned.values())
        )

    @property
    def inert(self) -> bool:
        """Whether no tensor changed."""
        return not self._tuned

    @property
    def fault(self) -> str:
        """Tensors that hold a NaN or an infinity."""
        return non_finite_tensors(self._tuned)

    def enter(self, view: View) -> None:
        """Put the view's tensors into the model, whatever it held before."""
        if view.is_base:
            self.unload()
            return
        if view.adapter != self.digest:
            raise RequestError(
                f"cannot evaluate {view.label()}: its adapter {view.adapter[:8]} is not attached"
            )
        for path, tensor in self._scaled(view).items():
            _set_tensor(self._model, path, tensor)

    @property
    def changed_paths(self) -> Iterable[str]:
        """The tensors that changed."""
        return self._tuned.keys()

    @property
    def views_per_batch(self) -> int:
        """One: a tensor of the model is the same for all rows."""
        return 1

    def enter_rows(self, views: Sequence[View]) -> None:
        """Refused."""
        raise RequestError(
            f"one batch asks for {len(set(views))} variants of the model (base model, adapter, strengths), "
            "but an adapter that changes full weight tensors supports only one variant per batch"
        )

    def unload(self) -> None:
        """Put the base's own tensors back: the same objects."""
        for path, tensor in self._base.items():
            _set_tensor(self._model, path, tensor)

    def _scaled(self, view: View) -> Mapping[str, torch.Tensor]:
        """The tensors of the subject or of a null, at λ; a blend is kept for the last view only."""
        null = view.null
        full = self._tuned if null is None else self._null_weights.get(null, lambda: self._draw(null))
        if view.scale == 1.0:
            return full
        if self._blend[0] != view:
            with torch.no_grad():
                blended = {
                    path: _interpolate(self._base[path], new, view.scale) for path, new in full.items()
                }
            self._blend = (view, blended)
        return self._blend[1]

    @torch.no_grad()
    def _draw(self, seed: NullSeed) -> dict[str, torch.Tensor]:
        """The base with a random update in the place of the tuned one; what is tied in both stays tied."""
        tensors: dict[str, torch.Tensor] = {}
        first: dict[int, str] = {}
        for path, tuned in self._tuned.items():
            base = self._base[path]
            twin = first.setdefault(id(base), path) if base is not None else path
            if twin != path and torch.equal(tuned, self._tuned[twin]):
                tensors[path] = tensors[twin]
                continue
            start = torch.zeros_like(tuned) if base is None else base.detach()
            real = tuned.float() - start.float()
            update = draw_null_tensor(seed, self.digest, path, real, start)
            tensors[path] = _parameter_or_buffer(
                base, _scale_after_rounding(start, update, float(real.norm()))
            )
        return tensors


def weight_delta(model: torch.nn.Module, target: TunedWeights, row: list[int], digest: str) -> WeightDelta:
    """The tensors in which ``target`` differs from ``model``, checked by the logits with them.

    Args:
        model: the base.
        target: the tuned model's weights and logits.
        row: token ids of the check row.
        digest: of the target's files.

    Raises:
        BackendError: the base with the target's weights does not have the target's logits.
    """
    check_logits_in_fp32(target.source, target.logits)
    logits = _base_logits_with(model, target, row)[:, : target.logits.shape[-1]]
    off, allowed = (
        float((logits - target.logits).abs().max()),
        _LOGIT_TOLERANCE * float(target.logits.abs().max()),
    )
    if not off <= allowed:
        raise BackendError(
            f"{target.source} cannot be evaluated: with its weights, the base model returns other logits "
            f"than expected (difference up to {off:.2g}); {target.if_different}"
        )
    changed: StateDict = {}
    update = rounding = 0.0
    own = model.state_dict()
    dtype = next(model.parameters()).dtype
    for path, new in target.state.items():
        old = own.get(path, torch.zeros(new.shape, dtype=dtype))
        base = old.to("cpu", new.dtype)
        if torch.allclose(new, base, rtol=MERGE_ROUNDING, atol=0):
            continue
        cast = new.to(old.dtype)
        update += float((new - base).double().square().sum())
        rounding += float((cast.to(new.dtype) - new).double().square().sum())
        if not torch.equal(cast.to(new.dtype), base):
            changed[path] = cast.to(next(model.parameters()).device)
    notes = (*_notes(changed, update**0.5, rounding**0.5, dtype), *target.notes)
    return WeightDelta(model, changed, digest, notes)


def row_logits(model: torch.nn.Module, row: list[int]) -> torch.Tensor:
    """Logits of one row, ``[tokens, vocabulary]``, in fp32 on the CPU."""
    device = next(model.parameters()).device
    with torch.inference_mode():
        logits: torch.Tensor = model(input_ids=torch.tensor([row], device=device), use_cache=False).logits[0]
    return logits.float().cpu()


def _base_logits_with(model: torch.nn.Module, target: TunedWeights, row: list[int]) -> torch.Tensor:
    """The logits of the base model's code with the target's weights."""
    own = model.state_dict(keep_vars=True)
    extra = [path for path in target.state if path not in own and not _is_empty_slot(model, path)]
    unmatched = [*extra, *sorted(own.keys() - target.state.keys())]
    if unmatched:
        raise BackendError(
            f"{target.source} does not match the weights of the base model: {len(unmatched)} tensors exist "
            f"in only one of the two (first: {unmatched[0]})"
        )
    shell = copy.deepcopy(model, {id(tensor): tensor for tensor in own.values()})  # shares what it replaces
    for path, tensor in target.state.items():
        _set_tensor(shell, path, _parameter_or_buffer(own.get(path), tensor))
    return row_logits(shell.to("cpu", torch.float32), row)


def _is_empty_slot(model: torch.nn.Module, path: str) -> bool:
    """Whether the base has an attribute there that is None, as a linear layer without bias has."""
    parent, _, name = path.rpartition(".")
    try:
        return getattr(model.get_submodule(parent), name, model) is None
    except AttributeError:
        return False


def _set_tensor(model: torch.nn.Module, path: str, tensor: torch.Tensor | None) -> None:
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, tensor)


def _parameter_or_buffer(old: torch.Tensor | None, new: torch.Tensor) -> torch.Tensor:
    """A parameter where the base has one or none, a buffer where it has a buffer."""
    if old is None or isinstance(old, torch.nn.Parameter):
        return torch.nn.Parameter(new, requires_grad=False)
    return new


def _interpolate(old: torch.Tensor | None, new: torch.Tensor, scale: float) -> torch.Tensor:
    """W + λ·(W′ − W), in fp32, rounded once."""
    base = torch.zeros_like(new) if old is None else old
    blended = base.float() + scale * (new.float() - base.float())
    return _parameter_or_buffer(old, blended.to(new.dtype))


def _scale_after_rounding(start: torch.Tensor, update: torch.Tensor, size: float) -> torch.Tensor:
    """Start + update in the dtype of ``start``, where the update has ``size`` *after* the rounding.

    In bf16 an update that is small beside the weights is mostly rounded away, and the real one was rounded
    before its size was taken.
    """
    for _ in range(MAX_ROUNDS):
        tensor = (start.float() + update).to(start.dtype)
        kept = float((tensor.float() - start.float()).norm())
        if not kept or abs(size / kept - 1) < SIZE_TOLERANCE:
            break
        update = update * (size / kept)
    return tensor


def _notes(changed: StateDict, update: float, rounding: float, dtype: torch.dtype) -> tuple[str, ...]:
    """What the report says of an update that is zero, or of the order of its own rounding."""
    name = str(dtype).removeprefix("torch.")
    if update and rounding > _ROUNDING_NOTED * update:
        share = f"{rounding / update:.0%} of the update's size"
        return (f"rounding the tuned weights to {name} causes an error of {share}; dtype: fp32 avoids it",)
    return () if changed else ("the adapter is inert: all weights are equal to the base model's weights",)
