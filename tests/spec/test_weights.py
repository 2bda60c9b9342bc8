"""Weights that are not there, or not written to their end: found from names, sizes and headers alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_sway.spec.weights import ADAPTER_WEIGHTS, why_incomplete
from support.adapter_folders import adapter_folder, safetensors

HALF = safetensors(b'{"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}', bytes(4))


def test_whole_weights_are_right(tmp_path: Path) -> None:
    assert why_incomplete(adapter_folder(tmp_path / "a")) is None
    (tmp_path / "a" / ADAPTER_WEIGHTS).write_bytes(HALF + bytes(4))
    assert why_incomplete(tmp_path / "a") is None


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        (b"", "ends early (0 bytes, its header needs"),
        (HALF[:20], f"ends early (20 bytes, its header needs {len(HALF) - 4} or more)"),
        (HALF, f"ends early ({len(HALF)} bytes, its header needs {len(HALF) + 4} or more)"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "holds a Git LFS pointer in place"),
        (b"PK\x03\x04 a pickle of torch, in fact", "is not in the safetensors format"),
        (safetensors(b"[]"), "header is not that of the safetensors format"),
        (safetensors(b'{"w": {"data_offsets": [0, "x"]}}'), "header is not that of the safetensors format"),
        (safetensors(b"{" + b"[" * 100_000), "header is not that of the safetensors format"),
    ],
)
def test_a_file_that_is_cut_or_another_one(tmp_path: Path, weights: bytes, says: str) -> None:
    (tmp_path / ADAPTER_WEIGHTS).write_bytes(weights)
    assert says in (why_incomplete(tmp_path) or "")


def none(folder: Path) -> None:
    """Leave the folder without any weights."""


def pickled(folder: Path) -> None:
    (folder / "adapter_model.bin").write_bytes(b"x")


def of_mlx(folder: Path) -> None:
    (folder / "adapters.safetensors").write_bytes(b"x")


def dangling(folder: Path) -> None:
    (folder / ADAPTER_WEIGHTS).symlink_to("blobs/lost")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (none, "either the training is still writing it, or the weights were not saved"),
        (pickled, "pickled weights are never loaded"),
        (of_mlx, "the file that mlx-lm writes"),
        (dangling, "is a link to a file that does not exist"),
    ],
)
def test_no_weights_or_those_of_another_kind(
    tmp_path: Path, change: Callable[[Path], None], says: str
) -> None:
    change(tmp_path)
    assert says in (why_incomplete(tmp_path) or "")
