"""What a backend is, and how it is named before it is loaded. Standard library only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from pytest_sway.requests import NullSeed, View
from pytest_sway.text.message_parts import describe

Form = Literal["factors", "tensors"]


class BackendError(Exception):
    """A model or an adapter cannot be served truthfully; the message says which and what to do."""


@dataclass(frozen=True, slots=True, repr=False)
class ModelKey:
    """A base model as a spec names it: the parameter of the fixture ``sway_backend``."""

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
    """

    path: str | None
    model: str | None = None
    revision: str | None = None

    def __repr__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        """The last three parts of the path."""
        named = self.path or self.model
        return "/".join(Path(named).parts[-3:]) if named else "(base only)"


@dataclass(frozen=True)
class Subject:
    """An attached adapter, or a fine-tuned model in its place.

    Attributes:
        base: view of the base model, with the tokenizer that both sides share.
        tuned: view of the adapter.
        inert: whether every update is zero, so that nothing can have been learned.
        notes: what a reader of the report should know, e.g. which modules hold no update.
        warnings: what a reader must know before any number, e.g. that the adapter is another base's.
        form: what its update is made of: a product B·A in every module, or whole tensors. It decides which
            null families can imitate it.
    """

    base: View
    tuned: View
    inert: bool = False
    notes: tuple[str, ...] = ()
    form: Form = "factors"
    warnings: tuple[str, ...] = ()


NullWeights = Callable[[NullSeed, str, str, tuple[Any, ...]], tuple[Any, ...]]
"""(seed, adapter digest, module, parts) → the null's parts, in the same shapes.

Parts are the factors (A, B) of one module's update; (ΔW,) where it changes a whole tensor; and (δA, δB, A₀,
B₀) where training began at B₀·A₀ and not at 0 (PiSSA, OLoRA). The last come back as the factors (A, B) of
(B₀ + δB)·(A₀ + δA) − B₀·A₀, of twice the rank."""


@runtime_checkable
class Backend(Protocol):
    """What the fixtures need of any backend.

    It also offers either ``answer(requests)`` (a server, planted answers) or the primitives of
    :class:`pytest_sway.engine.planner.Weights`; and it may offer ``rendered_prompt(prompt)``, a prompt as the
    model reads it, and ``prompt_notes()``, what a reader of the report should know of the prompts so far.
    """

    @property
    def capabilities(self) -> frozenset[str]:
        """Any of: divergence, completion, generate, scale, nulls, tokens, chat_template, tools."""

    def attach(self, adapter: AdapterKey) -> Subject:
        """Serve an adapter; raises :class:`BackendError` where that cannot be done truthfully."""

    def detach(self, subject: Subject) -> None:
        """Stop serving it; the base must be what it was."""

    def close(self) -> None:
        """Give back what the backend holds."""


_PARTS = ("capabilities", "attach", "detach", "close")


def backend_fault(found: object) -> str:
    """What something is that cannot serve a model, and what it lacks; empty for a backend."""
    if isinstance(found, type):
        return f"{describe(found)}, a class; return an instance of it"
    lacking = [name for name in _PARTS if not hasattr(found, name)]
    if not (hasattr(found, "answer") or hasattr(found, "logprobs")):
        lacking.append("answer")
    return f"{describe(found)}, which is no backend: it has no {', no '.join(lacking)}" if lacking else ""


@runtime_checkable
class NullServing(Protocol):
    """A backend that can hold random adapters beside the real one."""

    def serve_nulls(self, weights: NullWeights) -> None:
        """Make the parts of null views with ``weights``, whenever a view asks for them."""

    def add_null(self, adapter: AdapterKey) -> str:
        """Read a user's own null adapter; its digest, by which null views name it.

        Raises:
            BackendError: it cannot stand where the attached subject does.
        """


@dataclass(frozen=True)
class Determinism:
    """How far two runs can be expected to agree: strict, best_effort or loose."""

    level: str
    notes: tuple[str, ...] = field(default_factory=tuple)
