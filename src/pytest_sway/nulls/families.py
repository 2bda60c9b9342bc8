"""How a null adapter's factors are drawn.

Every module has its own generator, seeded by (family, digest of the imitated adapter, seed base, draw,
module): a null is the same in any process, in any order, and adapters of a fleet share no luck. The
generator is numpy's Philox, whose stream does not depend on the platform.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import torch

from pytest_sway.backends.hf.factors import Factors, product_norm
from pytest_sway.requests import NullSeed


def draw(seed: NullSeed, digest: str, module: str, a: torch.Tensor, b: torch.Tensor) -> Factors:
    """Factors of one module of a null adapter.

    Args:
        seed: family and draw.
        digest: of the adapter that is imitated.
        module: its name in the model.
        a: the real factor A, ``[rank, ...]``.
        b: the real factor B, ``[out, rank, ...]`` (``[out, rank]`` for embeddings too).

    Returns:
        Factors of the same shapes, dtypes and devices.
    """
    return FAMILIES[seed.family](_generator(seed, digest, module), seed, a, b)


def _norm_matched(generator: np.random.Generator, _: NullSeed, a: torch.Tensor, b: torch.Tensor) -> Factors:
    """Gaussian factors with the real update's ‖B·A‖: same size, no direction."""
    new_a, new_b = _gaussian(generator, a), _gaussian(generator, b)
    norm = product_norm(new_a, new_b)
    factor = (product_norm(a, b) / norm) ** 0.5 if norm else 0.0
    return new_a.mul_(factor).to(a), new_b.mul_(factor).to(b)


def _fixed_gaussian(
    generator: np.random.Generator, seed: NullSeed, a: torch.Tensor, b: torch.Tensor
) -> Factors:
    """Gaussian factors with standard deviation ``init_scale``: an opponent of arbitrary size."""
    scale = seed.init_scale
    return _gaussian(generator, a).mul_(scale).to(a), _gaussian(generator, b).mul_(scale).to(b)


FAMILIES: dict[str, Callable[[np.random.Generator, NullSeed, torch.Tensor, torch.Tensor], Factors]] = {
    "norm_matched": _norm_matched,
    "gaussian": _fixed_gaussian,
}


def _gaussian(generator: np.random.Generator, like: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(generator.standard_normal(tuple(like.shape), dtype=np.float32))


def _generator(seed: NullSeed, digest: str, module: str) -> np.random.Generator:
    text = f"{seed.family}:{digest}:{seed.seed_base}:{seed.draw}:{module}"
    key = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")
    return np.random.Generator(np.random.Philox(key=key))
