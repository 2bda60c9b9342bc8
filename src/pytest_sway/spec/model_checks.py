"""Checks of a spec that is well-formed: models, adapters and fields that cannot be evaluated as written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pytest_sway.spec.adapter_file_checks import why_not_served
from pytest_sway.spec.adapter_folders import ADAPTER_CONFIG, no_adapter
from pytest_sway.spec.chat_template_fields import why_no_template
from pytest_sway.spec.hub_names import is_hub_name
from pytest_sway.spec.ignored_fields import FT_DECIDES, names_same_adapter
from pytest_sway.spec.model_kinds import FILE_KINDS, is_gguf_adapter, is_gguf_name
from pytest_sway.spec.path_lookup import find_path, is_file, is_folder
from pytest_sway.spec.problems import FieldPath, Problem
from pytest_sway.spec.schema import Spec
from pytest_sway.text.message_parts import describe, field_name


def model_problems(spec: Spec) -> list[Problem]:
    """Problems of everything but ``models.ft.adapter``."""
    problems = [*_conflicting_sides(spec), *_unread_model_fields(spec), *_unsupported_fields(spec)]
    problems += _quantized_elsewhere(spec)
    if why := why_no_template(spec.chat_template):
        problems.append((("defaults", "chat_template"), why))
    return [
        Problem(f"{field_name(path)}: {message}", *spec.source.locate(path)) for path, message in problems
    ]


def _conflicting_sides(spec: Spec) -> Iterator[tuple[FieldPath, str]]:
    """Fields that differ between the two sides, which one model in memory serves."""
    base, ft = spec.envelope.models.base, spec.envelope.models.ft
    own = {"adapter", "base", "revision"} if spec.model is not None else {"adapter", *FT_DECIDES}
    own |= {"quantization"} if ft.quantization is None else set()
    if ft.kind == "api":
        own |= {"endpoint", "api_key"}
    for name in sorted(base.model_fields_set - own):
        ours, theirs = getattr(base, name), getattr(ft, name)
        if ours != theirs and name == "base":
            message = (
                f"found {describe(theirs)}, but models.base.base is {describe(ours)}. An adapter must be "
                "compared with its own base model. If models.ft.base is a full fine-tune, add defaults: "
                "{differential: false}"
            )
            yield ("models", "ft", "base"), message
        elif ours != theirs:
            message = f"found {describe(ours)}, but models.ft.{name} is {describe(theirs)}"
            yield (
                ("models", "base", name),
                f"{message}; models.base and models.ft use the same settings, so both values must be equal",
            )
    if base.adapter and not names_same_adapter(spec):
        message = (
            "models.base is always evaluated without an adapter, but this is another adapter than "
            "models.ft.adapter. Remove models.base.adapter"
        )
        yield ("models", "base", "adapter"), message


def _unread_model_fields(spec: Spec) -> Iterator[tuple[FieldPath, str]]:
    """Fields that this model's kind does not read."""
    ft = spec.envelope.models.ft
    sides = {"ft": (ft, spec.model or spec.base)}
    if spec.model is not None:
        sides["base"] = (spec.envelope.models.base, spec.base)
    for side, (model, path) in sides.items():
        named = ("models", side, "base")
        if model.kind == "gguf" and is_gguf_name(path):
            if not is_file(Path(path)):
                found = describe(model.base)
                yield named, f"there is no file {found} next to the spec or in the working directory"
        elif model.kind in FILE_KINDS and _is_path(model.base) and not is_folder(Path(path)):
            yield named, _no_folder(model.base, spec)
        if model.revision is not None and (is_folder(Path(path)) or is_gguf_name(path)):
            what = "file" if is_gguf_name(path) else "folder"
            message = f"a revision applies only to models on the Hub, but models.{side}.base is "
            yield ("models", side, "revision"), f"{message}a local {what}. Remove the revision"


def _quantized_elsewhere(spec: Spec) -> Iterator[tuple[FieldPath, str]]:
    """``quantization`` for a kind that does not quantize as it loads."""
    models = spec.envelope.models
    for side, model in (("base", models.base), ("ft", models.ft)):
        if model.quantization is not None and models.ft.kind != "hf":
            message = f"only kind: hf supports this field. With kind: {models.ft.kind}, remove this field "
            yield (
                ("models", side, "quantization"),
                f"{message}and use a model whose files are already quantized",
            )


def _is_path(name: str) -> bool:
    """Whether a base is written as a path, which no name on the hub is."""
    return name.startswith((".", "/", "~")) or "\\" in name or re.match(r"[A-Za-z]:[\\/]", name) is not None


def _no_folder(name: str, spec: Spec) -> str:
    message = f"there is no folder {describe(name)} next to the spec or in the working directory"
    slashes = name.replace("\\", "/")
    if slashes != name and is_folder(find_path(slashes, spec.source.roots)):
        return f"{message}; did you mean {slashes}?"
    return message


def _unsupported_fields(spec: Spec) -> Iterator[tuple[FieldPath, str]]:
    """What this version does not do."""
    if not spec.envelope.suite:
        yield ("suite",), "the suite is empty; add at least one probe"


def adapter_problems(spec: Spec) -> list[Problem]:
    """Adapter folders that are missing or hold no adapter, found before a model is loaded."""
    position = spec.source.locate(("models", "ft", "adapter"))
    if not spec.envelope.models.ft.adapter:
        if spec.model is not None:
            return []
        message = "Set it to an adapter folder. For a full fine-tune, set models.ft.base to its folder and "
        message += "add defaults: {differential: false}"
        return [Problem(f"models.ft.adapter is missing. {message}", *position)]
    messages = [
        f"no adapter folder matches {describe(name)}{why}" for name, why in spec.named.unmatched.items()
    ]
    for folder, name in spec.named.folders.items():
        if is_hub_name(name, spec.source.roots) or is_gguf_adapter(folder, spec.envelope.models.ft.kind):
            continue
        if is_file(folder):
            messages.append(f"{folder} is a file; use the folder that contains it")
        elif not is_folder(folder):
            messages.append(_no_folder(name, spec))
        elif not is_file(folder / ADAPTER_CONFIG):
            messages.append(no_adapter(folder))
        elif why := why_not_served(folder):
            messages.append(why)
    return [Problem(f"models.ft.adapter: {message}", *position) for message in messages]
