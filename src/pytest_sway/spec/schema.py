"""The records of a spec: models, defaults and suite as they are written, and the spec that is read from them.

The entries of the suite stay plain values here; collection validates them, each by its kind of probe.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    WithJsonSchema,
    field_validator,
)
from pydantic_core import PydanticCustomError

from pytest_sway.document import Document
from pytest_sway.requests import Profile, PromptPolicy
from pytest_sway.result import CATEGORY_WEIGHTS
from pytest_sway.spec.chat_template_fields import check_reserved_arguments
from pytest_sway.spec.environment_variables import Expanded, expand, expand_secret
from pytest_sway.spec.model_kinds import ModelKind
from pytest_sway.spec.named_adapters import NamedAdapters
from pytest_sway.spec.problems import Problem
from pytest_sway.spec.yaml_source import Source


class StrictModel(BaseModel):
    """A part of a spec: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _as_list(value: Any) -> Any:
    """A list as it is; a single value as a list of one."""
    return () if value is None else value if isinstance(value, list | tuple) else (value,)


def _expand_word(value: Any) -> Any:
    """Expand environment variables in a word of a fixed list."""
    return expand(value) if isinstance(value, str) else value


def _word(allowed: Any) -> BeforeValidator:
    """Validator of one of a few words, or of a variable whose value is one."""
    return BeforeValidator(
        _expand_word, json_schema_input_type=allowed | Annotated[str, Field(pattern=r"\$\{")]
    )


def _check_version(value: int) -> int:
    if value != 1:
        raise PydanticCustomError("literal_error", "", {"expected": "1"})
    return value


OptionalWord = Annotated[Expanded | None, AfterValidator(lambda text: text or None)]
"""A path or an address; where a variable with an empty default is not set, as if nothing were written."""
_Path = Annotated[Expanded, Field(min_length=1)]
_Dtype = Literal["auto", "fp16", "bf16", "fp32"]
_Quantization = Literal["nf4", "fp4", "int8"]


class ModelSpec(StrictModel):
    """``models.base`` or ``models.ft``."""

    kind: Annotated[ModelKind, _word(ModelKind)] = "hf"
    base: Expanded = Field(min_length=1)
    adapter: Annotated[
        tuple[_Path, ...], BeforeValidator(_as_list, json_schema_input_type=_Path | list[_Path] | None)
    ] = ()
    dtype: Annotated[_Dtype, _word(_Dtype)] = "auto"
    device: Expanded = "auto"
    quantization: Annotated[_Quantization | None, _word(_Quantization | None)] = None
    """What the base's linear layers are quantized to as they are loaded; for ``kind: hf``."""
    trust_remote_code: bool = False
    revision: Expanded | None = None
    entry_point: Expanded | None = None
    endpoint: OptionalWord = None
    """Address of a server, for ``kind: api``."""
    api_key: (
        Annotated[
            str, BeforeValidator(expand_secret), WithJsonSchema({"type": "string", "pattern": r"^\$\{"})
        ]
        | None
    ) = Field(default=None, repr=False)
    """``${NAME}``: a key is never written into a file."""
    tokenizer: OptionalWord = None
    """Folder, or name on the hub, of a served model's tokenizer."""
    null_dir: OptionalWord = None
    """Folder in which the server finds the adapters that a run writes."""
    null_dir_server: OptionalWord = None
    """The same folder, as the server sees it."""


class Models(StrictModel):
    """Both sides; one model in memory serves both, also where ``ft.base`` is a fine-tune of ``base.base``."""

    base: ModelSpec
    ft: ModelSpec


class Defaults(StrictModel):
    """``defaults``."""

    seed: int = 0
    top_k: int = Field(default=256, ge=1)
    differential: bool = True
    coverage_threshold: float = Field(default=0.6, ge=0, le=1)
    concurrent_probes: int = Field(default=1, ge=1, le=32)
    profile: Profile = "standard"
    prompt_policy: PromptPolicy = "auto"
    timeout: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    score_weights: dict[str, float] | None = None
    chat_template: Expanded | None = Field(default=None, min_length=1)
    """A file with a chat template that replaces the tokenizer's own."""
    chat_template_kwargs: dict[str, JsonValue] = {}
    """Arguments of the chat template, e.g. ``enable_thinking``."""
    system_prompt: str | None = None
    """A system message before every question that goes through the chat template."""

    @field_validator("chat_template_kwargs")
    @classmethod
    def _check_arguments(cls, arguments: dict[str, JsonValue]) -> dict[str, JsonValue]:
        check_reserved_arguments(arguments)
        return arguments

    @field_validator("score_weights")
    @classmethod
    def _check_categories(cls, weights: dict[str, float] | None) -> dict[str, float] | None:
        if weights is not None:
            check_weights(weights)
        return weights


class Envelope(StrictModel):
    """A whole file; ``suite``, ``sections`` and ``controls`` are checked entry by entry elsewhere."""

    version: Annotated[int, AfterValidator(_check_version), WithJsonSchema({"const": 1})] = 1
    models: Models
    defaults: Defaults = Defaults()
    suite: list[Any] = []
    sections: Any = None
    controls: Any = None
    dlm_source: OptionalWord = None
    """A ``.dlm`` file: what the adapter was trained on."""


@dataclass(frozen=True)
class Spec:
    """An envelope whose paths are resolved, with its source for the positions, and notes for the user."""

    source: Source
    envelope: Envelope
    base: str
    named: NamedAdapters
    """What ``models.ft.adapter`` names."""
    chat_template: Path | None = None
    """File of ``defaults.chat_template``."""
    model: str | None = None
    """The fine-tuned model, where it is another one than the base."""
    tokenizer: str | None = None
    """Folder, or name on the hub, of a served model's tokenizer."""
    null_dir: str | None = None
    """Folder of ``models.ft.null_dir``."""
    document: Document = field(default_factory=Document)
    system_prompt: str = ""
    """Of ``defaults``, else of the ``.dlm`` file."""
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
