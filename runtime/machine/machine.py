"""The machine: everything of one platform."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from brolga.jit.code import CompiledFunction
from brolga.jit.settings import Settings
from brolga.jit.wasm.types import FuncType

from .code import CodeSpace
from .host import HostFunction
from .memory import MemoryBlock
from .state import StoreState


class Machine:
    """Code arena, routines and signal handling of one platform. There is one per platform and process: see `machine`."""

    name: str  # "linux" or "minimal"

    def settings(self, opt_level: int = 2, features: frozenset[str] | None = None) -> Settings:
        """Settings for code that shall run here. `features` None: all that the CPU has."""
        raise NotImplementedError

    def new_state(self) -> StoreState:
        """The activation state of a new store."""
        raise NotImplementedError

    def new_code_space(
        self, first: int, count: int, compile: Callable[[int], CompiledFunction], owner: object
    ) -> CodeSpace:
        """Pads for functions `first` .. `first + count - 1` (the defined ones of a module, by index in its index space).

        `compile(func)` is called on the first call of a function that is not installed. `owner` appears in backtraces; it is
        referred to weakly if it can be.
        """
        raise NotImplementedError

    def new_memory(self, length: int, maximum: int) -> MemoryBlock:
        """A memory of `length` zero bytes that can grow to `maximum` bytes. MemoryError if the system refuses."""
        raise NotImplementedError

    def new_host_function(
        self, state: StoreState, store: object, type: FuncType, function: Callable[..., object], raw: bool = False
    ) -> HostFunction:
        """A function record through which wasm of `state`'s store calls a Python function.

        It is called with converted values and its result is converted: None for no result, a value for one, a sequence for
        several; TypeError through wasm if it does not fit. `store` is handed to the reference converters only. With `raw`,
        values are raw bits both ways, without checks.
        """
        raise NotImplementedError

    def new_builtins(self, functions: Sequence[Callable[..., int | None] | None]) -> BuiltinTable:
        """A table for CTX_BUILTINS. `functions[n]` serves builtin n of `brolga.jit.builtins`: called with the address of the
        caller's vmctx and the raw arguments, returns the raw result. None where the native routine serves: memory_fill,
        memory_copy, memory_init (they use CTX_MEMORIES and CTX_DATA_SEGMENTS), interrupt."""
        raise NotImplementedError

    def call_raw(self, record: int, type: FuncType, args: Sequence[int]) -> list[int]:
        """Call the function whose record is at address `record`, through ctypes: raw bits in, raw bits out.

        Traps and exceptions of host functions are raised.
        """
        raise NotImplementedError

    def take_first_place(self) -> None:
        """Make our signal handlers the first again if somebody has replaced them. Call it at each instantiation."""
        raise NotImplementedError


class BuiltinTable:
    """Addresses of the builtin routines, for CTX_BUILTINS."""

    @property
    def address(self) -> int:
        raise NotImplementedError


def machine(name: str = "linux") -> Machine:
    """The machine of the platform `name`, made on first use."""
    raise NotImplementedError
