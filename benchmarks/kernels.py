"""The kernels: one C file each in `kernels/`, exporting `unsigned run(int n)`, which returns a checksum.

`n` is chosen such that one call takes 20 to 50 ms in wasmtime on a machine of today.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

SOURCES: Final = Path(__file__).resolve().parent / "kernels"


class Kernel(NamedTuple):
    """Name (of its files), argument of `run`, and what it mostly measures."""

    name: str
    n: int
    measures: str

    @property
    def source(self) -> Path:
        return SOURCES / f"{self.name}.c"

    @property
    def wasm(self) -> Path:
        return SOURCES / f"{self.name}.wasm"


KERNELS: Final = (
    Kernel("aes", 400_000, "table loads, register pressure"),
    Kernel("base64", 1_000, "byte loads and stores, shifts"),
    Kernel("bits", 7_000_000, "64-bit counts, rotations, shifts"),
    Kernel("blackscholes", 600_000, "double polynomials, bit casts"),
    Kernel("blur", 200, "float stencil, constant offsets"),
    Kernel("chase", 16_000_000, "latency of dependent loads"),
    Kernel("convert", 1_200_000, "integer and float conversions"),
    Kernel("crc32", 10_000, "dependent table loads"),
    Kernel("dispatch", 1_500_000, "indirect calls"),
    Kernel("divide", 300_000, "integer division"),
    Kernel("fft", 500, "double butterflies, strides"),
    Kernel("fib", 35, "direct calls"),
    Kernel("hashmap", 4_000_000, "64-bit multiplication, probing"),
    Kernel("heapsort", 350_000, "unpredictable compares"),
    Kernel("levenshtein", 4_000, "minima, dependent loads"),
    Kernel("lz", 1_000, "byte copies, hash tables"),
    Kernel("mandelbrot", 600, "double arithmetic in a tight loop"),
    Kernel("matmul_f64", 400, "double multiply and add"),
    Kernel("matmul_i32", 350, "int multiply and add, columns"),
    Kernel("memops", 20_000, "bulk memory, byte loops"),
    Kernel("nbody", 350_000, "double arithmetic, square roots"),
    Kernel("nqueens", 13, "recursion over bit sets"),
    Kernel("quicksort", 400_000, "recursion, compares"),
    Kernel("sha256", 100_000, "rotations, register pressure"),
    Kernel("sieve", 4_000_000, "strided byte stores"),
    Kernel("spectral", 700, "conversions, double division"),
    Kernel("strsearch", 450, "byte compares, short loops"),
    Kernel("vm", 1_500_000, "br_table, an interpreter loop"),
)
BY_NAME: Final = {kernel.name: kernel for kernel in KERNELS}
