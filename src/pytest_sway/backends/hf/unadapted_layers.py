"""The decoder layers below the first one that an adapter changes: computed once per batch, for all views.

The base, the adapter and its null adapters give these layers the same tokens and the same weights, so their
output is the same to the last bit. Only models for which that is seen to hold (see :func:`unadapted_layers`)
skip them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
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

    Attributes:
        count: how many they are.
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
            self.forget()
        try:
            self._running = batch
            yield
        finally:
            self._running = None

    def forget(self) -> None:
        """Keep no output."""
        self._batch = self._output = None

    def close(self) -> None:
        """Give the layers their own ``forward`` back."""
        self.forget()
        for layer, before in self._forwards:
            del layer.forward
            if before is not None:  # some libraries set one on the instance
                layer.forward = before

    def _forward(self, forward: Callable[..., Any], is_last: bool, *args: Any, **kwargs: Any) -> Any:
        if self._running is None:
            self.forget()  # other text went through the layers above, which might keep something of it
            return forward(*args, **kwargs)
        if self._batch is not None:
            return self._output
        output = forward(*args, **kwargs)
        if is_last:
            self._output = output
            self._batch = self._running
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
    layers = _unchanged_layers(model, list(adapter.changed_paths))
    if not layers:
        return None
    unadapted = UnadaptedLayers(layers)
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
    except BaseException:  # as a timeout
        unadapted.close()
        raise
    return unadapted


def _unchanged_layers(model: torch.nn.Module, changed: Sequence[str]) -> Sequence[torch.nn.Module]:
    """The layers below the first that changes; none where something outside the layers does, as an embedding.

    The model's layers are the list of as many modules as its config names, and in which something changes.
    """
    config: Any = model.config
    count = getattr(config.get_text_config(), "num_hidden_layers", 0)
    for path, module in model.named_modules():
        if not isinstance(module, torch.nn.ModuleList) or len(module) != count:
            continue
        inside = [name.removeprefix(f"{path}.") for name in changed if name.startswith(f"{path}.")]
        if inside:
            first = min(int(name.partition(".")[0]) for name in inside)
            return list(module)[:first] if len(inside) == len(changed) else []
    return []
