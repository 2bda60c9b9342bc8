"""The decoder layers below the first one that an adapter changes: computed once per batch, for all views.

The base, the adapter and its null adapters give these layers the same tokens and the same weights, so their
output is the same to the last bit. Only models for which that is seen to hold (see :func:`unadapted_layers`)
skip them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from pytest_sway.backends.hf.adapter_forms.served_adapter import ServedAdapter
from pytest_sway.requests import View


class UnadaptedLayers:
    """Layers whose output on a batch is kept until another batch comes.

    Args:
        layers: the first layers of the model, in their order; their ``forward`` is replaced until
            :meth:`close`.
    """

    def __init__(self, layers: Sequence[torch.nn.Module]) -> None:
        self.count = len(layers)
        self._forwards = [(layer, vars(layer).get("forward")) for layer in layers]
        self._batch: Hashable = None
        self._output: Any = None
        self._running: Hashable = None
        for layer in layers:
            layer.forward = partial(self._forward, layer.forward, layer is layers[-1])

    @contextmanager
    def computed_once(self, batch: Hashable) -> Iterator[None]:
        """For one forward over ``batch``: the layers are skipped where their output on it is kept."""
        if batch != self._batch:
            self._batch = self._output = None
        self._running = batch
        try:
            yield
        finally:
            self._running = None

    def close(self) -> None:
        """Give the layers their own ``forward`` back."""
        self._batch = self._output = None
        for layer, before in self._forwards:
            del layer.forward
            if before is not None:  # some libraries set one on the instance
                layer.forward = before

    def _forward(self, forward: Callable[..., Any], is_last: bool, *args: Any, **kwargs: Any) -> Any:
        if self._running is not None and self._batch is not None:
            return self._output
        output = forward(*args, **kwargs)
        if self._running is not None and is_last:
            self._batch, self._output = self._running, output
        return output


def unadapted_layers(
    model: torch.nn.Module,
    adapter: ServedAdapter,
    tuned: View,
    row_logits: Callable[[], torch.Tensor],
    known: tuple[torch.Tensor, torch.Tensor],
) -> UnadaptedLayers | None:
    """The layers below the first that an adapter changes; None if there are none, or none can be skipped.

    They can if the check row's logits stay the same to the last bit.

    Args:
        model: a causal language model.
        adapter: what is attached to it.
        tuned: its view.
        row_logits: logits of the check row, by the weights in force.
        known: what they are under the adapter, and under the base.
    """
    path, layers = _decoder_layers(model)
    first = _first_changed_layer(path, adapter.changed_paths)
    if first == 0:
        return None
    unadapted = UnadaptedLayers(layers[:first])
    base = View(tuned.base)
    trials = ((base, known[1]), (tuned, known[0]), (base, known[1]))
    try:
        for view, logits in trials:
            adapter.enter(view)
            with unadapted.computed_once("check row"):
                found = row_logits()
            if not torch.equal(found, logits):
                raise ValueError("other logits")
    except Exception:
        unadapted.close()
        return None
    return unadapted


def _decoder_layers(model: torch.nn.Module) -> tuple[str, Sequence[torch.nn.Module]]:
    """The list that holds the model's layers, and its path; an empty one if it isn't found."""
    config: Any = model.config
    count = getattr(config.get_text_config(), "num_hidden_layers", 0)
    for path, module in model.named_modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == count:
            return path, list(module)
    return "", []


def _first_changed_layer(layers: str, changed: Iterable[str]) -> int:
    """Index of the first layer that changes; 0 where something outside the layers does, as an embedding."""
    paths = list(changed)
    inside = [path.removeprefix(f"{layers}.") for path in paths if path.startswith(f"{layers}.")]
    if not layers or not inside or len(inside) < len(paths):
        return 0
    return min(int(path.partition(".")[0]) for path in inside)
