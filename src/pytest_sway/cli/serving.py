"""``sway serve``: a warm model behind HTTP."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from pytest_sway.cli.command import Command, CommandError, Exit
from pytest_sway.text.sizes import size_in_bytes

_LEVELS = ("critical", "error", "warning", "info", "debug", "trace")
_KEY = "SWAY_SERVE_KEY"  # of pytest_sway.client, which imports httpx


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", metavar="HOST", help="Listen here (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8787, metavar="PORT", help="Listen there (8787)")
    parser.add_argument(
        "--max-loaded-models", type=int, default=2, metavar="N", help="Models that stay loaded (2)"
    )
    parser.add_argument(
        "--max-memory", metavar="SIZE", help="Memory of their weights together, e.g. 16GiB (any)"
    )
    parser.add_argument(
        "--api-key", metavar="KEY", help=f"Key that requests must carry; ${_KEY} is not seen in ps"
    )
    parser.add_argument("--log-level", default="info", choices=_LEVELS, help="Of uvicorn (info)")
    parser.add_argument(
        "--allow-path",
        action="append",
        default=[],
        metavar="DIR",
        help="A folder whose models and files requests may name (repeatable; the working directory)",
    )
    parser.add_argument("--allow-hub", action="store_true", help="Requests may name models on the hub")
    parser.add_argument("--timeout", type=float, metavar="S", help="Seconds that a run may take (any)")
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="A further name of this machine"
    )


def _run(parsed: argparse.Namespace) -> int:
    try:
        from pytest_sway.serve.daemon import serve
    except ImportError as error:
        raise CommandError(
            f"sway serve: {error.name} is not installed: pip install 'pytest-sway[serve]'"
        ) from error
    from pytest_sway.serve.request_specs import Allowed
    from pytest_sway.serve.settings import ServeSettings, SettingsError
    from pytest_sway.serve.supervisor import WorkerSettings

    if parsed.max_loaded_models < 1:
        raise CommandError(f"--max-loaded-models {parsed.max_loaded_models}: write a number from 1 on")
    most_bytes = None if parsed.max_memory is None else size_in_bytes(parsed.max_memory)
    if parsed.max_memory is not None and not most_bytes:
        raise CommandError(f"--max-memory {parsed.max_memory}: write a size, e.g. 512MiB or 16GiB")
    if not 0 < parsed.port < 1 << 16:
        raise CommandError(f"--port {parsed.port}: write a number from 1 to 65535")
    if parsed.timeout is not None and not parsed.timeout > 0:
        raise CommandError(f"--timeout {parsed.timeout:g}: write a number above 0")
    roots = [Path(name) for name in parsed.allow_path or ["."]]
    if missing := [root for root in roots if not root.is_dir()]:
        raise CommandError(f"--allow-path {missing[0]}: there is no such folder")
    settings = ServeSettings(
        parsed.host,
        parsed.port,
        parsed.api_key or os.environ.get(_KEY, ""),
        Allowed(tuple(root.resolve() for root in roots), parsed.allow_hub),
        WorkerSettings(parsed.max_loaded_models, most_bytes, timeout=parsed.timeout),
        hosts=tuple(parsed.allow_host),
    )
    try:
        settings.check()
    except SettingsError as error:
        raise CommandError(str(error)) from error
    sys.stdout.write(f"{settings.url}  (Ctrl-C stops)\n")
    sys.stdout.flush()
    serve(settings, parsed.log_level)
    return Exit.OK


SERVE = Command(
    "serve",
    "Keep models loaded, and evaluate what is asked over HTTP",
    "sway serve --allow-path ~/models --max-loaded-models 2",
    _arguments,
    _run,
)
