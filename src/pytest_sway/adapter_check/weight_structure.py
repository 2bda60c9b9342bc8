"""Whether an adapter's factors are more than random numbers, by the weights alone.

Gradients are of low rank, so whatever was trained has directions that hold more of a factor B than their
share. Random numbers have none: in any order they look alike, which makes the test exact (a permutation test,
Fisher 1935), whatever their distribution.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
from numpy.typing import NDArray

from pytest_sway.safetensors_header import tensor_shapes
from pytest_sway.spec.adapter_folders import ADAPTER_WEIGHTS, MLX_WEIGHTS

_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_FACTOR = ".lora_b"
"""In the names of the tensors B, in small letters: PEFT's and mlx-lm's."""
_SHUFFLES = 39
_MOST_FACTORS, _MOST_NUMBERS = 24, 4_000_000
"""Of the factors that are looked at, evenly over the file."""
_CLEAR_Z = 6.0
"""Beyond this many standard deviations, and beyond every shuffle, it is structure."""


@dataclass(frozen=True)
class WeightStructure:
    """The share of the largest singular value's square in a factor, the mean over factors.

    Attributes:
        share: of the adapter's factors, in (0, 1].
        shuffled: the mean share after their numbers were shuffled.
        z: how far the two are apart, in standard deviations of the shuffles.
        is_trained: whether the share is surely more than that of random numbers.
    """

    share: float
    shuffled: float
    z: float
    is_trained: bool


def weight_structure(adapter: Path) -> WeightStructure | None:
    """The structure of a folder's LoRA factors.

    Returns:
        None where there is nothing to shuffle: no LoRA factors of rank 2 or more, or all of them zero.

    Raises:
        HeaderError: the weights cannot be read.
    """
    file = next(
        (adapter / name for name in (ADAPTER_WEIGHTS, MLX_WEIGHTS) if (adapter / name).is_file()), None
    )
    factors = _read_factors(file) if file is not None else []
    if not factors:
        return None
    generator = np.random.default_rng(0)
    share = fmean(map(_largest_share, factors))
    shuffles = [
        fmean(_largest_share(generator.permutation(one.ravel()).reshape(one.shape)) for one in factors)
        for _ in range(_SHUFFLES)
    ]
    mean, spread = fmean(shuffles), stdev(shuffles)
    if not spread > 0:
        return None
    z = (share - mean) / spread
    return WeightStructure(share, mean, z, z >= _CLEAR_Z and share > max(shuffles))


def _largest_share(factor: NDArray[np.float64]) -> float:
    """The largest eigenvalue of the smaller Gram matrix over the sum of all."""
    rows, columns = factor.shape
    gram = factor.T @ factor if rows >= columns else factor @ factor.T
    return float(np.linalg.eigvalsh(gram)[-1] / np.trace(gram))


def _read_factors(file: Path) -> list[NDArray[np.float64]]:
    """Some of the factors B that are finite, not zero and of rank 2 or more.

    Raises:
        HeaderError: the file cannot be read, or is cut off.
    """
    shapes = tensor_shapes(file)
    names = sorted(name for name, shape in shapes.items() if _is_factor(name, shape))
    names = names[:: -(-len(names) // _MOST_FACTORS)] if names else []
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(length))
        found = []
        for name in names:
            entry = header[name]
            begin, end = entry["data_offsets"]
            stream.seek(8 + length + begin)
            found.append(_read_values(stream.read(end - begin), entry["dtype"], shapes[name]))
    return [one for one in found if one is not None and np.isfinite(one).all() and np.any(one)]


def _is_factor(name: str, shape: tuple[int, ...]) -> bool:
    is_matrix = len(shape) == 2 and min(shape) >= 2 and max(shape) > min(shape)
    return _FACTOR in name.lower() and is_matrix and shape[0] * shape[1] <= _MOST_NUMBERS


def _read_values(content: bytes, dtype: str, shape: tuple[int, ...]) -> NDArray[np.float64] | None:
    """A tensor's numbers; None of a type that holds no plain floats."""
    if dtype not in _DTYPES:
        return None
    values = np.frombuffer(content, _DTYPES[dtype])
    if dtype == "BF16":  # the upper half of an fp32
        values = (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float64).reshape(shape)
