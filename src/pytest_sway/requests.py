"""What probes ask and backends answer: views, requests, `ask`. Standard library only.

A probe never sees a backend and a backend never sees a probe; they meet in this module.

A :class:`View` says *which weights* answer. Its identity is content (a digest of the weights; for a
null adapter its family, its seed and the digest of the adapter that it imitates), never the name of
a slot, so that a cached number can only be read by the weights that made it.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeVar

from pytest_sway.user_error import UserError

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class RequestError(UserError):
    """A backend cannot answer a request; the message says which, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a dialogue."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class ToolPrompt:
    """Turns whose template is given tools.

    Attributes:
        turns: the dialogue so far.
        tools: each tool as JSON text: an OpenAI-style function with ``name`` and ``parameters``.
    """

    turns: tuple[Turn, ...]
    tools: tuple[str, ...]


Prompt = str | tuple[Turn, ...] | ToolPrompt
"""A text, scored as it stands; or turns, rendered by the tokenizer's chat template."""
Profile = Literal["quick", "standard", "thorough"]
"""How much a spec wants measured where it does not say itself."""
DEFAULT_EMBEDDER = "sentence-transformers/all-MiniLM-L6-v2"
"""The sentence embedder where a spec names none."""
PromptPolicy = Literal["auto", "raw", "chat"]
"""How a spec wants questions put: ``auto`` is ``chat`` where the tokenizer has a template."""


@dataclass(frozen=True, slots=True)
class NullSeed:
    """What makes one null adapter: everything but the weights that it imitates.

    Attributes:
        family: name of the null family, e.g. ``norm_matched``.
        draw: index of the draw in its population.
        seed_base: first seed of the population; another one is another population.
        init_scale: standard deviation of the factors; read by the family ``gaussian`` alone.
        source: digest of the user's own null adapter; set in the family ``yours`` alone.
    """

    family: str
    draw: int
    seed_base: int
    init_scale: float
    source: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """Which weights answer.

    Attributes:
        base: digest of the base model's weights, config and tokenizer.
        adapter: digest of the adapter's weights and config; empty for the base alone.
        null: set for a random adapter that imitates ``adapter``.
        scale: factor λ on the adapter's update; 1 is the adapter as trained.
    """

    base: str
    adapter: str = ""
    null: NullSeed | None = None
    scale: float = 1.0

    @property
    def is_base(self) -> bool:
        """Whether no adapter takes part."""
        return not self.adapter

    def scaled(self, factor: float) -> View:
        """This view with its update multiplied by ``factor``."""
        return replace(self, scale=self.scale * factor)

    def label(self) -> str:
        """A short name for messages and traces: ``base``, ``ft``, ``null_3``, ``scaled_0.25``."""
        if self.is_base:
            return "base"
        name = "ft" if self.null is None else f"null_{self.null.draw}"
        return name if self.scale == 1.0 else f"{name}@scaled_{self.scale:g}"


@dataclass(frozen=True, slots=True)
class Views:
    """The views that a measure may name.

    Attributes:
        base: the base model.
        tuned: what is being scored: the adapter, or one of its nulls in the adapter's place.
        author: who writes a dialogue; always the adapter itself, so that every null is scored on the
            adapter's own texts.
    """

    base: View
    tuned: View
    author: View


class Request(Generic[T_co]):
    """One question with one typed answer; frozen, hashable, naming every view that it needs."""

    __slots__ = ()

    @property
    def views(self) -> tuple[View, ...]:
        """The views whose weights the answer depends on."""
        raise TypeError(f"{type(self).__name__} has no views")


@dataclass(frozen=True, slots=True)
class Divergence(Request[float]):
    """Mean divergence, in nats, between the next-token distributions of two views.

    The mean runs over the position after the prompt and, teacher-forced, the position after each
    token of ``continuation``: ``1 + len(continuation)`` positions.
    """

    prompt: Prompt
    p: View
    q: View
    kind: Literal["js", "kl"] = "js"
    """``js``: Jensen-Shannon, in [0, ln 2]; ``kl``: KL(p ‖ q)."""
    continuation: tuple[int, ...] = ()
    """Token ids, as a :class:`Generate` answered them."""

    @property
    def views(self) -> tuple[View, ...]:
        """Both sides."""
        return (self.p, self.q)


@dataclass(frozen=True, slots=True)
class CompletionScore:
    """Log-probability of a completion, in nats, summed over its ``tokens`` tokens.

    ``log_odds``: the sum over the tokens of :func:`pytest_sway.statistics.log_odds.log_odds`; None where a
    backend does not say what single tokens cost.
    """

    logprob: float
    tokens: int
    log_odds: float | None = None


@dataclass(frozen=True, slots=True)
class Completion(Request[CompletionScore]):
    """Log-probability of ``completion`` after ``prompt``.

    With an empty prompt it is a rolling score: every token that has a predecessor counts (the
    beginning-of-text token, where the tokenizer adds one, is a predecessor and is never scored).
    """

    prompt: Prompt
    completion: str
    view: View

    @property
    def views(self) -> tuple[View, ...]:
        """The one view that scores."""
        return (self.view,)


@dataclass(frozen=True, slots=True)
class Generation:
    """A greedy continuation: its text and its token ids, without an end-of-text token."""

    text: str
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Generate(Request[Generation]):
    """The greedy continuation of a prompt, at most ``max_new_tokens`` long."""

    prompt: Prompt
    view: View
    max_new_tokens: int

    @property
    def views(self) -> tuple[View, ...]:
        """The one view that writes."""
        return (self.view,)


@dataclass(frozen=True, slots=True)
class Tokenized:
    """A text's own token ids, special tokens left out, and where in the text each of them ends."""

    ids: tuple[int, ...]
    ends: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Tokens(Request[Tokenized]):
    """How the tokenizer of a model cuts a text."""

    text: str
    view: View

    @property
    def views(self) -> tuple[View, ...]:
        """The view whose tokenizer it is."""
        return (self.view,)


@dataclass(frozen=True, slots=True)
class Embed(Request[tuple[float, ...]]):
    """The unit vector of a text under a sentence embedder; no model under evaluation takes part."""

    text: str
    model: str
    """A name on the hub, or a folder."""

    @property
    def views(self) -> tuple[View, ...]:
        """None: an embedder is no view."""
        return ()


class _Ask(Generic[T]):
    """The one thing that a measure awaits; the engine sends the answers in."""

    def __init__(self, requests: Sequence[Request[T]]) -> None:
        self._requests = tuple(requests)

    def __await__(self) -> Generator[tuple[Request[T], ...], Any, list[T]]:
        answers: list[T] = yield self._requests
        return answers


async def ask(requests: Sequence[Request[T]]) -> list[T]:
    """Answers to ``requests``, in their order. There is no event loop: the engine drives."""
    return await _Ask(requests)
