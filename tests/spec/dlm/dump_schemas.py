"""Writes what dlm-sway's models accept, as JSON schemas without their prose, to standard output.

Run by the interpreter of an environment that has dlm-sway 0.1.0::

    $SWAY_DLM_PYTHON tests/spec/dlm/dump_schemas.py > tests/spec/dlm/schemas.json
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
from typing import Any

import dlm_sway.probes
from dlm_sway.probes.base import registry
from dlm_sway.suite.spec import SwaySpec

_PROSE = ("description", "title")


def without_prose(value: Any, *, names: bool = False) -> Any:
    """The schema without descriptions and titles; below ``properties`` a key is a field's name."""
    if isinstance(value, list):
        return [without_prose(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: without_prose(item, names=key in ("properties", "$defs") and not names)
        for key, item in value.items()
        if names or key not in _PROSE
    }


def main() -> None:
    for module in pkgutil.iter_modules(dlm_sway.probes.__path__):
        if not module.name.startswith("_"):
            importlib.import_module(f"dlm_sway.probes.{module.name}")
    kinds = {kind: probe.spec_cls.model_json_schema() for kind, probe in sorted(registry().items())}
    schemas = {
        "spec": without_prose(SwaySpec.model_json_schema()),
        "kinds": {kind: without_prose(schema) for kind, schema in kinds.items()},
    }
    json.dump(schemas, sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
