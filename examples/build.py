"""Build the example programs for WASI with the C compiler of PyPI `ziglang`: NAME.c -> NAME.wasm.

    python examples/build.py [NAMES...]

The results are checked in, so that the examples run without a C compiler.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
FLAGS: Final = [
    "--target=wasm32-wasi",
    # Scalar WebAssembly 2.0, for the C library too.
    "-mcpu=mvp+bulk_memory+multivalue+mutable_globals+nontrapping_fptoint+reference_types+sign_ext",
    "-O2",
    "-g0",
    "-Wall",
    "-Wextra",
    "-Werror",
]


def main() -> None:
    for name in sys.argv[1:] or sorted(source.stem for source in HERE.glob("*.c")):
        output = HERE / f"{name}.wasm"
        command = [sys.executable, "-m", "ziglang", "cc", *FLAGS, "-o", str(output), str(HERE / f"{name}.c"), "-lm"]
        subprocess.run(command, check=True)
        # The C library brings debugging sections; function names stay, for backtraces and listings.
        subprocess.run(["wasm-tools", "strip", str(output), "-o", str(output)], check=True)
        print(f"{name}.wasm  {output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
