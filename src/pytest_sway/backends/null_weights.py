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
from numpy.typing import NDArray

from pytest_sway.requests import NullSeed

Array = NDArray[np.float32]
Factors = tuple[Array, Array]
"""A, ``[rank, ...]``, and B, ``[out, rank, ...]``, of one module's update, B·A."""
_ROUNDS = 8
Draw = Callable[[np.random.Generator, NullSeed, Array, Array], Factors]
DrawTensor = Callable[[np.random.Generator, Array, Array], Array]


def draw_null_weights(seed: NullSeed, digest: str, module: str, parts: tuple[Array, ...]) -> Factors:
    """One module of a null adapter.

    Args:
        seed: family and draw.
        digest: of the adapter that is imitated.
        module: its name in the model.
        parts: of the real update: A ``[rank, ...]`` and B ``[out, rank, ...]`` (``[out, rank]`` for
            embeddings too), or (δA, δB, A₀, B₀).

    Returns:
        A and B of the same shapes; of four parts, of twice the rank.
    """
    generator = _generator(seed, digest, module)
    began = len(parts) == 4
    a, b = _doubled(*parts) if began else parts
    if began and seed.family == "norm_matched":
        return _around_start(generator, *parts)
    return FACTORS[seed.family](generator, seed, a, b)


def draw_null_tensor(seed: NullSeed, digest: str, path: str, update: Array, base: Array) -> Array:
    """The random update of one whole tensor.

    Args:
        seed: family and draw.
        digest: of the adapter that is imitated.
        path: the tensor's in the model.
        update: the real one, of any shape.
        base: the tensor that it changes, of the same shape; zeros where the base has none.
    """
    return TENSORS[seed.family](_generator(seed, digest, path), update, base)


def _norm_matched(generator: np.random.Generator, _: NullSeed, a: Array, b: Array) -> Factors:
    """Gaussian factors with the real update's ‖B·A‖: same size, no direction."""
    new_a, new_b = _gaussian(generator, a), _gaussian(generator, b)
    norm = product_norm(new_a, new_b)
    factor = (product_norm(a, b) / norm) ** 0.5 if norm else 0.0
    return _scaled(new_a, factor), _scaled(new_b, factor)


def _around_start(
    generator: np.random.Generator,
    a_change: Array,
    b_change: Array,
    a_start: Array,
    b_start: Array,
) -> Factors:
    """Random changes of the factors that training began with, scaled to the real update's size.

    B₀ and A₀ hold the base's largest singular vectors, and what random numbers do from there on is more than
    what an update does that knows nothing of them.
    """
    new_a = _scaled(_gaussian(generator, a_change), _norm(a_change) / max(a_change.size, 1) ** 0.5)
    new_b = _scaled(_gaussian(generator, b_change), _norm(b_change) / max(b_change.size, 1) ** 0.5)
    start = a_start, b_start
    size = product_norm(*_doubled(a_change, b_change, *start))
    for _ in range(_ROUNDS):  # nearly linear in the changes, so a few steps find the factor
        made = _doubled(new_a, new_b, *start)
        norm = product_norm(*made)
        if not norm:
            break
        new_a, new_b = _scaled(new_a, size / norm), _scaled(new_b, size / norm)
    return _doubled(new_a, new_b, *start)


def _doubled(a_change: Array, b_change: Array, a_start: Array, b_start: Array) -> Factors:
    """Factors of (B₀ + δB)·(A₀ + δA) − B₀·A₀ = [δB, B₀]·[A₀ + δA; δA]."""
    return np.concatenate([a_start + a_change, a_change]), np.concatenate([b_change, b_start], axis=1)


def _permuted(generator: np.random.Generator, _: NullSeed, a: Array, b: Array) -> Factors:
    """The update with its rows and its columns in another order: size, spectrum and entries stay."""
    return a[:, _order(generator, a.shape[1])], b[_order(generator, b.shape[0])]


def _spectrum_matched(generator: np.random.Generator, _: NullSeed, a: Array, b: Array) -> Factors:
    """The update's singular values with random singular vectors."""
    left, values, right = _singular(a, b)
    left = np.linalg.qr(generator.standard_normal(left.shape))[0]
    right = np.linalg.qr(generator.standard_normal(right.shape))[0]
    return _factored(left, values, right, a, b)


def _signs(generator: np.random.Generator, _: NullSeed, a: Array, b: Array) -> Factors:
    """ΔW = Σ σ·u·vᵀ with a random sign for every component: do the parts pull together?"""
    left, values, right = _singular(a, b)
    return _factored(left * generator.choice([-1.0, 1.0], len(values)), values, right, a, b)


def _fixed_gaussian(generator: np.random.Generator, seed: NullSeed, a: Array, b: Array) -> Factors:
    """Gaussian factors with standard deviation ``init_scale``: an opponent of arbitrary size."""
    scale = seed.init_scale
    return _scaled(_gaussian(generator, a), scale), _scaled(_gaussian(generator, b), scale)


