#!/usr/bin/env bash
# Runs the gate once; writes the result, the report, the step summary and the outputs, and exits with 0: the
# action's last step exits with the status, after artifact and comment. Reads SWAY_SPEC, SWAY_FAIL_ON (fail,
# warn, never); SWAY_PYTHON names another Python.
set -uo pipefail

folder="$RUNNER_TEMP/sway-report"
python="${SWAY_PYTHON:-$RUNNER_TEMP/sway-venv/bin/python}"
mkdir -p "$folder"
rm -rf "${folder:?}"/*
result="$folder/result.json" report="$folder/report.md" comment="$folder/comment.md"
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
spec="${SWAY_SPEC:-}"
case "$spec" in
  /*) ;;
  *) spec="./$spec" ;; # a name that begins with a dash is no option
esac

case "${SWAY_FAIL_ON:-}" in
  fail | warn | never) ;;
  *)
    echo "::error::fail-on: write fail, warn or never"
    printf 'verdict=error\nexit-status=2\n' >>"$GITHUB_OUTPUT"
    exit 0
    ;;
esac

# what a probe or an adapter is called must not be read as a command of the runner
token="sway-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
echo "::stop-commands::$token"
"$python" -m pytest_sway gate --report "$result" --markdown "$report" "$spec"
status=$?
echo "::$token::"

if [ -e "$report" ]; then # of several adapters a folder, with a file each
  find "$report" -name '*.md' -print0 | sort -z | xargs -0 cat >"$comment"
  cat "$comment" >>"${GITHUB_STEP_SUMMARY:-/dev/null}"
fi
"$python" "$here/outputs.py" "$result" "$comment" "$status" "$SWAY_FAIL_ON" >>"$GITHUB_OUTPUT"
echo "action-path=$here" >>"$GITHUB_OUTPUT"
