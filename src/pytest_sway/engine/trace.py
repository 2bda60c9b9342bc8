"""``--sway-trace=FILE``: one JSON object per scored request and view, in dlm-sway's format."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytest_sway.atomic_files import append_atomically
from pytest_sway.requests import Completion, Divergence, Generate, Request


class Trace:
    """Appends lines to a file; a round's lines in one write, all or none, so processes may share it."""

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        self.trouble = ""

    def write(self, events: Sequence[tuple[str, Request[Any], float, bool]]) -> None:
        """Write events: the probe, the request, seconds, and whether it was known already."""
        now = time.time()
        lines = [
            json.dumps({"ts": now, "probe": probe or None, **about, "hit": hit}, ensure_ascii=False) + "\n"
            for probe, request, seconds, hit in events
            for about in _about(request, seconds)
        ]
        try:
            append_atomically(self._path, "".join(lines).encode("utf-8", "backslashreplace"))
        except OSError as error:  # a full disk stops no measure
            self.trouble = f"the trace is incomplete: {error}"


def _about(request: Request[Any], seconds: float) -> list[dict[str, Any]]:
    """An event per view: its label, the prompt's hash, the operation, and its share of the time."""
    labels = [view.label() for view in request.views] or ["embedder"]
    wall_ms = round(1000 * seconds / len(labels), 3)
    return [
        {
            "view_id": label,
            "prompt_hash": _hash(request),
            "top_k": 0,
            "op": _op(request),
            "wall_ms": wall_ms,
        }
        for label in labels
    ]


def _op(request: Request[Any]) -> str:
    if isinstance(request, Completion):
        return "logprob_of" if request.prompt else "rolling_logprob"
    return {Divergence: "next_token_dist", Generate: "generate"}.get(type(request), type(request).__name__)


def _hash(request: Request[Any]) -> str:
    """12 hex digits of the prompt (and completion), as dlm-sway writes them."""
    prompt = getattr(request, "prompt", getattr(request, "text", ""))
    text = prompt if isinstance(prompt, str) else repr(prompt)
    if isinstance(request, Completion):
        text = f"{text}\0{request.completion}" if text else request.completion
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:12]
