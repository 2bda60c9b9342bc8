"""``sway schema``: the JSON Schema of a spec, with which an editor completes and checks it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_sway.cli.command import Command, Exit
from pytest_sway.cli.output import write_text
from pytest_sway.cli.probe_list import first_line
from pytest_sway.cli.session_kinds import add_spec_argument, kinds_of

if TYPE_CHECKING:
    from pydantic import BaseModel

    from pytest_sway.probes.base import Probe
    from pytest_sway.probes.registry import Kinds


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_spec_argument(parser)
    parser.add_argument("--out", metavar="FILE", help="File to write (default: standard output)")


def _run(parsed: argparse.Namespace) -> int:
    schema = spec_schema(kinds_of(parsed.spec))
    write_text(json.dumps(schema, indent=2, ensure_ascii=False), parsed.out)
    return Exit.OK


def spec_schema(kinds: Kinds) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a spec whose suite names these kinds.

    It knows the form alone: whether files exist, variables are set and names are used once is checked when
    a spec is collected.
    """
    from pydantic.json_schema import GenerateJsonSchema, models_json_schema

    from pytest_sway.spec.schema import Envelope

    class Generator(GenerateJsonSchema):
        """Without titles that repeat the names of fields."""

        def field_title_should_be_set(self, schema: Any) -> bool:
            return False

    probes = {kind: probe for kind in kinds if (probe := kinds.find(kind)) is not None}
    described = {kind: probe for kind, probe in probes.items() if _is_described(probe.options_type())}
    models: list[type[BaseModel]] = [Envelope, *(probe.options_type() for probe in described.values())]
    references, whole = models_json_schema(
        [(one, "validation") for one in models], schema_generator=Generator
    )
    definitions: dict[str, Any] = whole["$defs"]
    envelope = definitions.pop(references[Envelope, "validation"]["$ref"].removeprefix("#/$defs/"))
    options = {kind: references[probe.options_type(), "validation"] for kind, probe in described.items()}
    envelope["properties"]["suite"]["items"] = _entry_schema(probes, options)
    envelope["properties"] |= {
        name: {"type": ["string", "array", "null"]} for name in ("sections", "controls")
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **envelope,
        "title": "sway.yaml",
        "description": "A spec of pytest-sway: a base model, an adapter, and the probes that evaluate it.",
        "patternProperties": {"^x-": True},
        "$defs": definitions,
    }


def _entry_schema(
    probes: Mapping[str, type[Probe[Any]]], options: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    """An entry of the suite: the kind decides which schema its options have."""
    return {
        "type": "object",
        "required": ["name", "kind"],
        "properties": {
            "kind": {
                "enum": list(probes),
                "enumDescriptions": [first_line(probe) for probe in probes.values()],  # for editors
            }
        },
        "allOf": [
            {"if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]}, "then": schema}
            for kind, schema in options.items()
        ],
    }


def _is_described(options: type[BaseModel]) -> bool:
    """Whether pydantic can describe these options; a third-party kind may have some that it cannot."""
    from pydantic.errors import PydanticInvalidForJsonSchema

    try:
        options.model_json_schema()
    except PydanticInvalidForJsonSchema:
        return False
    return True


SCHEMA = Command(
    "schema",
    "Write the JSON Schema of a spec for code editors; it includes probe kinds from plugins",
    "sway schema --out sway.schema.json",
    _arguments,
    _run,
)
