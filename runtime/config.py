"""`Config`: the settings of an engine, under the names of the PyPI package `wasmtime`.

Options without meaning here are accepted where that is harmless; values that would promise something false are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from brolga.ir.errors import WasmtimeError
from brolga.jit.transformations import mask_of

from .arguments import bool_of, int_of, list_of, refuse_second_init, text_of
from .cache import CodeCache, default_directory, read_configuration
from .managed import Consumable


def write_only(setter: Callable[..., None]) -> property:
    """A property that can be set and not read."""
    return property(None, setter, None, setter.__doc__)


def _harmless() -> property:
    def setter(self: object, enable: bool) -> None:
        bool_of(enable)

    return property(None, setter, None, "Accepted, without effect on what a program computes.")


def _absent(name: str) -> property:
    def setter(self: object, enable: bool) -> None:
        if bool_of(enable):
            raise WasmtimeError(f"{name} is not supported")

    return property(None, setter, None, "Not implemented: may only be set to False.")


def _number() -> property:
    def setter(self: object, size: int) -> None:
        int_of(size)

    return property(None, setter, None, "A number of bytes: accepted, without effect on what a program computes.")


_default_caches: Final[list[CodeCache]] = []  # of configurations that name none: at most one


def cache_by_default() -> None:
    """From now on engines use the user's cache where their configuration names none."""
    _default_caches[:] = [CodeCache(default_directory())]


