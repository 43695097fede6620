#!/usr/bin/env bash
# Installs the wheel as a consumer would, and checks the client against its types.
set -euo pipefail
cd "$(dirname "$0")"

venv=build/venv
if ! cmp -s requirements.txt "$venv/requirements.txt"; then
	rm -rf "$venv"
	python3 -m venv "$venv"
	"$venv/bin/pip" install --quiet --no-deps --only-binary :all: --require-hashes --requirement requirements.txt
	cp requirements.txt "$venv/requirements.txt"
fi
"$venv/bin/pip" install --quiet --force-reinstall --no-deps ../../.cache/packages/python/*.whl
"$venv/bin/pip" check
"$venv/bin/mypy" ./*.py
"$venv/bin/ruff" check .
"$venv/bin/ruff" format --check .
