"""An adapter and its nulls on a server that loads LoRA folders while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pytest_sway.backends.api.adapter_directory import AdapterDirectory
from pytest_sway.backends.api.lora_server import HOW_TO_START, LoraServer
from pytest_sway.backends.api.lora_source import LoraSource, content_digest, read_source
from pytest_sway.backends.api.peft_folder import write_folder
from pytest_sway.backends.api.served_subject import (
    ServedBase,
    ServedModelName,
    ServedSubject,
    UnchangedModel,
)
from pytest_sway.backends.api.truth_checks import SAME_NATS, check_greedy, crowded_noise, score
from pytest_sway.backends.base import AdapterKey, BackendError, Subject
from pytest_sway.backends.hf.adapter_files.plain_lora_modules import check_null_modules
from pytest_sway.backends.hf.subject_files import find_subject_files
from pytest_sway.requests import NullSeed, View

_MOST_LOADED = 64
"""Adapters that the server knows at a time; those that a round does not name are forgotten first."""
_LEAST_MOVE = 1e-3
"""Nats by which an adapter moves a token that changes anything to speak of."""
_BASE_TRIES = 5
Variant = tuple[NullSeed | None, float]


class LoadedAdapters(ServedSubject):
    """The base is the adapter at strength 0.

    vLLM on CPUs gives wrong numbers for a base that shares a batch with adapters, up to 13 nats; as an
    adapter of zeros it does not.

    Args:
        base: the base on its server.
        source: the adapter.
        subject: its views.
        base_config: of transformers.
        directory: where the server finds folders.
        dtype: what the server computes in; ``auto`` keeps the file's.

    Raises:
        BackendError: the server does not serve it truthfully.
    """

    can_make_nulls = True

    def __init__(
        self,
        base: ServedBase,
        source: LoraSource,
        subject: Subject,
        base_config: Any,
        directory: AdapterDirectory,
        dtype: str,
    ) -> None:
        self.subject = subject
        self._base, self._source, self._config, self._dtype = base, source, base_config, dtype
        self._client, self._trial = base.name.client, base.trial
        self._directory = directory
        self._own_nulls: dict[str, LoraSource] = {}
        self._names: dict[Variant, str] = {}
        self._server = LoraServer(self._client, directory)
        try:
            self._server.load_first(self._write((None, 0.0)))
            self._unchanged = self._check_zero()
            self._check_modules()
            self._check_adapter()
        except BaseException:
            self.close()
            raise

    def name(self, view: View) -> ServedModelName:
        return ServedModelName(self._client, self._names[_variant(view)])

    def prepare(self, views: Sequence[View]) -> None:
        """Write and load what the round names; the base must be the one of the start."""
        variants = list(dict.fromkeys([(None, 0.0), *map(_variant, views)]))
        if len({*self._names, *variants}) > _MOST_LOADED:
            for variant in [one for one in self._names if one not in variants]:
                self._server.forget(self._names[variant])
                del self._names[variant]
        self._server.load_missing([self._write(variant) for variant in variants])
        self._unchanged.check()

    def add_null(self, adapter: AdapterKey) -> str:
        """Read a user's own null; it and the subject are plain LoRA."""
        files = find_subject_files(adapter)
        base_name = str(self._source.config["base_model_name_or_path"])
        null = read_source(files, self._config, base_name, self._dtype)
        files.check_unchanged()
        check_null_modules(files, null.modules, self._source.modules)
        self._own_nulls[null.digest] = null
        return null.digest

    def close(self) -> None:
        self._server.close()
        self._names.clear()

    def _write(self, variant: Variant) -> str:
        """The name of a variant, whose folder is there."""
        if variant not in self._names:
            null, scale = variant
            source = self._own_nulls[null.source] if null is not None and null.source else self._source
            name = self._directory.name(content_digest(source.digest, null, scale, self._dtype))
            same = next((self._names[one] for one in self._names if one[0] == null), None)
            drawn_from = None if null is not None and null.source else null
            write_folder(self._directory.path / name, source.folder(drawn_from), scale, self._path(same))
            self._names[variant] = name
        return self._names[variant]

    def _path(self, name: str | None) -> Path | None:
        return None if name is None else self._directory.path / name

    def _check_zero(self) -> UnchangedModel:
        """The base as an adapter of zeros, which must answer what the base does.

        While others ask for adapters the base itself may answer something else, so it is asked again.
        """
        zero = ServedModelName(self._client, self._names[None, 0.0])
        found = UnchangedModel(zero, self._trial, f"the base model {self._base.name.model}")
        apart = min(
            float(np.abs(score(self._client, self._base.name.model, self._trial) - found.expected).max())
            for _ in range(_BASE_TRIES)
        )
        if apart > SAME_NATS:
            raise BackendError(
                "the adapter at strength 0 should give the same log-probabilities as the base model, but "
                f"they differ by {apart:.3g} nats. The server applies something that is not in the adapter "
                "folder, or it ignores lora_alpha"
            )
        self.repeats = found.distance() == 0.0
        self.noise = crowded_noise(self._client, {zero.model: found.expected}, self._trial)
        return found

    def _check_modules(self) -> None:
        """An adapter that changes one kind of module alone must move the scores, for each kind."""
        silent = []
        for suffix in self._source.suffixes:
            name = self._directory.name(f"canary-{suffix}")
            write_folder(self._directory.path / name, self._source.canary(suffix), 1.0, None)
            self._server.load_missing([name])
            moved = np.abs(score(self._client, name, self._trial) - self._unchanged.expected).max()
            self._server.forget(name)
            if moved < max(_LEAST_MOVE, 10 * self.noise):
                silent.append(suffix)
        if silent:
            raise BackendError(
                f"the server silently ignores the adapter's changes in {', '.join(silent)}; "
                f"{HOW_TO_START}. The modules M… must include {' '.join(self._source.suffixes)}"
            )

    def _check_adapter(self) -> None:
        """The adapter's numbers: two ways to one, among others, and at half its strength."""
        tuned = self._write((None, 1.0))
        self._server.load_missing([tuned])
        zero = self._names[None, 0.0]
        if self._base.facts.top:
            check_greedy(self._client, zero, self._trial, f"the base model {self._base.name.model}")
            check_greedy(self._client, tuned, self._trial, "the adapter")
        expected = {zero: self._unchanged.expected, tuned: score(self._client, tuned, self._trial)}
        self.noise = max(self.noise, crowded_noise(self._client, expected, self._trial))
        full = float(np.abs(expected[tuned] - expected[zero]).max())
        if full < max(_LEAST_MOVE, 10 * self.noise):
            return
        half = self._write((None, 0.5))
        self._server.load_missing([half])
        at_half = score(self._client, half, self._trial)
        if any(np.abs(at_half - row).max() <= self.noise for row in expected.values()):
            raise BackendError(
                "the server gives the same answers for the adapter at half strength as at full strength or "
                "at strength 0. It ignores lora_alpha in the adapter folder"
            )


def _variant(view: View) -> Variant:
    return (None, 0.0) if view.is_base or not view.scale else (view.null, view.scale)
