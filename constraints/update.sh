#!/usr/bin/env bash
# Pins the newest versions that pyproject.toml allows, each with its hashes and without index addresses.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
python3 -m venv "$tools" && "$tools/bin/pip" install --quiet uv
compile=("$tools/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes
         --no-emit-index-url --no-header --upgrade)
"${compile[@]}" --extra dev pyproject.toml -o constraints/dev.txt
"${compile[@]}" -c constraints/dev.txt pyproject.toml -o constraints/runtime.txt
if [ -f constraints/build.in ]; then
  "${compile[@]}" -c constraints/dev.txt constraints/build.in -o constraints/build.txt
fi
# What only a release needs; in an environment of its own, so it need not agree with the others.
"${compile[@]}" constraints/release.in -o constraints/release.txt