class Config(Consumable):
    """Global configuration, used to create an `Engine`, which uses it up."""

    __slots__ = (
        "_cache",
        "_eager",
        "_epochs",
        "_fuel",
        "_max_stack",
        "_off",
        "_opt_level",
        "_parallel",
        "_perf_map",
        "_platform",
        "_shared_memory",
    )

    def __init__(self) -> None:
        refuse_second_init(self, "_platform")
        self._platform = ""
        self._cache = next(iter(_default_caches), None)
        self._eager = False
        self._opt_level = 2
        self._off = 0
        self._epochs = False
        self._fuel = False
        self._parallel = True
        self._perf_map = False
        self._max_stack: int | None = None
        self._shared_memory = False

    @write_only
    def platform(self, name: str) -> None:
        """Which platform layer runs the code: `linux` (the default where it works) or `minimal`."""
        name = text_of(name)
        if name not in ("linux", "minimal"):
            raise WasmtimeError(f"unknown platform: {name}")
        self._platform = name

    @write_only
    def eager(self, enable: bool) -> None:
        """Whether modules are compiled as a whole when they are made, and not each function when it is first called."""
        self._eager = bool_of(enable)

    @write_only
    def strategy(self, strategy: str) -> None:
        """`auto` or `cranelift`: there is one compiler."""
        strategy = text_of(strategy)
        if strategy not in ("auto", "cranelift"):
            raise WasmtimeError(f"unknown strategy: {strategy}")

    @write_only
    def cranelift_opt_level(self, opt_level: str) -> None:
        """`none`, `speed` or `speed_and_size`."""
        opt_level = text_of(opt_level)
        if opt_level not in ("none", "speed", "speed_and_size"):
            raise WasmtimeError(f"unknown opt level: {opt_level}")
        self._opt_level = 0 if opt_level == "none" else 2

    @write_only
    def optimizations_off(self, names: Iterable[str]) -> None:
        """The transformations that the compiler is to do without: names of docs/transformations.md."""
        wanted = [text_of(name) for name in list_of(names, "names of transformations")]
        try:
            self._off = mask_of(wanted)
        except ValueError as error:
            raise WasmtimeError(str(error)) from error

    @write_only
    def profiler(self, profiler: str) -> None:
        """`none`, or `perfmap`: tell `perf` the names of functions, in the file /tmp/perf-PID.map. It looks there only if
        BROLGA_WITHOUT=memfd is in the environment, so that code lies in anonymous memory."""
        profiler = text_of(profiler)
        if profiler in ("jitdump", "vtune"):
            raise WasmtimeError(f"the profiler {profiler} is not supported")
        if profiler not in ("none", "perfmap"):
            raise WasmtimeError(f"unknown profiler: {profiler}")
        self._perf_map = profiler == "perfmap"

    @write_only
    def parallel_compilation(self, enable: bool) -> None:
        """Whether modules that are compiled as a whole are compiled on all cores, if they are large: by default they are."""
        self._parallel = bool_of(enable)

    @write_only
    def cache(self, enabled: bool | str) -> None:
        """Keep compiled code on disk: True for the user's cache, or the path of a TOML file that describes one."""
        if enabled is not True and enabled is not False:
            self._cache = read_configuration(text_of(enabled, "string or bool"))
            return
        if enabled is False:
            raise WasmtimeError("caching cannot be explicitly disabled")
        self._cache = CodeCache(default_directory())

    @write_only
    def max_wasm_stack(self, size: int) -> None:
        """How many bytes of stack a call from outside may use, those that it leads to in the same store included, before
        it traps: at most 2 MiB. On the platform `minimal` what host functions in between use counts, too."""
        self._max_stack = int_of(size)

    @write_only
    def consume_fuel(self, instances: bool) -> None:
        """Whether code uses up fuel as it runs, and traps when there is none left: see `Store.set_fuel`."""
        self._fuel = bool_of(instances, "an bool")  # the message of the package `wasmtime`

    @write_only
    def epoch_interruption(self, enabled: bool) -> None:
        """Whether stores have a deadline in epochs: see `Store.set_epoch_deadline`. Costs running code nothing."""
        self._epochs = bool(enabled)

    @write_only
    def shared_memory(self, enable: bool) -> None:
        """Whether `SharedMemory` objects can be made."""
        self._shared_memory = bool_of(enable)

    @write_only
    def target(self, triple: str) -> None:
        """The target that code is made for: x86-64 Linux, and nothing else."""
        triple = text_of(triple)
        if triple.split("-")[0] != "x86_64" or "linux" not in triple.split("-"):
            raise WasmtimeError(f"Unrecognized architecture: {triple}")

    def cranelift_flag_enable(self, flag: str) -> None:
        """Flags of another compiler: refused."""
        raise WasmtimeError(f"there is no compiler flag `{text_of(flag)}`")

    def cranelift_flag_set(self, key: str, value: str) -> None:
        """Flags of another compiler: refused, but for `opt_level`."""
        key, value = text_of(key, "a str for key"), text_of(value, "a str for value")
        if key != "opt_level":
            raise WasmtimeError(f"there is no compiler flag `{key}`")
        self.cranelift_opt_level = value

    @write_only
    def signals_based_traps(self, enable: bool) -> None:
        """Whether traps arrive as signals. False selects the platform `minimal`."""
        if not bool_of(enable):
            self._platform = "minimal"

    # Options that change nothing about what a program computes here: any bool is accepted.
    debug_info = _harmless()
    cranelift_debug_verifier = _harmless()
    gc_support = _harmless()
    memory_may_move = _harmless()
    native_unwind_info = _harmless()
    macos_use_mach_ports = _harmless()
    memory_init_cow = _harmless()
    wasm_reference_types = _harmless()
    wasm_bulk_memory = _harmless()
    wasm_multi_value = _harmless()
    wasm_relaxed_simd_deterministic = _harmless()

    memory_reservation = _number()
    memory_guard_size = _number()
    memory_reservation_for_growth = _number()

    # Proposals that are not implemented: True lets modules need one, which is harmless, for one that does is refused by name.
    wasm_threads = _harmless()
    wasm_tail_call = _harmless()
    wasm_simd = _harmless()
    wasm_relaxed_simd = _harmless()
    wasm_multi_memory = _harmless()
    wasm_memory64 = _harmless()
    wasm_exceptions = _harmless()
    wasm_function_references = _harmless()
    wasm_gc = _harmless()
    wasm_wide_arithmetic = _harmless()
    wasm_custom_page_sizes = _harmless()
    wasm_stack_switching = _harmless()

    # Features that are not implemented: may be switched off, not on.
    wasm_component_model = _absent("wasm_component_model")
    wasm_component_model_map = _absent("wasm_component_model_map")
    wasm_component_model_implements = _absent("wasm_component_model_implements")
    cranelift_nan_canonicalization = _absent("cranelift_nan_canonicalization")
