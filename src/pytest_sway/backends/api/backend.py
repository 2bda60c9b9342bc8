"""The API backend: a base and a fine-tune on a server that scores prompts by token ids."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pytest_sway.backends.api.adapter_directory import PREFIX
from pytest_sway.backends.api.base_identity import base_digest, remarks_on
from pytest_sway.backends.api.client import LikeliestTokens
from pytest_sway.backends.api.connections import Connections
from pytest_sway.backends.api.handshake import (
    check_comparable,
    check_supported,
    find_model,
    shake_hands,
)
from pytest_sway.backends.api.served_subject import (
    NamedModels,
    ServedBase,
    ServedModelName,
    ServedSubject,
)
from pytest_sway.backends.api.tokenizer_folder import ends_of
from pytest_sway.backends.base import (
    AdapterKey,
    AskedWork,
    BackendError,
    Determinism,
    ModelKey,
    ServerBackend,
    ServerUsage,
    Subject,
)
from pytest_sway.backends.hf.error_text import missing_package
from pytest_sway.backends.hf.model_files import text_digest
from pytest_sway.backends.hf.prompts.prompt_encoding import PromptEncoding
from pytest_sway.backends.hf.prompts.prompt_tokenizer import PromptTokenizer
from pytest_sway.backends.hf.prompts.spec_chat_template import digest_with_settings
from pytest_sway.requests import RequestError, View
from pytest_sway.spec.model_kinds import server_address
from pytest_sway.statistics.top_logprobs import TopLogprobs
from pytest_sway.token_sequences import ForcedCompletion, TokenSequence
from pytest_sway.version import __version__

TEXTS_PER_REQUEST = 16
_LOGITS_IN_FLIGHT = 1 << 29
"""Tokens × vocabulary that a server works on at a time, at 4 bytes each."""
_MOST_OTHERS = 8
"""Other adapters with which the base and the fine-tune are asked in one batch, to see them mixed up."""
_EPSILONS = {"fp16": 2.0**-10, "bf16": 2.0**-7}
_ALIKE = (
    "the server returned identical log-probabilities for the base model and the fine-tuned model: they are "
    "the same model under two names, or the server does not apply the adapter"
)


class APIBackend(PromptEncoding, ServerBackend):
    """A base model on a server, and one subject: an adapter that is loaded there, or a second model.

    Args:
        key: the model, as the spec names it.
        base: the same on its server.
        tokens: the tokenizer that prompts are encoded with.
        folder: with the tokenizer's files; a base's config there is what adapters are checked against.
        connections: to this server and to others.
    """

    texts_per_request = TEXTS_PER_REQUEST

    def __init__(
        self,
        key: ModelKey,
        base: ServedBase,
        tokens: PromptTokenizer,
        folder: Path,
        connections: Connections,
    ) -> None:
        facts = base.facts
        self.context = facts.context
        self.vocabulary = facts.vocabulary or len(tokens.tokenizer)
        self.epsilon = _EPSILONS.get(key.dtype, float(np.finfo(np.float32).eps))
        self.concurrency = connections.concurrency
        self.tokens_per_request = max(1, _LOGITS_IN_FLIGHT // (self.vocabulary * connections.all_workers))
        self.identity = f"api {facts.engine}; pytest-sway {__version__}" if key.revision else ""
        self._key, self._base, self._folder = key, base, folder
        self._ends = ends_of(folder, tokens.tokenizer)
        self._base_tokens = self._tokens = tokens
        self._connections = connections
        self._digest = self._base_digest = digest_with_settings(base_digest(key, base), tokens.chat.settings)
        self._served: ServedSubject | None = None

    @property
    def capabilities(self) -> frozenset[str]:
        """What the server answers, and what the tokenizer can."""
        served = {"completion"}
        if self._base.facts.top:
            served.add("divergence")
        if self._base.facts.writes_ids:
            served.add("generate")
        if self._served is not None and self._served.can_make_nulls:
            served |= {"scale", "nulls"}
        return self._tokens.capabilities | served

    def determinism(self, *, batch_invariant: bool) -> Determinism:
        """By what was seen: whether a repeated request, and one among others, has the same digits."""
        noise = self._served.noise if self._served is not None else 0.0
        if self._served is not None and not self._served.repeats:
            return Determinism(
                "loose", ("the server returned different log-probabilities for the same request",)
            )
        if noise == 0.0 or batch_invariant:
            return Determinism("strict")
        return Determinism(
            "best_effort",
            (f"log-probabilities change by up to {noise:.2g} nats when requests are batched together",),
        )

    def attach(self, adapter: AdapterKey) -> Subject:
        """Serve a subject after checking that the server's numbers are its own."""
        if self._served is not None:
            raise BackendError("another adapter is still attached to this backend")
        if adapter.model is not None and adapter.path is not None:
            raise BackendError(
                "kind: api supports an adapter on the base model, or a fine-tuned model that the server "
                "serves, but not an adapter on a fine-tuned model"
            )
        try:
            self._served = self._named(adapter) if adapter.model is not None else self._loaded(adapter)
        except RequestError as error:
            raise BackendError(f"the request to the server for {adapter} failed: {error}") from error
        return self._served.subject

    def detach(self, subject: Subject) -> None:
        """Have the server forget what was loaded for the subject."""
        del subject
        served, self._served = self._served, None
        self._tokens, self._digest = self._base_tokens, self._base_digest
        self.context = self._base.facts.context
        if served is not None:
            served.close()

    def add_null(self, adapter: AdapterKey) -> str:
        """Read a user's own null adapter."""
        return self._current.add_null(adapter)

    def close(self) -> None:
        """Have servers forget what was loaded, and close the connections."""
        try:
            if self._served is not None:
                self._served.close()
        finally:
            self._served = None
            self._connections.close()

    def prepare(self, views: Sequence[View], longest: int) -> None:
        """Load what the round names."""
        for view in views:
            if view.base != self._digest:
                raise BackendError(f"cannot evaluate {view.label()}: it belongs to another base model")
            if not view.is_base and view.adapter != self._current.subject.tuned.adapter:
                raise BackendError(
                    f"cannot evaluate {view.label()}: its adapter {view.adapter[:8]} is not attached"
                )
        try:
            self._current.prepare(views)
        except RequestError as error:
            raise BackendError(f"the request to the server failed: {error}") from error

    def interrupt(self) -> None:
        """End the requests that run."""
        self._connections.interrupt()

    def usage(self) -> ServerUsage:
        """What the servers were asked for so far."""
        return self._connections.usage()

    def target_logprobs(
        self, texts: Sequence[ForcedCompletion], view: View
    ) -> list[list[float] | RequestError]:
        """Log-probability of each target of each text, in nats."""
        served = self._current.name(view)
        try:
            return list(served.client.target_logprobs(served.model, texts))
        except RequestError as error:
            if len(texts) == 1:
                return [error]
        return [found for text in texts for found in self.target_logprobs([text], view)]

    def logprobs(self, text: TokenSequence, view: View, base: object = None) -> np.ndarray | TopLogprobs:
        """Log-probabilities at the wanted positions, of all tokens or of the base's likeliest ones."""
        served, facts = self._current.name(view), self._base.facts
        texts = [text.ids[:end] for end in range(text.first + 1, len(text.ids) + 1)]
        if facts.is_whole:
            parts = [texts[at : at + TEXTS_PER_REQUEST] for at in range(0, len(texts), TEXTS_PER_REQUEST)]
            found = [served.client.top_logprobs(served.model, part, facts.top) for part in parts]
            return self._full_distributions([row for rows in found for row in rows])
        if isinstance(base, TopLogprobs) and facts.names_chosen:
            pairs = zip(texts, base.ids.tolist(), strict=True)
            nats = [served.client.chosen_logprobs(served.model, ids, chosen) for ids, chosen in pairs]
            return TopLogprobs(base.ids, np.stack(nats).astype(np.float32))
        rows = served.client.likeliest_in(served.model, text, facts.top)
        if any(len(row.ids) != facts.top for row in rows):
            raise RequestError(f"the server returned fewer than {facts.top} top tokens for a position")
        return TopLogprobs(
            np.stack([row.ids for row in rows]), np.stack([row.nats for row in rows]).astype(np.float32)
        )

    def requests_for(self, text: TokenSequence, *, is_base: bool) -> AskedWork:
        """What one side of a divergence asks."""
        facts = self._base.facts
        if facts.is_whole or (facts.names_chosen and not is_base):
            read = sum(range(text.first + 1, len(text.ids) + 1))
            texts = TEXTS_PER_REQUEST if facts.is_whole else 1
            return AskedWork(-(-text.positions // texts), read)
        return AskedWork(1, len(text.ids) + 1)

    def generate(self, ids: Sequence[int], view: View, max_new_tokens: int) -> tuple[int, ...]:
        """The greedy continuation, cut before a token that ends it."""
        served = self._current.name(view)
        written = served.client.greedy(served.model, ids, max_new_tokens)
        ends = [i for i, token in enumerate(written) if token in self._ends]
        return tuple(written[: ends[0]] if ends else written)

    @property
    def _current(self) -> ServedSubject:
        if self._served is None:
            raise BackendError("no adapter is attached to this backend")
        return self._served

    def _full_distributions(self, rows: Sequence[LikeliestTokens]) -> np.ndarray:
        """Distributions over the vocabulary, ``[positions, vocabulary]``."""
        found = np.full((len(rows), self.vocabulary), np.nan, np.float32)
        for row, tokens in zip(found, rows, strict=True):
            if len(tokens.ids) == self.vocabulary > tokens.ids.max():
                row[tokens.ids] = tokens.nats
        if not np.isfinite(found).all():
            raise RequestError(
                f"the server did not return log-probabilities for all {self.vocabulary} tokens of a position"
            )
        return found

    def _named(self, adapter: AdapterKey) -> NamedModels:
        """The base and a second model, by their names."""
        assert adapter.model is not None
        base, url = self._base, self._base.name.client.session.url
        client = base.name.client
        if adapter.endpoint and server_address(adapter.endpoint) != url:
            client = self._connections.client(adapter.endpoint, adapter.api_key)
            check_supported(client)
        listed = client.models()
        found = find_model(listed, adapter.model, client.session.url)
        if client is not base.name.client or found.parent != base.name.model:
            facts = shake_hands(client, adapter.model, base.trial, self._key.top_k)
            check_comparable(base.facts, facts)
            self.context = min((one for one in (base.facts.context, facts.context) if one), default=None)
        tuned = ServedModelName(client, adapter.model)
        # without a revision nobody says that the name will mean the same weights tomorrow
        revision = adapter.revision or secrets.token_hex(8)
        digest = text_digest(f"{adapter.model} {found.root} {revision} {client.session.url}")
        remarks = remarks_on(self._key, base)
        subject = Subject(
            base=View(self._digest),
            tuned=View(self._digest, digest),
            notes=(
                *remarks.notes,
                f"the fine-tuned model is served as {adapter.model!r}; its weights cannot be verified",
            ),
            warnings=remarks.warnings,
        )
        others = [one.id for one in listed if one.parent and one.id != adapter.model]
        own = [name for name in others if not name.startswith(PREFIX)]  # another run may unload its own
        served = NamedModels(base, tuned, subject, own[:_MOST_OTHERS])
        if served.are_alike:
            served.subject = replace(subject, warnings=(*subject.warnings, _ALIKE))
        return served

    def _loaded(self, adapter: AdapterKey) -> ServedSubject:
        """An adapter from its folder, loaded by the server."""
        if adapter.path is None:
            raise BackendError(
                "kind: api compares two models, but only the base model is set. Set models.ft.adapter to an "
                "adapter folder, or set models.ft.base to another served model and write "
                "defaults: {differential: false}"
            )
        try:
            from pytest_sway.backends.api.load_adapter import load_adapter
        except ImportError as error:
            raise BackendError(missing_package("an adapter's folder", error, "api,hf")) from error
        loaded = load_adapter(self._key, adapter, self._base, self._base_tokens, self._folder, self._digest)
        self._tokens, self._digest = loaded.tokens, loaded.served.subject.base.base
        return loaded.served
