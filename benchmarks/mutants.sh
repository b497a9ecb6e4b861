#!/usr/bin/env bash
# Makes an environment with the extras `test-no-torch` and `mutants`, and runs benchmarks/mutants.py there; all arguments are its own.
# Some of its tests need torch. Without it they are skipped or fail, and a failing test is never used: name an environment to have them.
#
#   [PYTHON=...] benchmarks/mutants.sh [-n 300] [--seed 11] [--only PATH] [--jobs N]
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -z "${PYTHON:-}" ]; then
    venv=$(mktemp -d)/venv
    trap 'rm -rf "$(dirname "$venv")"' EXIT
    python3 -m venv "$venv"
    PYTHON=$venv/bin/python
    "$PYTHON" -m pip install --quiet -e ".[test-no-torch,mutants]"
fi
nice -n 15 "$PYTHON" benchmarks/mutants.py "$@"
