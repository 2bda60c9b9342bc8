"""The envelope of a spec: models, defaults, suite. Entries stay raw; collection resolves them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    field_validator,
)
from pydantic_core import PydanticCustomError

from pytest_sway.document import Document
from pytest_sway.requests import PromptPolicy
from pytest_sway.result import CATEGORY_WEIGHTS
from pytest_sway.spec.adapter_files import why_not_served
from pytest_sway.spec.adapter_paths import NamedAdapters, adapter_folders, located
from pytest_sway.spec.chat_template_fields import check_template_arguments, template_file, why_no_template
from pytest_sway.spec.environment_variables import Expanded, expand
from pytest_sway.spec.errors import Path_, Problem, describe, field_name
from pytest_sway.spec.hub_names import is_hub_name
from pytest_sway.spec.model_folders import ADAPTER_CONFIG, is_file, is_folder, no_adapter
from pytest_sway.spec.sections_file import document_of
from pytest_sway.spec.two_sided_notes import FT_DECIDES, adapter_of_both, notes_of
from pytest_sway.spec.validation import problems_of
from pytest_sway.spec.yaml_source import Source

_ANCHORS = "x-"
"""Top-level keys that begin so hold what anchors name, and are not read."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _several(value: Any) -> Any:
    """One adapter folder is a list of one."""
    return () if value is None else value if isinstance(value, list | tuple) else (value,)


def _word(value: Any) -> Any:
    """One of a few words, which may come from the environment."""
    return expand(value) if isinstance(value, str) else value


def _version(value: int) -> int:
    if value != 1:
        raise PydanticCustomError("literal_error", "", {"expected": "1"})
    return value


class ModelSpec(_Strict):
    """``models.base`` or ``models.ft``."""

    kind: Annotated[Literal["hf", "mlx", "api", "dummy", "custom"], BeforeValidator(_word)] = "hf"
    base: Expanded = Field(min_length=1)
    adapter: Annotated[tuple[Annotated[Expanded, Field(min_length=1)], ...], BeforeValidator(_several)] = ()
    dtype: Annotated[Literal["auto", "fp16", "bf16", "fp32"], BeforeValidator(_word)] = "auto"
    device: Expanded = "auto"
    trust_remote_code: bool = False
    revision: Expanded | None = None
    entry_point: Expanded | None = None
    endpoint: Expanded | None = None


class Models(_Strict):
    """Both sides; one model in memory serves both, also where ``ft.base`` is a fine-tune of ``base.base``."""

    base: ModelSpec
    ft: ModelSpec


class Defaults(_Strict):
    """``defaults``."""

    seed: int = 0
    top_k: int = 256
    differential: bool = True
    coverage_threshold: float = Field(default=0.6, ge=0, le=1)
    concurrent_probes: int = Field(default=1, ge=1, le=32)
    prompt_policy: PromptPolicy = "auto"
    timeout: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    score_weights: dict[str, float] | None = None
    chat_template: Expanded | None = Field(default=None, min_length=1)
    """A file with a chat template, in the place of the tokenizer's own."""
    chat_template_kwargs: dict[str, JsonValue] = {}
    """Arguments of the chat template, e.g. ``enable_thinking``."""

    @field_validator("chat_template_kwargs")
    @classmethod
    def _free(cls, arguments: dict[str, JsonValue]) -> dict[str, JsonValue]:
        check_template_arguments(arguments)
        return arguments

    @field_validator("score_weights")
    @classmethod
    def _known(cls, weights: dict[str, float] | None) -> dict[str, float] | None:
        if weights is not None:
            check_weights(weights)
        return weights


class Envelope(_Strict):
    """A whole file; ``suite``, ``sections`` and ``controls`` are checked entry by entry elsewhere."""

    version: Annotated[int, AfterValidator(_version)] = 1
    models: Models
    defaults: Defaults = Defaults()
    suite: list[Any] = []
    sections: Any = None
    controls: Any = None
    dlm_source: str | None = None


@dataclass(frozen=True)
class Spec:
    """An envelope whose paths are resolved, with its source for places and notes for the user."""

    source: Source
    envelope: Envelope
    base: str
    named: NamedAdapters
    """What ``models.ft.adapter`` names."""
    chat_template: Path | None = None
    """File of ``defaults.chat_template``."""
    model: str | None = None
    """The fine-tuned model, where ``models.ft.base`` is another one than the base."""
    document: Document = field(default_factory=Document)
    notes: tuple[Problem, ...] = ()


def check_weights(weights: dict[str, float]) -> None:
    """Raise ValueError unless these can replace category weights."""
    unknown = sorted(set(weights) - set(CATEGORY_WEIGHTS))
    if unknown:
        raise ValueError(f"unknown category {unknown[0]!r}; known: {', '.join(CATEGORY_WEIGHTS)}")
    for name, value in weights.items():
        if not 0 <= value < float("inf"):
            raise ValueError(f"the weight of {name} is {value}; it must be finite and ≥ 0")
    if not sum({**CATEGORY_WEIGHTS, **weights}.values()):
        raise ValueError("the weights sum to 0")


def parse(source: Source, *, adapter_given: bool = False) -> tuple[Spec | None, list[Problem]]:
    """The spec, or None, and everything that is wrong with its envelope.

    ``adapter_given``: the command line names the adapter, so the spec's own is not looked at.
    """
    try:
        envelope = Envelope.model_validate(
            {key: value for key, value in source.value.items() if not key.startswith(_ANCHORS)}
        )
    except ValidationError as error:
        return None, problems_of(error, source, (), Envelope)
    document, problems = document_of(source)
    spec = _resolved(source, envelope, document)
    problems += _refused(spec)
    if envelope.models.ft.kind == "hf" and not adapter_given:
        problems += _adapter_problems(spec)
    return spec, problems


