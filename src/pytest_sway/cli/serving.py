"""``sway serve``: a warm model behind HTTP."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from pytest_sway.cli.command import Command, CommandError, Exit
from pytest_sway.cli.output import write_output
from pytest_sway.text.sizes import size_in_bytes

_LEVELS = ("critical", "error", "warning", "info", "debug", "trace")
_KEY = "SWAY_SERVE_KEY"  # of pytest_sway.client, which imports httpx


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="HOST", help="Address to listen on (default: 127.0.0.1)"
    )
    parser.add_argument(
        "--port", type=int, default=8787, metavar="PORT", help="Port to listen on (default: 8787)"
    )
    parser.add_argument(
        "--max-loaded-models",
        type=int,
        default=2,
        metavar="N",
        help="Maximum number of models to keep loaded (default: 2)",
    )
    parser.add_argument(
        "--max-memory",
        metavar="SIZE",
        help="Maximum total size of the weights of all loaded models, e.g. 16GiB (default: no limit)",
    )
    parser.add_argument(
        "--api-key",
        metavar="KEY",
        help=f"API key that clients must send; it is safer in ${_KEY}, because ps shows options to all users",
    )
    parser.add_argument(
        "--log-level", default="info", choices=_LEVELS, help="Log level of uvicorn (default: info)"
    )
    parser.add_argument(
        "--allow-path",
        action="append",
        default=[],
        metavar="DIR",
        help="Folder that requests may read from (repeatable; default: the working directory)",
    )
    parser.add_argument(
        "--allow-hub", action="store_true", help="Allow requests to use models from the Hugging Face Hub"
    )
    parser.add_argument(
        "--timeout", type=float, metavar="S", help="Time limit of a run in seconds (default: no limit)"
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="Additional host name that is allowed in the Host header of requests (repeatable)",
    )


def _run(parsed: argparse.Namespace) -> int:
    try:
        from pytest_sway.serve.daemon import serve
    except ImportError as error:
        raise CommandError(
            f"sway serve needs {error.name}, which is not installed; run pip install 'pytest-sway[serve]'"
        ) from error
    from pytest_sway.serve.request_specs import Allowed
    from pytest_sway.serve.settings import ServeSettings, SettingsError
    from pytest_sway.serve.supervisor import WorkerSettings

    if parsed.max_loaded_models < 1:
        raise CommandError(f"--max-loaded-models {parsed.max_loaded_models}: write a number ≥ 1")
    most_bytes = None if parsed.max_memory is None else size_in_bytes(parsed.max_memory)
    if parsed.max_memory is not None and not most_bytes:
        raise CommandError(f"--max-memory {parsed.max_memory}: write a size, e.g. 512MiB or 16GiB")
    if not 0 < parsed.port < 1 << 16:
        raise CommandError(f"--port {parsed.port}: write a number from 1 to 65535")
    if parsed.timeout is not None and not parsed.timeout > 0:
        raise CommandError(f"--timeout {parsed.timeout:g}: write a number > 0")
    roots = [Path(name) for name in parsed.allow_path or ["."]]
    if missing := [root for root in roots if not root.is_dir()]:
        raise CommandError(f"--allow-path {missing[0]}: the folder does not exist")
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
    write_output(f"{settings.url}  (Ctrl-C stops)\n")
    sys.stdout.flush()
    serve(settings, parsed.log_level)
    return Exit.OK


SERVE = Command(
    "serve",
    "Start a server that keeps models loaded and runs evaluations over HTTP",
    "sway serve --allow-path ~/models --max-loaded-models 2",
    _arguments,
    _run,
)
