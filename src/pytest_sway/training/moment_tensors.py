"""The moment that an optimizer keeps of one parameter, under the names that optimizers give it.

=================================================  ===============================================
second moment                                      momentum
=================================================  ===============================================
``exp_avg_sq`` (Adam, AdamW, schedule-free)        ``exp_avg`` alone (Lion)
``square_avg`` (RMSprop), ``sum`` (Adagrad)        ``momentum_buffer`` (SGD, Muon)
``exp_avg_sq_row`` and ``_col`` (Adafactor of      ``state1`` alone (bitsandbytes: Lion, SGD)
transformers), ``row_var`` and ``col_var`` (torch)
``state2`` (bitsandbytes), in 8 bits too
=================================================  ===============================================

An 8-bit state of bitsandbytes holds indices of a table, ``qmap``, in blocks with a scale each, ``absmax``
(Dettmers et al. 2022). Of torch, tensors' own methods alone are used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Tensor = Any
"""A torch.Tensor; this module does not import torch."""

NO_MOMENT, MOMENTUM, SECOND_MOMENT = "", "momentum", "second moment"
"""Of a parameter with both, the second moment is read."""

_SECOND_MOMENTS = ("exp_avg_sq", "square_avg", "sum", "variance")
_MOMENTA = ("exp_avg", "momentum_buffer")
_TORCH_FACTORS = ("row_var", "col_var")
_FACTORS = (("exp_avg_sq_row", "exp_avg_sq_col"), _TORCH_FACTORS)
_ADAFACTOR_ZERO = 1e-29
"""Adafactor adds 1e-30 to every squared gradient."""
_BITSANDBYTES = "__bnb_optimizer_quant_state__"
_BLOCKS = (256, 2048)
"""Values that share one scale: of today's bitsandbytes, and of versions before 0.44."""


@dataclass(frozen=True)
class MomentTensor:
    """The moment of one parameter.

    Attributes:
        kind: second moment, momentum, or nothing.
        values: squared gradients' averages, or a momentum's sizes; a row's averages where factors are kept.
        shape: of the parameter.
        repeated: how many of the parameter's values each of ``values`` stands for.
        zero: a mean not above this one is zero.
    """

    kind: str
    values: Tensor
    shape: tuple[int, ...]
    repeated: int = 1
    zero: float = 0.0


def read_moment(kept: Mapping[str, Any]) -> MomentTensor:
    """Read the moment of one parameter.

    Raises:
        ValueError: a tensor is larger than what is stored of it, or an 8-bit state has no scales that fit.
        AttributeError, TypeError, RuntimeError: a value is not a tensor, or of another kind.
    """
    kept = kept.get(_BITSANDBYTES, kept)
    for name in _SECOND_MOMENTS:
        if kept.get(name) is not None:
            return _plain_moment(SECOND_MOMENT, name, kept[name])
    for names in _FACTORS:
        if kept.get(names[0]) is not None:
            return _factored_moment(kept, names)
    for number, kind in (("2", SECOND_MOMENT), ("1", MOMENTUM)):
        if kept.get(f"state{number}") is not None:
            return _plain_moment(kind, f"state{number}", _dequantise(kept, number))
    for name in _MOMENTA:
        if kept.get(name) is not None:
            return _plain_moment(MOMENTUM, name, kept[name])
    return MomentTensor(NO_MOMENT, None, ())


def _plain_moment(kind: str, name: str, values: Tensor) -> MomentTensor:
    _check_stored(name, values)
    return MomentTensor(kind, values if kind == SECOND_MOMENT else values.abs(), tuple(values.shape))


def _factored_moment(kept: Mapping[str, Any], names: tuple[str, str]) -> MomentTensor:
    """Averages over a matrix's rows and columns; torch keeps them with a dimension of 1."""
    row, column = (kept[name] for name in names)
    _check_stored(names[0], row)
    outer = row.shape[:-1] if names == _TORCH_FACTORS else row.shape
    shape = (*outer, column.shape[-1])
    return MomentTensor(SECOND_MOMENT, row, shape, column.shape[-1], _ADAFACTOR_ZERO)


def _dequantise(kept: Mapping[str, Any], number: str) -> Tensor:
    """The numbers of bitsandbytes' state; small parameters' are not quantised."""
    values: Tensor = kept[f"state{number}"]
    if values.is_floating_point():
        return values
    _check_stored(f"state{number}", values)
    scales, table = kept[f"absmax{number}"], kept[f"qmap{number}"]
    _check_stored(f"absmax{number}", scales)
    _check_stored(f"qmap{number}", table)
    count = values.numel()
    block = next((size for size in _BLOCKS if math.ceil(count / size) == scales.numel()), None)
    if block is None:
        scaled = f"the {scales.numel()} scales in absmax{number}"
        raise ValueError(f"state{number} has {count} values, which do not match {scaled}")
    numbers: Tensor = (
        table.flatten()[values.flatten().long()] * scales.flatten().repeat_interleave(block)[:count]
    )
    return numbers.reshape(values.shape)


def _check_stored(name: str, values: Tensor) -> None:
    """Refuse a tensor of 10¹² values that share one stored number: reading it would take hours."""
    if values.numel() * values.element_size() > values.untyped_storage().nbytes():
        raise ValueError(f"the tensor {name} is larger than its stored data")
