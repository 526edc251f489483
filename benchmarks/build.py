"""Build the kernels with the C compiler of PyPI `ziglang`.

    python benchmarks/build.py [NAMES...]      kernels/NAME.c -> kernels/NAME.wasm (these are checked in)

`build_native` makes the native counterparts, at run time, since they depend on the machine.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent))

from kernels import BY_NAME, KERNELS, Kernel

COMMON: Final = ["-O2", "-g0", "-ffp-contract=off", "-fno-sanitize=all", "-Wall", "-Wextra", "-Werror"]
WASM: Final = [
    "--target=wasm32-freestanding",
    # Scalar WebAssembly 2.0: what every engine of today takes without a switch, without SIMD and tail calls.
    "-mcpu=mvp+bulk_memory+multivalue+mutable_globals+nontrapping_fptoint+reference_types+sign_ext",
    "-nostdlib",
    "-Wl,--no-entry",
    "-Wl,--export=run",
    "-Wl,-z,stack-size=65536",
]
# The level of instruction set that compilers for wasm may use as well, found by cpuid there.
NATIVE: Final = ["--target=x86_64-linux-gnu", "-mcpu=x86_64_v3", "-shared", "-fPIC", "-nostdlib", "-lc"]
SCALAR: Final = ["-fno-vectorize", "-fno-slp-vectorize"]


def compile_c(source: Path, output: Path, flags: list[str]) -> None:
    """Run `zig cc`. Raises CalledProcessError; the compiler's messages go to standard error."""
    subprocess.run(
        [sys.executable, "-m", "ziglang", "cc", *COMMON, *flags, "-o", str(output), str(source)], check=True
    )


def build_wasm(kernel: Kernel) -> None:
    compile_c(kernel.source, kernel.wasm, WASM)


def build_native(kernel: Kernel, directory: Path, vectorise: bool) -> Path:
    """A shared object with the function `run`, in `directory`."""
    output = directory / f"{kernel.name}{'' if vectorise else '-novec'}.so"
    compile_c(kernel.source, output, NATIVE if vectorise else NATIVE + SCALAR)
    return output


def main() -> None:
    for name in sys.argv[1:] or [kernel.name for kernel in KERNELS]:
        build_wasm(BY_NAME[name])
        print(f"{name}.wasm  {BY_NAME[name].wasm.stat().st_size} bytes")


if __name__ == "__main__":
    main()
