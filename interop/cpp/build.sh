#!/usr/bin/env bash
# Fetches the schemas of google.rpc, generates code and compiles all into build/.
set -euo pipefail
cd "$(dirname "$0")"
protos=${TIDINGS_PROTOS:?a directory with the schemas and all that they import}

rm -rf build/wheels build/googleapis
mkdir -p build/googleapis
python3 -m pip download --quiet --no-deps --only-binary :all: --require-hashes -r ../googleapis.txt -d build/wheels
(cd build/googleapis && cmake -E tar xf ../wheels/googleapis_common_protos-*.whl)
cmake -S . -B build -G Ninja -D PROTOS="$protos" -D GOOGLEAPIS="$PWD/build/googleapis"
cmake --build build --parallel 2
