"""What is known of a base model that a server serves, and what the report says of it."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_sway.backends.api.handshake import ServerFacts
from pytest_sway.backends.api.served_subject import ServedBase
from pytest_sway.backends.base import ModelKey
from pytest_sway.backends.hf.model_files import text_digest

_COMMON = (
    "the server cannot return the log-probabilities of specific tokens, so divergences compare only the "
    "tokens returned for both models and miss effects on all other tokens"
)


@dataclass(frozen=True)
class Remarks:
    """What the report says of how a base is served."""

    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def base_digest(key: ModelKey, base: ServedBase) -> str:
    """Names the base by all that is known of it; not by its weights, which a server does not prove."""
    facts = base.facts
    rule = f"top {facts.top} {facts.names_chosen}"
    return text_digest(f"{key.base} {facts.root} {key.revision} {key.dtype} {facts.dialect} {rule}")


def remarks_on(key: ModelKey, base: ServedBase) -> Remarks:
    """Which server, what a name is worth, and which tokens divergences compare."""
    facts, name = base.facts, base.name
    where = f"{name.model!r} on {facts.engine} at {name.client.session.url}, loaded from {facts.root}"
    kept = "are not cached on disk (to cache them, set models.ft.revision)"
    if key.revision:
        kept = f"are cached on disk only for the revision {key.revision} (models.ft.revision)"
    notes = [f"the base model is {where}. Its weights cannot be verified, so its answers {kept}"]
    if facts.top and not facts.is_whole:
        notes.append(
            f"divergences compare {_compared(facts)} and treat all other tokens as a single token. They are "
            "lower bounds and cannot be compared with divergences over the full vocabulary"
        )
    is_common = bool(facts.top) and not facts.is_whole and not facts.names_chosen
    return Remarks(tuple(notes), (_COMMON,) if is_common else ())


def _compared(facts: ServerFacts) -> str:
    """The tokens that a divergence tells apart: the rule's name."""
    if facts.names_chosen:
        return f"the top {facts.top} tokens of the base model"
    return f"the tokens in the top {facts.top} of both models"
