"""What a module does on an engine, as a list of events.

Brolga and PyPI wasmtime have the same names, so one driver serves both. A module is instantiated with imports that
behave deterministically; every exported function is called with edge-case arguments; results, traps, calls of host
functions and, at the end, memories, globals and tables are recorded. After a trap a new instance is made, since the
termination counter of generated modules does not come back. With `backtraces`, traps are recorded with the functions
of the stack and the operators that call. NaN payloads are not recorded. With fuel, each call gets an amount
that is mostly enough, and what is left of it is recorded, by host functions too.
"""

from __future__ import annotations

import hashlib
import math
import random
import signal
import struct
from types import FrameType
from typing import Any, Final

CALLS_PER_EXPORT: Final = 3
MUCH_FUEL: Final = 10**9
STACK_OVERFLOW: Final = "trap STACK_OVERFLOW"

INTEGERS: Final = [0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 33, 63, 64, 100, 127, 128, 255, 256, 1000, 32767, 32768, 65535,
                   65536, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0x1_0000_0000, 0x7FFF_FFFF_FFFF_FFFF]  # fmt: skip
FLOATS: Final = [0.0, 0.5, 1.0, 1.5, 2.5, 3.0, 100.25, 2.0**31, 2.0**32, 2.0**53, 2.0**63, 2.0**64, 1e-45, 1.2e-38,
                 3.4028234663852886e38, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308,
                 math.inf, math.nan]  # fmt: skip

# The names that the engines give to one and the same trap.
TRAP_ALIASES: Final = {"INDIRECT_CALL_OUT_OF_BOUNDS": "TABLE_OUT_OF_BOUNDS"}


class HostError(Exception):
    """Raised by an imported function; must arrive at the outer caller."""


class Interrupted(Exception):
    """Raised by the handler of SIGALRM after a call's time."""


_armed = False  # a signal that arrives late must not hit the code between calls


def _interrupt(number: int, frame: FrameType | None) -> None:
    if _armed:
        raise Interrupted


def _arm(seconds: float) -> None:
    """Let SIGALRM raise after so many seconds and again until it is disarmed by 0."""
    global _armed
    _armed = seconds > 0
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)


def _signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def choose_value(type_name: str, choose: random.Random) -> Any:
    """An argument of a value type: mostly an edge case."""
    if type_name in ("i32", "i64"):
        bits = int(type_name[1:])
        value = choose.choice(INTEGERS) if choose.random() < 0.8 else choose.getrandbits(64)
        return _signed(value * choose.choice([1, 1, -1]) + choose.choice([0, 0, -1, 1]), bits)
    if type_name in ("f32", "f64"):
        value = choose.choice(FLOATS) if choose.random() < 0.8 else choose.gauss(0, 1e6)
        value *= choose.choice([1, -1])
        return value if type_name == "f64" else round_to_f32(value)
    return None if type_name == "funcref" or choose.random() < 0.4 else f"reference {choose.randrange(4)}"


def choose_amount(choose: random.Random) -> int:
    """Of fuel: mostly enough for a call, else anything from nothing on."""
    return choose.choice([MUCH_FUEL, MUCH_FUEL, MUCH_FUEL, choose.randrange(5000), choose.randrange(200)])


def round_to_f32(value: float) -> float:
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def describe(value: Any) -> str:
    """A value as text, the same for equal values (all NaNs are equal; -0.0 differs from 0.0)."""
    if type(value).__name__ == "Val":
        return describe(value.value)
    if isinstance(value, bool | int):
        return str(int(value))
    if isinstance(value, float):
        return "nan" if math.isnan(value) else value.hex()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(describe(item) for item in value) + "]"
    if value is None or isinstance(value, str):
        return repr(value)
    return "function" if type(value).__name__ == "Func" else f"object of type {type(value).__name__}"


