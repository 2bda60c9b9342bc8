"""One adapter on a model of mlx-lm, with its nulls: each view is what stands in the adapter's layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from pytest_sway.backends.base import BackendError, Form
from pytest_sway.backends.merge_rounding import MAX_ROUNDS, MERGE_ROUNDING, SIZE_TOLERANCE
from pytest_sway.backends.mlx.adapter_content import AdapterContent, LoraUpdate, Updates, as_array
from pytest_sway.backends.mlx.adapter_layers import (
    AdapterLayers,
    DenseWeight,
    LayerContent,
    LoraFactors,
    dense_weight,
)
from pytest_sway.backends.mlx.base_model import weights_bytes
from pytest_sway.backends.null_weight_cache import NullWeightCache
from pytest_sway.backends.null_weights import Array, draw_null_tensor, draw_null_weights
from pytest_sway.backends.zero_updates import zero_update_notes
from pytest_sway.requests import NullSeed, RequestError, View

Contents = Mapping[str, LayerContent]


class ServedAdapter:
    """An adapter that is attached to a model until :meth:`unload`.

    Plain LoRA is factors beside the base's weights, and λ their scale. DoRA is whole weights in the place of
    the base's, as ``kind: hf`` has it: with its scale at 0 a magnitude would remain, so λ blends the weights,
    W + λ·(W′ - W).

    Args:
        model: of mlx-lm.
        content: the adapter; it fits the model.
        digest: of its files.
        dtype: of the model.
    """

    def __init__(self, model: nn.Module, content: AdapterContent, digest: str, dtype: Any) -> None:
        self.digest = digest
        self.form: Form = "tensors" if content.is_dora else "factors"
        self._updates: Updates = content.updates
        self._dtype = dtype
        ranks = {name: update.rank for name, update in content.updates.items()}
        memory = weights_bytes(model)
        self._layers = AdapterLayers(model, ranks, changes_tied_head=content.changes_tied_head)
        self._tuned = self._contents(content.updates)
        self._null_weights: NullWeightCache[Contents] = NullWeightCache(
            memory, sum(part.nbytes for one in self._tuned.values() for part in _arrays(one))
        )
        self._own_nulls: dict[str, Contents] = {}

    @property
    def zero_modules(self) -> list[str]:
        """Modules whose update is zero."""
        return [name for name, update in self._updates.items() if not self._changes(name, update)]

    @property
    def inert(self) -> bool:
        """Whether the update is zero in every module."""
        return len(self.zero_modules) == len(self._updates)

    @property
    def notes(self) -> tuple[str, ...]:
        """Which modules hold no update."""
        return zero_update_notes(self.zero_modules, len(self._updates))

    def enter(self, view: View) -> None:
        """Put a view's layers in force, whatever was in force before."""
        if view.is_base:
            self._layers.use_base()
            return
        if view.adapter != self.digest:
            raise RequestError(
                f"no answer for {view.label()!r}: the adapter {view.adapter[:8]} is not attached"
            )
        full = self._tuned if view.null is None else self._contents_of(view.null)
        self._layers.use({name: self._scaled(name, one, view.scale) for name, one in full.items()})

    def unload(self) -> None:
        """Put the base's own layers back."""
        self._layers.use_base()

    def add_null(self, content: AdapterContent, digest: str) -> None:
        """Let a user's own plain LoRA adapter stand as a null; a module that it does not change is 0.

        Raises:
            BackendError: one of the two is no plain LoRA, or the null changes what the subject does not.
        """
        if content.is_dora:
            raise BackendError(
                f"{content.folder} cannot be used as a null adapter: a null adapter must be plain "
                "LoRA, and this one uses DoRA"
            )
        if self.form != "factors":
            raise BackendError(
                f"{content.folder} cannot be used as a null adapter here, because the evaluated adapter "
                "changes full weight tensors; use family: norm_matched or permuted"
            )
        if strange := sorted(content.updates.keys() - self._updates.keys()):
            raise BackendError(
                f"{content.folder} cannot be used as a null adapter here: it changes {len(strange)} modules "
                f"that the evaluated adapter does not change (first: {strange[0]}). Train it with the same "
                "target modules"
            )
        zeros = {
            name: LoraFactors(mx.zeros_like(one.a), mx.zeros_like(one.b), 0.0)
            for name, one in self._tuned.items()
            if isinstance(one, LoraFactors)
        }
        self._own_nulls[digest] = {**zeros, **self._contents(content.updates)}

    def _contents_of(self, seed: NullSeed) -> Contents:
        """What a null puts in the layers: the user's own, or sampled."""
        if seed.source:
            return self._own_nulls[seed.source]
        return self._null_weights.get(seed, lambda: self._draw(seed))

    def _draw(self, seed: NullSeed) -> Contents:
        if self.form == "tensors":
            return {name: self._null_weight(seed, name) for name in self._updates}
        return self._contents(
            {name: self._null_update(seed, name, one) for name, one in self._updates.items()}
        )

    def _null_update(self, seed: NullSeed, name: str, update: LoraUpdate) -> LoraUpdate:
        a, b = as_array(update.a), as_array(update.b)
        if not update.has_experts:
            new_a, new_b = draw_null_weights(seed, self.digest, name, (a, b))
            return LoraUpdate(mx.array(new_a), mx.array(new_b), update.scaling)
        pairs = [
            draw_null_weights(seed, self.digest, f"{name}.{expert}", (a[expert], b[expert]))
            for expert in range(len(a))
        ]
        stacked = [mx.array(np.stack(parts)) for parts in zip(*pairs, strict=True)]
        return LoraUpdate(stacked[0], stacked[1], update.scaling)

    def _null_weight(self, seed: NullSeed, name: str) -> DenseWeight:
        base, tuned = self._base_weight(name), self._tuned[name]
        assert isinstance(tuned, DenseWeight)  # of every module, where the form is tensors
        real = as_array(tuned.weight) - base
        update = draw_null_tensor(seed, self.digest, f"{name}.weight", real, base)
        return DenseWeight(self._rounded(base, update, float(np.linalg.norm(real))))

    def _rounded(self, base: Array, update: Array, size: float) -> mx.array:
        """Base + update in the model's dtype, where the update has ``size`` *after* the rounding."""
        for _ in range(MAX_ROUNDS):
            weight = mx.array(base + update).astype(self._dtype)
            kept = float(np.linalg.norm(as_array(weight) - base))
            if not kept or abs(size / kept - 1) < SIZE_TOLERANCE:
                break
            update = update * np.float32(size / kept)
        return weight

    def _contents(self, updates: Updates) -> dict[str, LayerContent]:
        """What these updates put in the layers."""
        found: dict[str, LayerContent] = {}
        for name, update in updates.items():
            a, b = update.a.astype(mx.float32), update.b.astype(mx.float32)
            if update.magnitude is not None:
                found[name] = DenseWeight(self._dora_weight(name, update, update.magnitude))
            elif update.has_experts:
                found[name] = LoraFactors(a, b, update.scaling)
            else:
                found[name] = LoraFactors(mx.contiguous(a.T), mx.contiguous(b.T), update.scaling)
        mx.eval([part for one in found.values() for part in _arrays(one)])
        return found

    def _dora_weight(self, name: str, update: LoraUpdate, magnitude: mx.array) -> mx.array:
        """m·(W + s·B·A)/‖W + s·B·A‖, row by row (Liu et al. 2024, arXiv 2402.09353)."""
        changed = mx.array(self._base_weight(name)) + update.scaling * (
            update.b.astype(mx.float32) @ update.a.astype(mx.float32)
        )
        norm = mx.linalg.norm(changed, axis=1, keepdims=True)
        return (magnitude.astype(mx.float32)[:, None] / norm * changed).astype(self._dtype)

    def _base_weight(self, name: str) -> Array:
        return as_array(dense_weight(self._layers.base_layer(name)))

    def _scaled(self, name: str, content: LayerContent, scale: float) -> LayerContent:
        """At λ."""
        if scale == 1.0:
            return content
        if isinstance(content, LoraFactors):
            return content._replace(scale=content.scale * scale)
        base = mx.array(self._base_weight(name))
        blended = base + scale * (content.weight.astype(mx.float32) - base)
        return DenseWeight(blended.astype(self._dtype))

    def _changes(self, name: str, update: LoraUpdate) -> bool:
        tuned = self._tuned[name]
        if isinstance(tuned, LoraFactors):
            return update.changes
        base, weight = self._base_weight(name), as_array(tuned.weight)
        return not np.allclose(weight, base, rtol=MERGE_ROUNDING, atol=0)


def _arrays(content: LayerContent) -> list[mx.array]:
    return [part for part in content if isinstance(part, mx.array)]
