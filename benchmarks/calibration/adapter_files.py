"""Writes adapter folders of known content: noise of a size, mixtures, noise of another rank."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

Array = np.ndarray[Any, Any]
Factors = Mapping[str, tuple[Array, Array]]
"""A, ``[rank, in]``, and B, ``[out, rank]``, by module."""

_WEIGHTS, _CONFIG = "adapter_model.safetensors", "adapter_config.json"
_A, _B = ".lora_A.weight", ".lora_B.weight"


def factors_of(folder: Path) -> dict[str, tuple[Array, Array]]:
    """The factors of a plain LoRA folder, in the order of their names."""
    held = load_file(folder / _WEIGHTS)
    modules = sorted(name.removesuffix(_A) for name in held if name.endswith(_A))
    return {module: (held[module + _A], held[module + _B]) for module in modules}


def write(folder: Path, factors: Factors, like: Path) -> Path:
    """An adapter folder with these factors, and the settings and the scaling (alpha ÷ rank) of another's."""
    settings = json.loads((like / _CONFIG).read_text(encoding="utf-8"))
    rank = next(iter(factors.values()))[0].shape[0]
    scaling = settings["lora_alpha"] / settings["r"]
    settings |= {"r": rank, "lora_alpha": scaling * rank}
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for module, (a, b) in factors.items():
        tensors[module + _A] = np.ascontiguousarray(a, dtype=np.float32)
        tensors[module + _B] = np.ascontiguousarray(b, dtype=np.float32)
    save_file(tensors, folder / _WEIGHTS, metadata={"format": "pt"})
    (folder / _CONFIG).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    return folder


def norm(a: Array, b: Array) -> float:
    """‖B·A‖ (Frobenius)."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return float(np.sqrt(((b.T @ b) * (a @ a.T)).sum()))


def total_norm(factors: Factors) -> float:
    """Root of the sum of squares of all modules' norms."""
    return float(np.sqrt(sum(norm(a, b) ** 2 for a, b in factors.values())))


def noise(like: Factors, seed: int) -> dict[str, tuple[Array, Array]]:
    """Gaussian factors; in each module the product has the other's norm."""
    made = {}
    for module, (a, b) in _gaussian(like, seed, 1.0).items():
        size = np.sqrt(norm(*like[module]) / norm(a, b))
        made[module] = (a * size, b * size)
    return made


def fixed_noise(like: Factors, seed: int, deviation: float = 0.02) -> dict[str, tuple[Array, Array]]:
    """Gaussian factors of a fixed standard deviation: dlm-sway's own null."""
    return _gaussian(like, seed, deviation)


def ranked_noise(like: Factors, seed: int, times: float) -> dict[str, tuple[Array, Array]]:
    """Noise of ``times`` the rank, its factors' entries as large as those of :func:`noise` are."""
    generator = np.random.default_rng(seed)
    made = {}
    for module, (a, b) in like.items():
        rank = round(a.shape[0] * times)
        deviation = float(np.sqrt(norm(a, b) / np.sqrt(a.shape[1] * b.shape[0] * a.shape[0])))
        made[module] = (
            generator.normal(size=(rank, a.shape[1])) * deviation,
            generator.normal(size=(b.shape[0], rank)) * deviation,
        )
    return made


def mixture(real: Factors, random: Factors, share: float) -> dict[str, tuple[Array, Array]]:
    """``share``·ΔW + √(1 - share²)·noise in each module, of twice the rank and about the same norm."""
    rest = float(np.sqrt(1 - share**2))
    return {
        module: (np.concatenate([a, random[module][0]]), np.hstack([share * b, rest * random[module][1]]))
        for module, (a, b) in real.items()
    }


def _gaussian(like: Factors, seed: int, deviation: float) -> dict[str, tuple[Array, Array]]:
    generator = np.random.default_rng(seed)

    def standard_normal(shape: tuple[int, ...]) -> Array:
        return np.asarray(generator.normal(size=shape) * deviation)

    return {module: (standard_normal(a.shape), standard_normal(b.shape)) for module, (a, b) in like.items()}
