#!/usr/bin/env bash
# Makes .venv with the pinned dependencies and this package in it. Where Python's venv module is missing (Debian
# keeps it in a package of its own) it is installed, or the command that does so is named.
set -euo pipefail
cd "$(dirname "$0")/../.."
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "Python 3.11 or newer is needed; python3 is $(python3 --version 2>&1)" >&2
  exit 1
}
if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
  if [ "$(id -u)" = 0 ]; then
    apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
  else
    echo "Python's venv module is missing; run: sudo apt-get install python3-venv" >&2
    exit 1
  fi
fi
echo "Making .venv (about half a minute) ..."
rm -rf .venv
python3 -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r constraints/dev.txt
.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
