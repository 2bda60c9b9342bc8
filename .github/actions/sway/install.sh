#!/usr/bin/env bash
# Installs pytest-sway with its extra hf into a virtual environment of its own, which the action caches.
# Reads SWAY_VERSION: a version on PyPI; empty for the repository that the action is part of.
set -euo pipefail

venv="$RUNNER_TEMP/sway-venv"
source_folder="$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)"
if [ -n "${SWAY_VERSION:-}" ]; then
  if ! [[ "$SWAY_VERSION" =~ ^[0-9][0-9A-Za-z.!+-]*$ ]]; then
    echo "::error::sway-version is no version: write one as on PyPI, e.g. 0.1.0"
    exit 2
  fi
  wanted="pytest-sway[hf]==$SWAY_VERSION"
else
  wanted="${source_folder}[hf]"
fi
python -m venv "$venv"
"$venv/bin/python" -m pip install --quiet "$wanted"