def _resolved(source: Source, envelope: Envelope, document: Document) -> Spec:
    """Paths against the spec's folder first, then as they are."""
    base, ft = envelope.models.base, envelope.models.ft
    roots = (source.path.parent, Path())
    named = named_adapters(ft.kind, ft.adapter, roots)
    tuned = _model_at(ft.base, roots) if _is_full(envelope) else None
    model = _model_at(base.base, roots)
    template = template_file(envelope.defaults.chat_template, roots)
    spec = Spec(source, envelope, model, named, template, tuned, document)
    return replace(spec, notes=tuple(notes_of(spec)))


def named_adapters(kind: str, names: Sequence[str], roots: Sequence[Path]) -> NamedAdapters:
    """The adapters that are named; their files are looked at where we read them, for kind ``hf``."""
    return adapter_folders(names, roots, why_not_served if kind == "hf" else None)


def _is_full(envelope: Envelope) -> bool:
    """Whether the tuned side is another model, and not the base with an adapter."""
    return not envelope.defaults.differential and envelope.models.ft.base != envelope.models.base.base


def _model_at(name: str, roots: Sequence[Path]) -> str:
    """A model's folder, or its name on the hub."""
    found = located(name, roots)
    return str(found) if is_folder(found) else name


def _refused(spec: Spec) -> list[Problem]:
    """What is well-formed but cannot be served truthfully."""
    found = [*_two_sides(spec), *_model_fields(spec), *_not_served(spec)]
    if why := why_no_template(spec.chat_template):
        found.append((("defaults", "chat_template"), why))
    return [Problem(f"{field_name(path)}: {message}", *spec.source.place(path)) for path, message in found]


def _two_sides(spec: Spec) -> Iterator[tuple[Path_, str]]:
    """One model in memory serves both sides, so what is said of both must agree."""
    base, ft = spec.envelope.models.base, spec.envelope.models.ft
    own = {"adapter", "base", "revision"} if spec.model is not None else {"adapter", *FT_DECIDES}
    for name in sorted(base.model_fields_set - own):
        ours, theirs = getattr(base, name), getattr(ft, name)
        if ours != theirs and name == "base":
            message = (
                f"found {describe(theirs)}, but models.base.base is {describe(ours)}; an adapter is compared "
            )
            message += "with its own base; for a full fine-tune write defaults: {differential: false}"
            yield ("models", "ft", "base"), message
        elif ours != theirs:
            message = f"found {describe(ours)}, but models.ft.{name} is {describe(theirs)}"
            yield ("models", "base", name), f"{message}; one model serves both sides, write the same"
    if base.adapter and not adapter_of_both(spec):
        message = "the base side takes no adapter, and this one is not models.ft's; remove it"
        yield ("models", "base", "adapter"), message


def _model_fields(spec: Spec) -> Iterator[tuple[Path_, str]]:
    """Fields that this model's kind does not read."""
    ft = spec.envelope.models.ft
    sides = {"ft": (ft, spec.model or spec.base)}
    if spec.model is not None:
        sides["base"] = (spec.envelope.models.base, spec.base)
    for side, (model, found) in sides.items():
        if model.kind == "hf" and _is_path(model.base) and not is_folder(Path(found)):
            yield ("models", side, "base"), _no_folder(model.base, spec)
        if model.revision is not None and is_folder(Path(found)):
            yield ("models", side, "revision"), "is for a model on the hub; this base is a folder, remove it"


def _is_path(name: str) -> bool:
    """Whether a base is written as a path, which no name on the hub is."""
    return name.startswith((".", "/", "~")) or "\\" in name or re.match(r"[A-Za-z]:[\\/]", name) is not None


def _no_folder(name: str, spec: Spec) -> str:
    message = f"there is no folder {describe(name)}, neither beside the spec nor in the working directory"
    slashes = name.replace("\\", "/")
    if slashes != name and is_folder(located(slashes, (spec.source.path.parent, Path()))):
        return f"{message}; there is one written with /: {slashes}"
    return message


def _not_served(spec: Spec) -> Iterator[tuple[Path_, str]]:
    """What this version does not do."""
    if spec.envelope.dlm_source is not None:
        yield ("dlm_source",), "this version reads no .dlm file; remove it"
    if not spec.envelope.suite:
        yield ("suite",), "is empty; give it at least one probe"


def _adapter_problems(spec: Spec) -> list[Problem]:
    """A folder that is missing, or no adapter, is told before a model is loaded."""
    place = spec.source.place(("models", "ft", "adapter"))
    if not spec.envelope.models.ft.adapter:
        if spec.model is not None:
            return []
        message = "name the folder of an adapter (a full fine-tune: name its folder as models.ft.base, with "
        message += "defaults: {differential: false})"
        return [Problem(f"models.ft.adapter is missing: {message}", *place)]
    messages = [
        f"no adapter folder matches {describe(name)}{why}" for name, why in spec.named.unmatched.items()
    ]
    roots = (spec.source.path.parent, Path())
    for folder, name in spec.named.folders.items():
        if is_hub_name(name, roots):
            continue
        if is_file(folder):
            messages.append(f"{folder} is a file, name its folder")
        elif not is_folder(folder):
            messages.append(_no_folder(name, spec))
        elif not is_file(folder / ADAPTER_CONFIG):
            messages.append(no_adapter(folder))
        elif why := why_not_served(folder):
            messages.append(why)
    return [Problem(f"models.ft.adapter: {message}", *place) for message in messages]