class Subject:
    """One module (`api.Module`, where `api` is brolga or wasmtime). With `call_seconds` each call is interrupted by
    a signal after so much time, which only Brolga lets through. With `fuel` the engine must have been told to consume it."""

    def __init__(
        self,
        api: Any,
        engine: Any,
        module: Any,
        seed: int,
        call_seconds: float = 0.0,
        fuel: bool = False,
        backtraces: bool = False,
    ) -> None:
        self.api = api
        self.engine = engine
        self.module = module
        self.seed = seed
        self.call_seconds = call_seconds
        self.backtraces = backtraces
        self.choose_fuel = random.Random(f"fuel {seed}") if fuel else None
        self.events: list[str] = []
        self.host_calls = 0
        self.store: Any = None
        self.exports: Any = None
        if call_seconds:
            signal.signal(signal.SIGALRM, _interrupt)

    def run(self) -> list[str]:
        """The events of the module's whole life."""
        if self.instantiate():
            for index, export in enumerate(self.module.exports):
                if isinstance(export.type, self.api.FuncType):
                    choose = random.Random(self.seed * 1000 + index)
                    for _ in range(CALLS_PER_EXPORT):
                        arguments = [choose_value(str(param), choose) for param in export.type.params]
                        if not self.call(export.name, arguments) and not self.instantiate():
                            return self.events
            self.record_state()
        return self.events

    def instantiate(self) -> bool:
        """Make store and instance anew; False if that traps."""
        self.store = self.api.Store(self.engine)
        choose = random.Random(self.seed)
        imports = [self.make_import(index, item, choose) for index, item in enumerate(self.module.imports)]

        def link() -> None:
            self.exports = self.api.Instance(self.store, self.module, imports).exports(self.store)

        return self.attempt("instantiate", link)

    def call(self, name: str, arguments: list[Any]) -> bool:
        """Call an export; False if it ended by a trap or an exception, after recording what it left behind."""
        function = self.exports[name]
        if self.attempt(f"{name!r}{describe(arguments)}", lambda: function(self.store, *arguments)):
            return True
        self.record_state()
        return False

    def attempt(self, what: str, action: Any) -> bool:
        """Do it and record how it ends; False if by a trap or an exception."""
        if self.choose_fuel is None:
            return self.record(what, action)
        self.store.set_fuel(choose_amount(self.choose_fuel))
        done = self.record(what, action)
        self.events[-1] += self.fuel_left()
        return done

    def fuel_left(self) -> str:
        """What events say about the fuel."""
        return "" if self.choose_fuel is None else f", fuel {self.store.get_fuel()}"

    def record(self, what: str, action: Any) -> bool:
        try:
            try:
                _arm(self.call_seconds)
                result = action()
            finally:
                _arm(0)
        except Interrupted:
            _arm(0)
            self.events.append(f"{what}: interrupted")
        except self.api.Trap as trap:
            name = trap.trap_code.name
            self.events.append(f"{what}: trap {TRAP_ALIASES.get(name, name)}{self.backtrace(trap)}")
        except HostError as error:
            self.events.append(f"{what}: HostError {error}")
        else:
            self.events.append(f"{what}: {describe(result)}")
            return True
        return False

    def backtrace(self, trap: Any) -> str:
        """What events say about the frames of a trap. Where in the innermost function is not compared: wasmtime takes a load for
        part of the operator that uses it."""
        if not self.backtraces or not trap.frames:
            return ""
        calls = [f"{frame.func_index} at {frame.module_offset:#x}" for frame in trap.frames[1:]]
        return f" in {', '.join([str(trap.frames[0].func_index), *calls])}"

    def record_state(self) -> None:
        """Contents of exported memories, globals and tables."""
        for export in self.module.exports:
            item, kind = self.exports[export.name], export.type
            if isinstance(kind, self.api.MemoryType):
                data = item.read(self.store, 0, item.data_len(self.store))
                self.events.append(f"memory {export.name!r}: {len(data)} {hashlib.sha1(data).hexdigest()}")
            elif isinstance(kind, self.api.GlobalType):
                self.events.append(f"global {export.name!r}: {describe(item.value(self.store))}")
            elif isinstance(kind, self.api.TableType):
                size = item.size(self.store)
                values = [describe(item.get(self.store, index)) for index in range(size)]
                self.events.append(f"table {export.name!r}: {size} {values}")

    def make_import(self, index: int, item: Any, choose: random.Random) -> Any:
        api, kind = self.api, item.type
        if isinstance(kind, api.FuncType):
            return api.Func(self.store, kind, self.make_host_function(index, [str(result) for result in kind.results]))
        if isinstance(kind, api.GlobalType):
            return api.Global(self.store, kind, choose_value(str(kind.content), choose))
        if isinstance(kind, api.MemoryType):
            return api.Memory(self.store, kind)
        return api.Table(self.store, kind, None)

    def make_host_function(self, index: int, results: list[str]) -> Any:
        """A function that records its arguments and returns values that depend on how often it was called."""

        def host(*arguments: Any) -> Any:
            self.host_calls += 1
            choose = random.Random(f"{self.seed} {index} {self.host_calls}")
            self.events.append(f"host function {index}{describe(arguments)}{self.fuel_left()}")
            if choose.random() < 0.05:
                raise HostError(f"{index} at call {self.host_calls}")
            values = [choose_value(result, choose) for result in results]
            return values[0] if len(values) == 1 else values or None

        return host
