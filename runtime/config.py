"""`Config`: the settings of an engine, under the names of the PyPI package `wasmtime`.

One row of `_OPTIONS` for each: what is accepted, and why a value that would promise something false is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from brolga.ir.errors import WasmtimeError


def write_only(setter: Callable[..., None]) -> property:
    """A property that can be set and not read."""
    return property(None, setter, None, setter.__doc__)


# Options that change nothing about what a program computes here: any bool is accepted.
_HARMLESS: Final = (
    "debug_info",
    "cranelift_debug_verifier",
    "parallel_compilation",
    "gc_support",
    "memory_may_move",
    "native_unwind_info",
    "macos_use_mach_ports",
    "memory_init_cow",
    "wasm_reference_types",
    "wasm_bulk_memory",
    "wasm_multi_value",
    "wasm_relaxed_simd_deterministic",
)
# Proposals and features that are not implemented: may be switched off, not on.
_ABSENT: Final = (
    "wasm_threads",
    "wasm_tail_call",
    "wasm_simd",
    "wasm_relaxed_simd",
    "wasm_multi_memory",
    "wasm_memory64",
    "wasm_exceptions",
    "wasm_function_references",
    "wasm_gc",
    "wasm_wide_arithmetic",
    "wasm_custom_page_sizes",
    "wasm_stack_switching",
    "wasm_component_model",
    "wasm_component_model_map",
    "wasm_component_model_implements",
    "shared_memory",
    "consume_fuel",
    "epoch_interruption",
    "cranelift_nan_canonicalization",
)


class Config:
    """Global configuration, used to create an `Engine`."""

    def __init__(self) -> None:
        self._platform = ""
        self._eager = False
        self._opt_level = 2
        self._signals = True

    @write_only
    def platform(self, name: str) -> None:
        """Which platform layer runs the code: `linux` (the default where it works) or `minimal`."""
        if name not in ("linux", "minimal"):
            raise WasmtimeError(f"unknown platform: {name}")
        self._platform = name

    @write_only
    def eager(self, enable: bool) -> None:
        """Whether modules are compiled as a whole when they are made, and not each function when it is first called."""
        self._eager = _bool(enable)

    @write_only
    def strategy(self, strategy: str) -> None:
        """`auto` or `cranelift`: there is one compiler."""
        if strategy not in ("auto", "cranelift"):
            raise WasmtimeError(f"unknown strategy: {strategy}")

    @write_only
    def cranelift_opt_level(self, opt_level: str) -> None:
        """`none`, `speed` or `speed_and_size`."""
        if opt_level not in ("none", "speed", "speed_and_size"):
            raise WasmtimeError(f"unknown opt level: {opt_level}")
        self._opt_level = 0 if opt_level == "none" else 2

    @write_only
    def profiler(self, profiler: str) -> None:
        """`none`."""
        if profiler not in ("none",):
            raise WasmtimeError(f"unknown profiler: {profiler}")

    @write_only
    def cache(self, enabled: bool | str) -> None:
        """Code is not cached on disk: only False is accepted."""
        if enabled is not False:
            raise WasmtimeError("there is no code cache")

    @write_only
    def max_wasm_stack(self, size: int) -> None:
        """Sizes other than the built-in one are not supported."""
        raise WasmtimeError(f"the size of wasm stacks cannot be configured (asked for {size} bytes)")

    @write_only
    def signals_based_traps(self, enable: bool) -> None:
        """Whether traps arrive as signals. False selects the platform `minimal`."""
        if not _bool(enable):
            self._platform = "minimal"


def _bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("expected a bool")
    return value


def _harmless(name: str) -> property:
    def setter(self: Config, enable: bool) -> None:
        _bool(enable)

    return property(None, setter, None, "Accepted, without effect on what a program computes.")


def _absent(name: str) -> property:
    def setter(self: Config, enable: bool) -> None:
        if _bool(enable):
            raise WasmtimeError(f"{name} is not supported")

    return property(None, setter, None, "Not implemented: may only be set to False.")


for _name in _HARMLESS:
    setattr(Config, _name, _harmless(_name))
for _name in _ABSENT:
    setattr(Config, _name, _absent(_name))
