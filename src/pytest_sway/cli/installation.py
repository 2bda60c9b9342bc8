"""``sway doctor``: what is installed, where models would run, and what a suite would have to skip."""

from __future__ import annotations

import argparse
import json
import os
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version

from pytest_sway.cli.command import Command, Exit
from pytest_sway.cli.output import write_output
from pytest_sway.text import formatting
from pytest_sway.version import __version__

_EXTRAS = {
    "hf": ("torch", "transformers", "peft", "safetensors"),
    "bnb": ("bitsandbytes", "accelerate"),
    "mlx": ("mlx", "mlx-lm"),
    "gguf": ("gguf", "xllamacpp"),
    "api": ("httpx", "msgspec", "tenacity", "filelock"),
    "semsim": ("sentence-transformers", "scikit-learn"),
    "style": ("spacy", "pyphen"),
    "data": ("pyarrow",),
    "viz": ("plotly",),
    "dlm": ("document-language-model",),
    "serve": ("fastapi", "uvicorn", "prometheus-client", "httpx"),
    "watch": ("watchdog",),
    "pytest": ("pytest", "pytest-xdist", "pytest-timeout"),
}
"""Packages of each extra, by the names of their distributions."""
_HUB = "https://huggingface.co"
_WAIT_S = 3.0


@dataclass(frozen=True)
class Installation:
    """What ``--json`` writes; ``sway_version`` to ``extras`` are dlm-sway's keys.

    Attributes:
        sway_version: of this package.
        python: its version.
        platform: of the machine.
        extras: version of each package of each extra; None where it is not installed.
        device: on which models of ``kind: hf`` run; None without torch.
        dtype: that ``dtype: auto`` stands for there.
        threads: of torch.
        cache: file of the answers that are kept; None where nothing is.
        cache_bytes: its size.
        hub: reachable, offline (by HF_HUB_OFFLINE) or unreachable.
        skipped_kinds: kinds of probes whose extra is not installed, by extra.
    """

    sway_version: str
    python: str
    platform: str
    extras: dict[str, dict[str, str | None]]
    device: str | None
    dtype: str | None
    threads: int | None
    cache: str | None
    cache_bytes: int
    hub: str
    skipped_kinds: dict[str, list[str]]


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="Write JSON to standard output")


def _run(parsed: argparse.Namespace) -> int:
    found = inspect_installation()
    if parsed.json:
        write_output(json.dumps(asdict(found), indent=2, sort_keys=True) + "\n")
    else:
        write_output("\n".join(_lines(found)) + "\n")
    return Exit.OK


def inspect_installation() -> Installation:
    """Look at packages, devices, the cache and the hub."""
    device, dtype, threads = _torch_device()
    cache, size = _cache()
    return Installation(
        __version__,
        platform.python_version(),
        platform.platform(),
        {extra: {name: _version(name) for name in names} for extra, names in _EXTRAS.items()},
        device,
        dtype,
        threads,
        cache,
        size,
        _hub(),
        _skipped_kinds(),
    )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _torch_device() -> tuple[str | None, str | None, int | None]:
    try:
        import torch
    except ImportError:
        return None, None, None
    from pytest_sway.backends.hf.device.placement import placement, resolve_dtype

    device = placement(torch, "auto").device
    named = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    dtype = str(resolve_dtype(torch, "auto", device)).removeprefix("torch.")
    return named, dtype, torch.get_num_threads()


def _cache() -> tuple[str | None, int]:
    from pytest_sway.engine import disk_cache

    folder = disk_cache.folder()
    if folder is None:
        return None, 0
    file = folder / disk_cache.FILE
    return str(file), file.stat().st_size if file.is_file() else 0


def _hub() -> str:
    """Whether models of the hub could be downloaded now."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
        return "offline"
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    try:
        with urlopen(Request(os.environ.get("HF_ENDPOINT", _HUB), method="HEAD"), timeout=_WAIT_S):  # noqa: S310
            return "reachable"
    except HTTPError:  # it answers
        return "reachable"
    except (URLError, OSError, ValueError):
        return "unreachable"


def _skipped_kinds() -> dict[str, list[str]]:
    from pytest_sway.probes import registry
    from pytest_sway.probes.shared import optional_packages

    skipped: dict[str, list[str]] = {}
    for kind in registry.kinds():
        probe = registry.find(kind)
        if probe is not None and probe.extra and optional_packages.why_missing(probe.extra):
            skipped.setdefault(probe.extra, []).append(kind)
    return skipped


def _lines(found: Installation) -> list[str]:
    lines = [f"sway {found.sway_version}, Python {found.python}, {found.platform}", ""]
    for extra, packages in found.extras.items():
        named = ", ".join(f"{name} {number or '(not installed)'}" for name, number in packages.items())
        lines.append(f"{extra:<7} {named}")
    runs = "torch is not installed" if found.device is None else f"{found.device}, {found.dtype}"
    threads = f", {found.threads} threads" if found.threads else ""
    kept = f"{found.cache}, {formatting.size(found.cache_bytes)}" if found.cache else "off"
    lines += ["", f"device  {runs}{threads}", f"cache   {kept}", f"hub     {found.hub}"]
    for extra, kinds in found.skipped_kinds.items():
        lines.append(f"skipped probes: {', '.join(kinds)} (to run them: pip install 'pytest-sway[{extra}]')")
    return lines


DOCTOR = Command(
    "doctor",
    "Show installed packages, the device that models run on, and probes that would be skipped",
    "sway doctor --json",
    _arguments,
    _run,
)
