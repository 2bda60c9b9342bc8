"""The base of a model that is being trained, without its adapter, for as long as an evaluation takes."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper
from transformers import PreTrainedModel

from pytest_sway.backends.base import BackendError


@contextmanager
def base_alone(model: PeftModel) -> Iterator[PreTrainedModel]:
    """The base of an adapted model: what PEFT's layers wrap stands in their place, and nothing is copied.

    While it lasts, the model is in evaluation mode. After it everything is as it was, bit by bit: layers,
    modes, hooks, the generation config, the states of all random number generators.

    Raises:
        BackendError: an adapter is merged into the base, so that its weights are not the base's.
    """
    base = model.get_base_model()
    with ExitStack() as undo:
        undo.enter_context(_random_states())
        undo.enter_context(_evaluation_mode(base))
        undo.enter_context(_without_gradient_hooks(base))
        undo.enter_context(_own_generation_config(base))
        undo.enter_context(_unwrapped(base))
        yield base


@contextmanager
def _unwrapped(base: Any) -> Iterator[None]:
    """PEFT's layers replaced by the modules that they wrap."""
    places = [
        (parent, name, child)
        for parent in list(base.modules())
        if not isinstance(parent, BaseTunerLayer | AuxiliaryTrainingWrapper)
        for name, child in parent.named_children()
        if isinstance(child, BaseTunerLayer | AuxiliaryTrainingWrapper)
    ]
    if any(getattr(child, "merged", False) for _, _, child in places):
        raise BackendError(
            "the adapter is merged into the base model; call unmerge_adapter() before evaluation"
        )
    try:
        for parent, name, child in places:
            is_layer = isinstance(child, BaseTunerLayer)
            parent._modules[name] = child.get_base_layer() if is_layer else child.original_module  # noqa: SLF001
        yield
    finally:
        for parent, name, child in places:
            parent._modules[name] = child  # noqa: SLF001


@contextmanager
def _evaluation_mode(base: Any) -> Iterator[None]:
    """No dropout; each module's own mode comes back."""
    modes = [(module, module.training) for module in base.modules()]
    base.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def _without_gradient_hooks(base: Any) -> Iterator[None]:
    """Hooks on the embeddings (``enable_input_require_grads``) would ask for gradients."""
    embeddings = base.get_input_embeddings()
    before = embeddings._forward_hooks  # noqa: SLF001
    embeddings._forward_hooks = OrderedDict()  # noqa: SLF001
    try:
        yield
    finally:
        embeddings._forward_hooks = before  # noqa: SLF001


@contextmanager
def _own_generation_config(base: Any) -> Iterator[None]:
    """What an evaluation sets of it does not stay."""
    before = base.generation_config
    try:
        yield
    finally:
        base.generation_config = before


@contextmanager
def _random_states() -> Iterator[None]:
    """Python's, numpy's and torch's generators, on every device."""
    python, arrays, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(arrays)
        torch.set_rng_state(cpu)
        if devices:
            torch.cuda.set_rng_state_all(devices)
