"""What a backend is, and how it is named before it is loaded. Standard library only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pytest_sway.requests import Divergence, Prompt, Request, RequestError, Tokenized, View
from pytest_sway.text.message_parts import describe
from pytest_sway.token_sequences import ForcedCompletion, PackedRow, TokenSequence
from pytest_sway.user_error import UserError

Form = Literal["factors", "tensors"]


class BackendError(UserError):
    """A model or an adapter cannot be served truthfully; the message says which and what to do."""


@dataclass(frozen=True, slots=True, repr=False)
class ModelKey:
    """A base model as a spec names it: the parameter of the fixture ``sway_backend``.

    A class that ``entry_point`` names is built with it, as ``Class(model=key)``. ``base`` is the path of a
    folder, or of a file for ``kind: custom``, where there is one; else what the spec has.
    """

    kind: str
    base: str
    revision: str | None = None
    dtype: str = "auto"
    device: str = "auto"
    trust_remote_code: bool = False
    entry_point: str | None = None
    endpoint: str | None = None
    chat_template: str | None = None
    """File of the spec's own chat template."""
    chat_template_kwargs: str = "{}"
    """Arguments of the chat template, as a JSON object."""
    api_key: str | None = None
    """Of the endpoint; None for the environment's."""
    tokenizer: str | None = None
    """Folder, or name on the hub, of a served model's tokenizer."""
    null_dir: str | None = None
    """Folder in which a server finds adapters."""
    null_dir_server: str | None = None
    """The same folder as the server sees it."""
    quantization: str | None = None
    """nf4, fp4 or int8: what the base is quantized to as it is loaded; None for what its files hold."""
    top_k: int | None = None
    """Tokens of a distribution that are compared where it is not given whole; None where the spec names no
    number."""

    def __repr__(self) -> str:  # reporters print the parameters of a test
        return self.base


@dataclass(frozen=True, slots=True, repr=False)
class AdapterKey:
    """What is evaluated: the parameter of the fixture ``sway_adapter``.

    Attributes:
        path: an adapter folder; None for a full fine-tune without one.
        model: the fine-tuned model, a folder or a hub id, where it is not the base; ``path`` is then an
            adapter on *it*.
        revision: of ``model`` on the hub.
        endpoint, api_key: of a served ``model`` on another server than the base's.
    """

    path: str | None
    model: str | None = None
    revision: str | None = None
    endpoint: str | None = None
    api_key: str | None = None

    def __repr__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        """The last three parts of the path."""
        named = self.path or self.model
        return "/".join(Path(named).parts[-3:]) if named else "(base only)"


class TrainedBase(NamedTuple):
    """The base that an adapter was trained on, where it is the spec's in another quantization.

    Attributes:
        quantization: nf4, int8 or "unquantized".
        text: says so.
        remedy: what to write to evaluate it as it was trained.
    """

    quantization: str
    text: str
    remedy: str


class DistanceOfBases(NamedTuple):
    """Mean Jensen-Shannon divergences of next-token distributions at the ends of prompts, in nats.

    Attributes:
        bases: of the base in the training from the one that is evaluated.
        adapter: of the adapter from the base that is evaluated.
    """

    bases: float
    adapter: float


@dataclass(frozen=True)
class Subject:
    """An attached adapter, or a fine-tuned model in its place.

    Attributes:
        base: view of the base model, with the tokenizer that both sides share.
        tuned: view of the adapter.
        inert: whether every update is zero, so that nothing can have been learned.
        notes: what a reader of the report should know, e.g. which modules hold no update.
        warnings: what a reader must know before any number, e.g. that the adapter is another base's.
        trained_base: the base of its training, where that is this one in another quantization.
        form: what its update is made of: a product B·A in every module, or whole tensors. It decides which
            null families can imitate it.
    """

    base: View
    tuned: View
    inert: bool = False
    notes: tuple[str, ...] = ()
    form: Form = "factors"
    warnings: tuple[str, ...] = ()
    trained_base: TrainedBase | None = None


@dataclass(frozen=True)
class Determinism:
    """How far two runs can be expected to agree: strict, best_effort or loose."""

    level: str
    notes: tuple[str, ...] = field(default_factory=tuple)


