"""How a null adapter's weights are sampled: which of the real update's properties it keeps.

========================  ========================================  ===========
family                    what it keeps of the update in a module   can be made
========================  ========================================  ===========
``norm_matched``          its size ‖ΔW‖ (Frobenius); of PiSSA and   always
                          OLoRA also the factors they began with;
                          of changed matrices also by how much they
                          rescale the base's rows and columns
``permuted``              its entries, in other rows and columns    always
``spectrum_matched``      its singular values                       from B·A
``signs``                 its singular values and vectors; only     from B·A
                          their agreement is lost
``gaussian``              nothing: factors of one fixed size        from B·A
========================  ========================================  ===========

Every module has its own generator, seeded by (family, digest of the imitated adapter, seed base, draw,
module): a null is the same in any process, in any order, and adapters of a fleet share no luck. The
generator is numpy's Philox, whose stream does not depend on the platform.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import torch

from pytest_sway.backends.hf.lora_factors import Factors, factor_matrix, product_norm
from pytest_sway.requests import NullSeed

_ROUNDS = 8
Draw = Callable[[np.random.Generator, NullSeed, torch.Tensor, torch.Tensor], Factors]
DrawTensor = Callable[[np.random.Generator, torch.Tensor, torch.Tensor], torch.Tensor]


def draw_null_weights(
    seed: NullSeed, digest: str, module: str, parts: tuple[torch.Tensor, ...]
) -> tuple[torch.Tensor, ...]:
    """One module of a null adapter.

    Args:
        seed: family and draw.
        digest: of the adapter that is imitated.
        module: its name in the model.
        parts: of the real update: A ``[rank, ...]`` and B ``[out, rank, ...]`` (``[out, rank]`` for
            embeddings too), or (δA, δB, A₀, B₀).

    Returns:
        A and B of the same shapes, dtypes and devices; of four parts, of twice the rank.
    """
    generator = _generator(seed, digest, module)
    began = len(parts) == 4
    a, b = _doubled(*parts) if began else parts
    if began and seed.family == "norm_matched":
        new_a, new_b = _around_start(generator, *parts)
    else:
        new_a, new_b = FACTORS[seed.family](generator, seed, a, b)
    return new_a.to(a), new_b.to(b)


def draw_null_tensor(
    seed: NullSeed, digest: str, path: str, update: torch.Tensor, base: torch.Tensor
) -> torch.Tensor:
    """The random update of one whole tensor.

    Args:
        seed: family and draw.
        digest: of the adapter that is imitated.
        path: the tensor's in the model.
        update: the real one, of any shape.
        base: the tensor that it changes, of the same shape; zeros where the base has none.
    """
    return TENSORS[seed.family](_generator(seed, digest, path), update, base).to(update)


def _norm_matched(generator: np.random.Generator, _: NullSeed, a: torch.Tensor, b: torch.Tensor) -> Factors:
    """Gaussian factors with the real update's ‖B·A‖: same size, no direction."""
    new_a, new_b = _gaussian(generator, a), _gaussian(generator, b)
    norm = product_norm(new_a, new_b)
    factor = (product_norm(a, b) / norm) ** 0.5 if norm else 0.0
    return new_a.mul_(factor), new_b.mul_(factor)


def _around_start(
    generator: np.random.Generator,
    a_change: torch.Tensor,
    b_change: torch.Tensor,
    a_start: torch.Tensor,
    b_start: torch.Tensor,
) -> Factors:
    """Random changes of the factors that training began with, scaled to the real update's size.

    B₀ and A₀ hold the base's largest singular vectors, and what random numbers do from there on is more than
    what an update does that knows nothing of them.
    """
    new_a = _gaussian(generator, a_change).mul_(_norm(a_change))
    new_b = _gaussian(generator, b_change).mul_(_norm(b_change))
    new_a, new_b = new_a / max(new_a.numel(), 1) ** 0.5, new_b / max(new_b.numel(), 1) ** 0.5
    start = a_start.float().cpu(), b_start.float().cpu()
    size = product_norm(*_doubled(a_change.float().cpu(), b_change.float().cpu(), *start))
    for _ in range(_ROUNDS):  # nearly linear in the changes, so a few steps find the factor
        made = _doubled(new_a, new_b, *start)
        norm = product_norm(*made)
        if not norm:
            break
        new_a, new_b = new_a * (size / norm), new_b * (size / norm)
    return _doubled(new_a, new_b, *start)


def _doubled(
    a_change: torch.Tensor, b_change: torch.Tensor, a_start: torch.Tensor, b_start: torch.Tensor
) -> Factors:
    """Factors of (B₀ + δB)·(A₀ + δA) − B₀·A₀ = [δB, B₀]·[A₀ + δA; δA]."""
    return torch.cat([a_start + a_change, a_change]), torch.cat([b_change, b_start], dim=1)


def _permuted(generator: np.random.Generator, _: NullSeed, a: torch.Tensor, b: torch.Tensor) -> Factors:
    """The update with its rows and its columns in another order: size, spectrum and entries stay."""
    return a[:, _order(generator, a.shape[1])], b[_order(generator, b.shape[0])]


