"""Python callables as wasm functions."""

from __future__ import annotations

from brolga.jit.wasm.types import FuncType


class HostFunction:
    """A Python callable with a function record. Made by `Machine.new_host_function`. Keep it alive while the record is in use."""

    type: FuncType

    @property
    def record(self) -> int:
        """Address of its function record {code, vmctx, signature id, itself}: copy it into contexts and tables."""
        raise NotImplementedError