class ServerUsage(NamedTuple):
    """What a server was asked for: requests, and tokens that it read and wrote."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class AskedWork(NamedTuple):
    """What is asked of a server: requests, and tokens that are read and written."""

    requests: int
    tokens: int


class Backend(ABC):
    """Serves one base model, an adapter on it, and the nulls of that adapter.

    A backend is derived from one of three forms: :class:`AnsweringBackend` answers whole requests,
    :class:`WeightsBackend` holds the weights, :class:`ServerBackend` asks a server, text by text; these two
    leave requests to the engine. What has a default here need not be written. ``docs/extending.md`` builds a
    backend in about thirty lines, and lists what goes wrong.

    One that names ``nulls`` among its capabilities makes a null's weights itself, from the view alone: the
    family and the seeds in ``view.null``, and the digest of the adapter that it imitates.
    """

    context: int | None = None
    """Longest text, in tokens; None where the model names none."""
    identity: str = ""
    """What the numbers depend on beside weights and request; without it no answer is kept on disk."""
    weights_bytes: int = 0
    """Memory that the base's weights take; 0 where the backend does not know."""
    null_families: frozenset[str] | None = None
    """Families of null adapters that it can make, for the capability ``nulls``; None for all that the form of
    the attached adapter allows."""

    @property
    @abstractmethod
    def capabilities(self) -> frozenset[str]:
        """Any of: divergence, completion, generate, scale, nulls, tokens, chat_template, tools.

        A probe that needs another one is skipped. They are read while an adapter is attached, and may depend
        on it.
        """

    @abstractmethod
    def attach(self, adapter: AdapterKey) -> Subject:
        """Serve an adapter; of several of a session, one after another.

        Raises:
            BackendError: that cannot be done truthfully. Its message fails the items, in one line each; any
                other exception fails them with its traceback.
        """

    def detach(self, subject: Subject) -> None:  # noqa: B027 - most hold nothing
        """Stop serving it; the base must be what it was."""

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Give back what the backend holds."""

    def add_null(self, adapter: AdapterKey) -> str:
        """Read a user's own null adapter; its digest, by which null views name it.

        Raises:
            BackendError: it cannot stand where the attached subject does.
        """
        raise BackendError(
            f"{adapter} cannot be used as a null adapter: this backend does not support user-provided null "
            "adapters"
        )

    def compare_bases(self, subject: Subject, prompts: Sequence[Prompt]) -> DistanceOfBases:
        """How far the base of the subject's training is from this one, and the subject from this one.

        Asked for only where an attached subject names a ``trained_base``.

        Raises:
            BackendError: that base cannot be loaded.
        """
        raise BackendError("this backend cannot load a second base model")

    def determinism(self, *, batch_invariant: bool) -> Determinism | None:
        """How far two runs can be expected to agree; None where the backend does not know.

        Args:
            batch_invariant: whether every text is scored and continued by itself.
        """
        del batch_invariant
        return None

    def rendered_prompt(self, prompt: Prompt) -> str:
        """A prompt as the model reads it, special tokens included; empty where the backend does not know.

        Raises:
            RequestError: it cannot be rendered.
        """
        del prompt
        return ""

    def prompt_notes(self) -> list[str]:
        """What a reader of the report should know of the prompts so far."""
        return []


class AnsweringBackend(Backend):
    """A backend that answers whole requests: a server, a function, a library of your own."""

    @abstractmethod
    def answer(self, requests: Sequence[Request[Any]]) -> Mapping[Request[Any], Any]:
        """Every request's answer, of the type that its class names, or the RequestError that stands for it.

        One call has what a probe asks at once of the adapter and of all its nulls: what these requests have
        in common can be computed once. None may be left out.
        """

    def mean_divergence(self, request: Divergence, p: Any, q: Any) -> float:
        """The answer to a :class:`~pytest_sway.requests.Divergence`.

        Args:
            request: says which divergence.
            p: natural log-probabilities of its first view, numpy, ``[1 + continuation, vocabulary]``.
            q: the same of its second view.
        """
        import numpy as np

        from pytest_sway.statistics.divergences import divergence

        return float(np.mean(divergence(np, request.kind, p, q)))


class TokenizingBackend(Backend):
    """What backends have in common that are asked by token ids: a tokenizer."""

    vocabulary: int
    """Width of the logits."""
    epsilon: float
    """Machine epsilon of the weights' dtype."""

    @property
    def leading(self) -> tuple[int, ...]:
        """Special tokens that stand before every text."""
        return ()

    @abstractmethod
    def encode(self, prompt: Prompt) -> list[int]:
        """Token ids, special tokens added once; they may be remembered, and are not to be changed."""

    @abstractmethod
    def encode_pair(self, prompt: Prompt, completion: str) -> tuple[list[int], int]:
        """Ids of both together, and the index of the completion's first token."""

    @abstractmethod
    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, without special tokens."""

    def tokenized(self, text: str) -> Tokenized:
        """A text's own ids and where each of them ends; part of the capability ``tokens``.

        Raises:
            RequestError: the tokenizer does not say.
        """
        raise RequestError("this backend does not provide tokenization")


class WeightsBackend(TokenizingBackend):
    """A backend that holds weights: a tokenizer and two primitives, ``logprobs`` and ``generate``.

    The primitives raise MemoryError where the device has not enough memory.
    """

    xp: Any
    """Array namespace of what the backend scores with."""
    token_bytes: int
    """Memory that a token of a batch takes beside the weights."""
    cache_bytes: int
    """Memory that a token takes more while a text is continued: its keys and values."""
    overhead_tokens: int
    """Cost of a forward beside its tokens, in tokens."""
    most_tokens: int = 4096
    """Tokens of a batch beyond which a longer one is no faster."""
    packs_rows: bool = False
    """Whether a row may hold texts that do not begin one another, and what all prompts of a batch begin with
    is read once for each view (:func:`~pytest_sway.token_sequences.prefix_of_prompts`)."""
    views_per_batch: int = 1
    """How many views, the base among them, the rows of one batch of continuations may belong to. It may
    change with the adapter that is attached."""

    @abstractmethod
    def logprobs(
        self, rows: Sequence[PackedRow], view: View, most: int
    ) -> Iterable[tuple[TokenSequence, int, Any]]:
        """Log-probabilities of one batch, a few positions at a time.

        Yields:
            A text, how many of its wanted positions came before, and the next ones' fp32
            log-probabilities, ``[positions ≤ most, vocabulary]``; the same pieces for every view.
        """

    @abstractmethod
    def generate(
        self, rows: Sequence[Sequence[int]], views: Sequence[View], max_new_tokens: int
    ) -> list[tuple[int, ...]]:
        """Greedy continuations, without the end-of-text token.

        Args:
            rows: token ids of the prompts.
            views: the view that continues each of them.
            max_new_tokens: most tokens of a continuation.
        """

    def memory_guard(self) -> AbstractContextManager[None]:
        """While it lasts, a failed allocation on the device is a MemoryError."""
        return nullcontext()


class ServerBackend(TokenizingBackend):
    """A backend that asks an inference server; threads call its primitives side by side.

    The primitives raise RequestError where this text cannot be answered, and BackendError where no further
    one can be.
    """

    concurrency: int = 1
    """How many requests the server reads side by side."""
    texts_per_request: int = 1
    """How many completions one request may ask for."""
    tokens_per_request: int = 1 << 14
    """Tokens of these together; one that is longer is asked by itself."""

    def prepare(self, views: Sequence[View], longest: int) -> None:
        """Have the server know what a round will name; nothing else is asked meanwhile.

        Args:
            views: every view of the round, the base among them where it is asked.
            longest: tokens of the round's longest text, with what is to be written after it.

        Raises:
            BackendError: it cannot.
        """

    def requests_for(self, text: TokenSequence, *, is_base: bool) -> AskedWork:
        """What :meth:`logprobs` asks of one side; the base's comes first."""
        del is_base
        return AskedWork(1, len(text.ids))

    def interrupt(self) -> None:
        """Have what is being asked end at once, with a BackendError; what is asked later is answered."""

    def usage(self) -> ServerUsage | None:
        """What the server was asked for so far; None where it costs nothing but time."""
        return None

    @abstractmethod
    def target_logprobs(
        self, texts: Sequence[ForcedCompletion], view: View
    ) -> Sequence[Sequence[float] | RequestError]:
        """Log-probability of each target of each text, in nats; or why this text has none.

        Args:
            texts: as many as ``texts_per_request`` at most.
            view: scores them.
        """

    @abstractmethod
    def logprobs(self, text: TokenSequence, view: View, base: Any = None) -> Any:
        """Log-probabilities at a text's wanted positions.

        Args:
            text: is read.
            view: reads it.
            base: what the same text has under the view that it is compared with, where that is known: a
                server that names few tokens is asked for the same ones.

        Returns:
            numpy, fp32, ``[positions, vocabulary]``; or, from a server that names the likeliest tokens only,
            :class:`~pytest_sway.statistics.top_logprobs.TopLogprobs`, always of the same number.
        """

    @abstractmethod
    def generate(self, ids: Sequence[int], view: View, max_new_tokens: int) -> tuple[int, ...]:
        """The greedy continuation, without the end-of-text token."""


_PARTS = ("capabilities", "attach", "detach", "close")


def backend_fault(found: object) -> str:
    """What something is that cannot serve a model, and what it lacks; empty for a backend."""
    if isinstance(found, type):
        return f"{describe(found)}, a class; return an instance of it"
    lacking = [name for name in _PARTS if not hasattr(found, name)]
    if not (hasattr(found, "answer") or hasattr(found, "logprobs")):
        lacking.append("answer")
    return f"{describe(found)}, which is not a backend: it has no {', no '.join(lacking)}" if lacking else ""
