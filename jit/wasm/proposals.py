"""Proposals that are not implemented, by the names under which modules are refused."""

from __future__ import annotations

from typing import Final

SIMD: Final = "SIMD"
THREADS: Final = "threads"
TAIL_CALLS: Final = "tail calls"
EXCEPTIONS: Final = "exception handling"
LEGACY_EXCEPTIONS: Final = "legacy exception handling"
TYPED_REFERENCES: Final = "typed function references"
GC: Final = "garbage collection"
STACK_SWITCHING: Final = "stack switching"
WIDE_ARITHMETIC: Final = "wide arithmetic"
MEMORY_CONTROL: Final = "memory control"
MEMORY64: Final = "memory64"
MULTI_MEMORY: Final = "multiple memories"