def _spectrum_matched(
    generator: np.random.Generator, _: NullSeed, a: torch.Tensor, b: torch.Tensor
) -> Factors:
    """The update's singular values with random singular vectors."""
    left, values, right = _singular(a, b)
    left = np.linalg.qr(generator.standard_normal(left.shape))[0]
    right = np.linalg.qr(generator.standard_normal(right.shape))[0]
    return _factored(left, values, right, a, b)


def _signs(generator: np.random.Generator, _: NullSeed, a: torch.Tensor, b: torch.Tensor) -> Factors:
    """ΔW = Σ σ·u·vᵀ with a random sign for every component: do the parts pull together?"""
    left, values, right = _singular(a, b)
    return _factored(left * generator.choice([-1.0, 1.0], len(values)), values, right, a, b)


def _fixed_gaussian(
    generator: np.random.Generator, seed: NullSeed, a: torch.Tensor, b: torch.Tensor
) -> Factors:
    """Gaussian factors with standard deviation ``init_scale``: an opponent of arbitrary size."""
    scale = seed.init_scale
    return _gaussian(generator, a).mul_(scale), _gaussian(generator, b).mul_(scale)


def _norm_matched_tensor(
    generator: np.random.Generator, update: torch.Tensor, base: torch.Tensor
) -> torch.Tensor:
    """A Gaussian tensor with the real update's Frobenius norm.

    Of a matrix, what the update is of a rescaling of the base's rows and columns is kept as one, of other
    rows and columns: IA3 is nothing else and DoRA partly, and such an update does more to a model than
    Gaussian numbers of its size, whatever the factors are.
    """
    if update.ndim != 2 or not base.any():
        return _resized(_gaussian(generator, update), _norm(update))
    update, base = update.float().cpu(), base.float().cpu()
    rest, null = update, torch.zeros_like(update)
    for axis in sorted((0, 1), key=lambda axis: _norm(update - _rescaling(update, base, axis) * base)):
        factors = _rescaling(rest, base, axis)
        rest = rest - factors * base
        null += factors.index_select(1 - axis, _order(generator, factors.numel())) * base
    return _resized(null + _resized(_gaussian(generator, rest), _norm(rest)), _norm(update))


def _rescaling(update: torch.Tensor, base: torch.Tensor, axis: int) -> torch.Tensor:
    """Least-squares factors f of update ≈ f·base: one for each column (axis 0) or each row (axis 1)."""
    size = base.square().sum(axis, keepdim=True)
    return torch.where(size > 0, (update * base).sum(axis, keepdim=True) / size, 0.0)


def _resized(tensor: torch.Tensor, norm: float) -> torch.Tensor:
    own = _norm(tensor)
    return tensor * (norm / own if own else 0.0)


def _permuted_tensor(generator: np.random.Generator, update: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
    """The update with its rows and columns, or its entries where it is a vector, in another order."""
    for axis in range(min(update.ndim, 2)):
        update = update.index_select(axis, _order(generator, update.shape[axis]).to(update.device))
    return update


FACTORS: dict[str, Draw] = {
    "norm_matched": _norm_matched,
    "permuted": _permuted,
    "spectrum_matched": _spectrum_matched,
    "signs": _signs,
    "gaussian": _fixed_gaussian,
}
TENSORS: dict[str, DrawTensor] = {"norm_matched": _norm_matched_tensor, "permuted": _permuted_tensor}


def _singular(a: torch.Tensor, b: torch.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """U ``[out, k]``, σ ``[k]`` and V ``[in, k]`` of B·A, k ≤ rank, from the QR of the factors; in fp64."""
    left, core_left = np.linalg.qr(factor_matrix(b).astype(np.float64))
    right, core_right = np.linalg.qr(factor_matrix(a).astype(np.float64).T)
    u, values, vt = np.linalg.svd(core_left @ core_right.T, full_matrices=False)
    return left @ u, values, right @ vt.T


def _factored(
    left: np.ndarray, values: np.ndarray, right: np.ndarray, a: torch.Tensor, b: torch.Tensor
) -> Factors:
    """Factors of U·diag(σ)·Vᵀ in the shapes of ``a`` and ``b``; components that are missing are zero."""
    root = np.sqrt(values)
    new_a = np.zeros((a.shape[0], right.shape[0]))
    new_b = np.zeros((left.shape[0], a.shape[0]))
    new_a[: len(values)] = (right * root).T
    new_b[:, : len(values)] = left * root
    made_a, made_b = (torch.from_numpy(new.astype(np.float32)) for new in (new_a, new_b))
    return made_a.reshape(a.shape), made_b.reshape(b.shape)


def _norm(tensor: torch.Tensor) -> float:
    """Frobenius norm, summed in fp64: in fp32 it is 7 % short for 4e8 numbers."""
    return float(torch.linalg.vector_norm(tensor, dtype=torch.float64))


def _order(generator: np.random.Generator, count: int) -> torch.Tensor:
    return torch.from_numpy(generator.permutation(count))


def _gaussian(generator: np.random.Generator, like: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(generator.standard_normal(tuple(like.shape), dtype=np.float32))


def _generator(seed: NullSeed, digest: str, module: str) -> np.random.Generator:
    text = f"{seed.family}:{digest}:{seed.seed_base}:{seed.draw}:{module}"
    key = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")
    return np.random.Generator(np.random.Philox(key=key))
