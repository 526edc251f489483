#!/bin/sh
# Builds the programs of this directory with zig's C compiler (PyPI: ziglang).
cd "$(dirname "$0")" || exit 1
for source in *.c; do
    "${PYTHON:-python3}" -m ziglang cc --target=wasm32-wasi -Os -s -o "${source%.c}.wasm" "$source" || exit 1
done