def _norm_matched_tensor(generator: np.random.Generator, update: Array, base: Array) -> Array:
    """A Gaussian tensor with the real update's Frobenius norm.

    Of a matrix, what the update is of a rescaling of the base's rows and columns is kept as one, of other
    rows and columns: IA3 is nothing else and DoRA partly, and such an update does more to a model than
    Gaussian numbers of its size, whatever the factors are.
    """
    if update.ndim != 2 or not base.any():
        return _resized(_gaussian(generator, update), _norm(update))
    rest, null = update, np.zeros_like(update)
    for axis in sorted((0, 1), key=lambda axis: _norm(update - _rescaling(update, base, axis) * base)):
        factors = _rescaling(rest, base, axis)
        rest = rest - factors * base
        null += np.take(factors, _order(generator, factors.size), 1 - axis) * base
    return _resized(null + _resized(_gaussian(generator, rest), _norm(rest)), _norm(update))


def _rescaling(update: Array, base: Array, axis: int) -> Array:
    """Least-squares factors f of update ≈ f·base: one for each column (axis 0) or each row (axis 1)."""
    size: Array = np.square(base).sum(axis, keepdims=True)
    shared: Array = (update * base).sum(axis, keepdims=True)
    return np.divide(shared, size, out=np.zeros_like(size), where=size > 0)


def _resized(tensor: Array, norm: float) -> Array:
    own = _norm(tensor)
    return _scaled(tensor, norm / own if own else 0.0)


def _scaled(array: Array, factor: float) -> Array:
    """In the array's own dtype, in its place."""
    array *= np.float32(factor)
    return array


def _permuted_tensor(generator: np.random.Generator, update: Array, _: Array) -> Array:
    """The update with its rows and columns, or its entries where it is a vector, in another order."""
    for axis in range(min(update.ndim, 2)):
        update = np.take(update, _order(generator, update.shape[axis]), axis)
    return update


FACTORS: dict[str, Draw] = {
    "norm_matched": _norm_matched,
    "permuted": _permuted,
    "spectrum_matched": _spectrum_matched,
    "signs": _signs,
    "gaussian": _fixed_gaussian,
}
TENSORS: dict[str, DrawTensor] = {"norm_matched": _norm_matched_tensor, "permuted": _permuted_tensor}


def _singular(a: Array, b: Array) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """U ``[out, k]``, σ ``[k]`` and V ``[in, k]`` of B·A, k ≤ rank, from the QR of the factors; in fp64."""
    left, core_left = np.linalg.qr(_matrix(b).astype(np.float64))
    right, core_right = np.linalg.qr(_matrix(a).astype(np.float64).T)
    u, values, vt = np.linalg.svd(core_left @ core_right.T, full_matrices=False)
    return left @ u, values, right @ vt.T


def _factored(
    left: NDArray[np.float64], values: NDArray[np.float64], right: NDArray[np.float64], a: Array, b: Array
) -> Factors:
    """Factors of U·diag(σ)·Vᵀ in the shapes of ``a`` and ``b``; components that are missing are zero."""
    root = np.sqrt(values)
    new_a = np.zeros((a.shape[0], right.shape[0]))
    new_b = np.zeros((left.shape[0], a.shape[0]))
    new_a[: len(values)] = (right * root).T
    new_b[:, : len(values)] = left * root
    return new_a.astype(np.float32).reshape(a.shape), new_b.astype(np.float32).reshape(b.shape)


def product_norm(a: Array, b: Array) -> float:
    """‖B·A‖ (Frobenius), from the two rank × rank Gram matrices: tr((BᵀB)(AAᵀ)); in fp64."""
    rows, columns = _matrix(a).astype(np.float64), _matrix(b).astype(np.float64)
    square = float(((columns.T @ columns) * (rows @ rows.T)).sum())
    return float(np.sqrt(max(square, 0.0)))


def _matrix(factor: Array) -> Array:
    """A factor as a matrix: its first axis by all the others."""
    return factor.reshape(factor.shape[0], -1)


def _norm(tensor: Array) -> float:
    """Frobenius norm, summed in fp64: in fp32 it is 7 % short for 4e8 numbers."""
    flat = tensor.ravel()
    return float(np.sqrt(np.einsum("i,i->", flat, flat, dtype=np.float64)))


def _order(generator: np.random.Generator, count: int) -> NDArray[np.int64]:
    return generator.permutation(count)


def _gaussian(generator: np.random.Generator, like: Array) -> Array:
    return generator.standard_normal(like.shape, dtype=np.float32)


def _generator(seed: NullSeed, digest: str, module: str) -> np.random.Generator:
    text = f"{seed.family}:{digest}:{seed.seed_base}:{seed.draw}:{module}"
    key = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")
    return np.random.Generator(np.random.Philox(key=key))
