"""What other tests attack already, once more in the table: archives that are no pack, requests to the daemon."""

# ruff: noqa: E501 - a case stands on a line of its own
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.hostile.case import Answer, Case, written
from tests.hostile.doors import command
from tests.support.hostile_packs import HOSTILE


def _pack(content: Callable[[], bytes]) -> Callable[[Path], object]:
    return lambda folder: written(folder / "x.swaypack.tar.gz", content())


def _unpack(_: Path) -> Answer:
    return command("unpack", "x.swaypack.tar.gz", "-o", "target")


def _nothing(_: Path) -> None:
    pass


def _request(**changed: Any) -> Callable[[Path], Answer]:
    """What the daemon's check of a request says to a spec with these fields."""

    def door(folder: Path) -> Answer:
        from pytest_sway.serve.request_specs import Allowed, RequestSpecError, spec_text

        (folder / "root" / "adapter").mkdir(parents=True)
        ft = {"kind": "hf", "base": "adapter", "adapter": "adapter", **changed.pop("ft", {})}
        request = {"models": {"base": {"kind": "hf", "base": "adapter"}, "ft": ft}, "suite": [], **changed}
        try:
            return Answer(False, spec_text(request, folder / "root", Allowed(((folder / "root").resolve(),))))
        except RequestSpecError as error:
            return Answer(True, str(error))

    return door


_REQUESTS: dict[str, dict[str, Any]] = {
    "code of a model": {"ft": {"trust_remote_code": True}},
    "an entry point": {"ft": {"kind": "custom", "entry_point": "os:system"}},
    "another server": {"ft": {"endpoint": "http://127.0.0.1:1"}},
    "the key of another server": {"ft": {"api_key": "${HOME}"}},
    "a variable": {"ft": {"device": "${HOME}"}},
    "an adapter elsewhere": {"ft": {"adapter": "/etc"}},
    "an adapter above": {"ft": {"adapter": "../../../etc"}},
    "a pattern": {"ft": {"adapter": "./*"}},
    "sections elsewhere": {"sections": "/etc/passwd"},
    "a template elsewhere": {"defaults": {"chat_template": "/etc/passwd"}},
    "a plugin's kind": {"suite": [{"name": "x", "kind": "reads_any_file", "file": "/etc/passwd"}]},
    "an embedder of the hub": {
        "suite": [{"name": "x", "kind": "cluster_kl", "embedding_model": "evil/repo"}]
    },
}
CASES = [
    *(Case("pack", name, _pack(content), _unpack) for name, content in HOSTILE.items()),
    *(Case("daemon", name, _nothing, _request(**fields)) for name, fields in _REQUESTS.items()),
]
