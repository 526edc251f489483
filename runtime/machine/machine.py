"""The machine: everything of one platform."""

from __future__ import annotations

import atexit
import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from struct import Struct
from typing import Final

from brolga.ir import types as ir_types
from brolga.ir.errors import ClosedError, WasmtimeError
from brolga.jit import builtins
from brolga.jit.cache_format import digest
from brolga.jit.code import CompiledFunction
from brolga.jit.settings import (
    BOUNDS_EXPLICIT,
    BOUNDS_GUARD,
    MEMORY_BASE_GS,
    MEMORY_BASE_REGISTER,
    Settings,
)
from brolga.jit.wasm.types import I32, I64, FuncType

from ..platform.c_calls import refused, typed
from ..platform.interface import Platform, PlatformError
from ..platform.linux import LinuxPlatform
from . import cpu
from . import layout as L
from .arena import CodeArena
from .bounded_memory import BoundedMemory
from .calls import call_layout, read_results, write_args
from .changes import Apply
from .code import CodeSpace, compile_pad
from .compiling import compile_for
from .entry import slow_call
from .entry_layout import KINDS
from .fault_handlers import FaultHandlers
from .forking import forget_imports
from .host import HostFunction, builtin_dispatch
from .late import import_late
from .lifetime import Unique, keep_forever
from .memory import RESERVATION, ClosedMemory, CopiedMemory, MappedMemory, MemoryBlock, ReservationPool, ReservedMemory
from .pages import CLOSED_MESSAGE, enable_views
from .preassembled import SHELF, OutOfReachError, link
from .stacks import StackPool
from .state import StoreState, abandon_activations, forget_activations, in_use, initial_state, request_end_of_all
from .threads import ThreadRecords
from .traps import end_of_thread, ends_with_interpreter, note_end_of_interpreter, refuse_entry, report_passing, trap
from .variant import Variant
from .watchdog import POLL_SECONDS, Watchdog

# Gives text and symbols of a routine; None: there is none.
Source = Callable[[], tuple[str, dict[str, object]] | None]

_u32 = ctypes.c_uint32.from_address
_u64 = ctypes.c_uint64.from_address

PATIENCE_WITH_MAKERS: Final = 2.0  # seconds: much more than a machine takes
EXIT_PATIENCE: Final = 2.0  # seconds: longer than any host routine or page fault keeps a thread

_C_API: Final = (
    "PyBuffer_FillInfo",
    "PyErr_CheckSignals",
    "PyErr_Clear",
    "PyErr_Fetch",
    "PyErr_NormalizeException",
    "PyErr_Occurred",
    "PyErr_Restore",
    "PyErr_SetObject",
    "PyErr_SetString",
    "PyEval_RestoreThread",
    "PyEval_SaveThread",
    "PyException_SetTraceback",
    "PyFloat_FromDouble",
    "PyList_New",
    "PyList_SetItem",
    "PyLong_AsLong",
    "PyLong_AsUnsignedLongLong",
    "PyLong_FromLong",
    "PyLong_FromUnsignedLong",
    "PyLong_FromUnsignedLongLong",
    "PyObject_CallNoArgs",
    "PyObject_Vectorcall",
    "Py_DecRef",
    "Py_NewRef",
)
_C_LIBRARY: Final = ("raise", "signal")
_THUNK_SIZE: Final = 16
_THUNK: Final = Struct("<6sQ2x")
_JMP_NEXT_WORD: Final = b"\xff\x25\0\0\0\0"
_OBJECTS: Final[dict[str, object]] = {
    "None": None,
    "PyLong_Type": int,
    "PyFloat_Type": float,
    "ClosedError": ClosedError,
    "WasmtimeError": WasmtimeError,
}
# Those of `routines` that all machines have, in an order in which each may refer to those before it, and those for signals.
_ROUTINES: Final = (
    *("WAKE", "ATTACH", "EXIT_FAILED", "LEAVE_OUT_OF_ORDER", "RETURN_OUT_OF_ORDER", "EXIT_RAISED", "TRAP_EXIT", "NO_STACK", "BUILTIN_TRAP", "TRAP_ROUTINE"),
    *("LAZY_COMPILE", "SUSPEND", "BUILTIN", "HOST", "RAW_ENTRY", "SLOW_CALL"),
    *("CHANGE", "GETBUFFER_OF_BLOCK", "RELEASEBUFFER_OF_BLOCK"),
)
# The classes of memories' pages.
_BLOCKS: Final = (ReservedMemory, BoundedMemory, MappedMemory, CopiedMemory, ClosedMemory)
_SIGNAL_ROUTINES: Final = (
    "SAFEPOINT",
    "DIVERSION_HANDLER",
    "PYTHON_HANDLER",
    "FAULT_HANDLER",
    "MEND_HANDLERS",
    "WATCHDOG",
)
_OUT_OF_ORDER: Final = ctypes.create_string_buffer(
    b"calls of a thread must end last in, first out: another greenlet has entered wasm and not left it"
)
_IR_TO_WASM: Final = {ir_types.I32: I32, ir_types.I64: I64}


class Machine(Unique):
    """Code arena, routines and signal handling of one platform. There is one per platform and process: see `machine`."""

    def __init__(self, platform: Platform) -> None:
        self.platform: Final = platform
        self.name: Final = platform.name
        self.in_use = False  # whether anything leads to its routines
        self.arena: Final = CodeArena(platform)
        self._keep: list[object] = []  # what machine code refers to
        keep_forever(self)
        cells = (ctypes.c_uint64 * (L.CELL_SIZE // 8))()
        self._keep.append(cells)
        self._cells = ctypes.addressof(cells)
        _u32(self._cells + L.CELL_PID).value = os.getpid()
        self.threads: Final = ThreadRecords(platform, self._cells)
        self._watchdog: Final = Watchdog(platform, self._cells, self.threads)
        self.initial_state: Final = initial_state(self.threads.nobody)
        self.stacks: Final = StackPool(platform)  # of calls that can be suspended
        self._run_fiber: Callable[[int], int] | None = None
        self._reservations = self._reservation_pool() if platform.reservations else None
        self._addresses: dict[str, int] = {  # what texts may name
            "CELLS": self._cells,
            "FUNCTIONS_START": self.arena.functions,
            "FUNCTIONS_END": self.arena.end,
            "OUT_OF_ORDER_MESSAGE": ctypes.addressof(_OUT_OF_ORDER),
            "CLOSED_MESSAGE": ctypes.addressof(CLOSED_MESSAGE),
            **{name: id(thing) for name, thing in _OBJECTS.items()},
        }
        self._add_thunks()
        self._add_hooks()
        self._settings = ""  # what routines depend on besides their names
        # The rest of what texts may name. None: not yet wanted.
        self._symbols: dict[str, object] | None = {}
        cpuid = self.routine("cpuid", lambda: (cpu.CPUID, {}))
        self.cpu: Final = cpu.Cpu(cpuid, self.routine("xgetbv", lambda: (cpu.XGETBV, {})))
        handlers = self._handlers = FaultHandlers(platform) if platform.signals else None
        if handlers is not None:
            self._addresses["HANDLERS"] = ctypes.addressof(handlers.cells)
            self._addresses["CPYTHON_HANDLER"] = handlers.cpython_handler() or (1 << 64) - 1
        signal = handlers.diversion_signal if handlers is not None else 0
        self._variant: Final = Variant(platform, self._reservations is not None, self.cpu, signal)
        self._settings = digest(f"{self._variant.describe()} {_sizes(self._addresses)}".encode()).hex()
        self._symbols = None
        self._add_routines()
        self._native_builtins = self._add_native_builtins()
        if handlers is not None:
            self._add_signals(handlers)
        self._enter = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(self._raw_entry)
        self.apply: Final[Apply] = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(self._addresses["CHANGE"])
        self.in_use = True
        self.arena.keep()
        if handlers is not None:
            handlers.install(self._addresses["FAULT_HANDLER"], self._addresses["DIVERSION_HANDLER"])
            self._mend()
        enable_views(_BLOCKS, self._addresses["GETBUFFER_OF_BLOCK"], self._addresses["RELEASEBUFFER_OF_BLOCK"])

    # --- Machine code ---------------------------------------------------------------------------------------------------

    def emit(self, text: str, symbols: dict[str, object] | None = None, name: str = "") -> int:
        """Assemble a routine for good. Returns its address. With a `name`, which says all that text and symbols depend on but for
        addresses, it is kept for later processes."""
        import_late(f"{__package__}.assembler", f"{__package__}.routines", "keystone")  # not wanted if all is there
        from .assembler import assemble
        from .routines import symbols_of

        if self._symbols is None:
            self._symbols = symbols_of(self._variant)
        addresses = {known: hex(address) for known, address in self._addresses.items()}
        table = {**self._symbols, **addresses, **(symbols or {})}
        return self._place(lambda address: assemble(text, address, table, name))

    def _place(self, code_for: Callable[[int], bytes]) -> int:
        """Put code in its place, for good, given what makes the code for an address. Returns the address."""
        guess = self.arena.next_stub()
        code = code_for(guess)
        address = self.arena.reserve_stub(len(code))
        if address != guess:
            code = code_for(address)
        self.arena.write(address, code)
        return address

    def routine(self, name: str, source: Source, addresses: dict[str, int] | None = None) -> int:
        """A routine that earlier processes may have kept under its name, which says all that it depends on. Returns its address; 0 if
        there is none. `addresses`: what its text may name in addition."""
        name = f"{self._settings} {name}"
        known = self._addresses
        if addresses:
            known = {**known, **addresses}
            name += " " + _sizes(addresses)
        kept = SHELF.find(name)
        if kept is not None:
            try:
                return self._place(lambda address: link(kept, known, address))
            except OutOfReachError:
                name = ""
        found = source()
        if found is None:
            return 0
        text, symbols = found
        if addresses:
            symbols = {**symbols, **{known: hex(address) for known, address in addresses.items()}}
        return self.emit(text, symbols, name)

    def _add_thunks(self) -> None:
        """C functions are too far for a rel32: each gets a `jmp [rip]; address` within reach."""
        start = self.arena.reserve_stub(_THUNK_SIZE * (len(_C_API) + len(_C_LIBRARY)))
        thunks: list[bytes] = []
        # ctypes has no way to an address that does not lead through an object for each function.
        find = ctypes.CDLL(None).dlsym
        find.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        find.restype = ctypes.c_void_p
        look_up = typed(find)
        for name in (*_C_API, *_C_LIBRARY):
            address = look_up(ctypes.pythonapi._handle, name.encode())
            if not address:
                raise PlatformError(f"there is no {name} in this process")
            self._addresses[name] = start + _THUNK_SIZE * len(thunks)
            thunks.append(_THUNK.pack(_JMP_NEXT_WORD, address))
        self.arena.write(start, b"".join(thunks))

    def _add_hooks(self) -> None:
        hooks = {
            "HOOK_ATTACH": self._attach,
            "HOOK_TRAP": trap,
            "HOOK_PASSING": report_passing,
            "HOOK_COMPILE": self._compile_pad,
            "HOOK_WAKE": self._watchdog.wake,
            "HOOK_SLOW_CALL": slow_call,
        }
        for name, hook in hooks.items():
            self._keep.append(hook)
            self._addresses[name] = id(hook)

    def _add(self, name: str) -> int:
        """One of the routines of `routines`, which later ones may name."""
        address = self._addresses[name] = self.routine(name, partial(_source, name, self._variant))
        return address

    def _add_routines(self) -> None:
        """In an order in which each may refer to those before it."""
        for name in _ROUTINES:
            self._add(name)
        addresses = self._addresses
        self._trap_routine = addresses["TRAP_ROUTINE"]
        self._lazy_compile = addresses["LAZY_COMPILE"]
        self.host_entry = addresses["HOST"]
        self._raw_entry = addresses["RAW_ENTRY"]
        self._slow_call = addresses["SLOW_CALL"]
        self._room_kept = (self.arena.functions - self.arena.start) // 4
        self._entries: list[dict[FuncType, int]] = [{} for _ in range(KINDS)]
        self._host_calls: dict[FuncType, int] = {}
        self._builtin_thunks: dict[int, int] = {}

    def _add_native_builtins(self) -> dict[int, int]:
        """Their addresses, by number. Those of `bulk` are in one piece, where signals divert threads as in compiled code."""
        if not self.platform.signals:
            self._add("POLL_IN_BULK")
        found = {builtins.INTERRUPT_POLL: self._add("INTERRUPT_POLL")}
        start = self.arena.next_stub()
        for number in (builtins.MEMORY_FILL, builtins.MEMORY_COPY, builtins.MEMORY_INIT):
            found[number] = self._add(builtins.BUILTIN_NAMES[number].upper())
        self._addresses["BULK_START"], self._addresses["BULK_END"] = start, self.arena.next_stub()
        return found

    # Routines by signature take a millisecond to assemble, so they are made when a function has been called a few times, and used
    # at once by functions of the same type that are made later.

    def entry_code(self, type: FuncType, kind: int, make: bool = False) -> int:
        """The vectorcall function for entry points of this type: the slow one as long as nobody wanted to `make` the fast one."""
        known = self._entries[kind]
        code = known.get(type, 0)
        if make and not code:
            code = self._make_fast(known, type, f"entry {kind} ", partial(_entry_source, type, kind))
        return code or self._slow_call

    def host_code(self, type: FuncType, make: bool = False) -> int:
        """The fast routine for host functions of this type, or 0."""
        code = self._host_calls.get(type, 0)
        if make and not code:
            code = self._make_fast(self._host_calls, type, "host ", partial(_host_source, type))
        return code

    def _make_fast(self, known: dict[FuncType, int], type: FuncType, name: str, source: Source) -> int:
        """The address, or 0 if there is none: the slow routines serve all signatures. They do so where code makes more types than
        there is room for, of which the last quarter is kept for other routines, without memory, and when the interpreter goes down,
        and what assembles is not there yet."""
        if self.arena.stub_room() < self._room_kept:
            return 0
        try:
            address = self.routine(f"{name}{type}", source)
        except (MemoryError, ImportError):
            return 0
        if address:
            known[type] = address
        return address

    def _add_signals(self, handlers: FaultHandlers) -> None:
        for name in _SIGNAL_ROUTINES:
            self._add(name)
        self._watchdog.code = self._addresses["WATCHDOG"]
        self.threads.signals += handlers.signals
        self._mend: Callable[[], None] = ctypes.PYFUNCTYPE(None)(self._addresses["MEND_HANDLERS"])
        source = partial(_after_change, handlers.signal_set)
        handlers.watch(lambda function: self.routine("after change", source, {"CHANGING_FUNCTION": function}))

    # --- Threads and interruption ---------------------------------------------------------------------------------------

    def _attach(self, state: StoreState) -> None:
        """Called by an entry whose thread is not the one that the state has seen last, and where entries are refused."""
        self.arena.check_process()
        if ends_with_interpreter():
            raise end_of_thread()
        record = self.threads.current()
        if self.threads.end_disorder(record):
            forget_activations(record)
        self._watchdog.start()
        while True:
            claim = state.check_claim()
            # From here on nothing is called: behind each call another thread may get the GIL, and attach itself, claim the store or
            # close it.
            if state.refusal:
                refuse_entry(state.refusal)
            if state.suspended is not None:
                raise WasmtimeError("the store is busy: one of its calls waits for an async host function")
            if state.activation and state.thread.value != record:
                raise in_use()
            if state.claimed_by is claim:
                state.thread.value = record
                state.entry_thread.value = record
                return

    def kick(self, record: int) -> None:
        """Make the thread of a record look at the requests of its activation state, if it is in wasm."""
        if self._handlers is not None and _u64(record + L.THREAD_STATE).value:
            self.platform.signal_thread(_u32(record + L.THREAD_ID).value, self._handlers.diversion_signal)

    def close_entries(self) -> None:
        """At exit: from now on only the main thread may enter wasm from outside."""
        for record in self.threads.all():
            _u64(record + L.THREAD_FS).value = 0

    def take_first_place(self) -> None:
        """Make our signal handlers the first again if somebody has replaced them. Call it at each instantiation."""
        if self._handlers is not None:
            self._mend()

    def after_fork_in_child(self) -> None:
        _u32(self._cells + L.CELL_PID).value = os.getpid()
        goes_on = self.threads.after_fork_in_child()
        self._watchdog.after_fork_in_child()
        try:
            self.arena.check_process()
            if goes_on:  # on the way back from a host function nobody else would start it
                self._watchdog.start()
        except PlatformError:  # nothing that is in wasm may go on there
            request_end_of_all()

    # --- What the embedding API makes ------------------------------------------------------------------------------------

    def settings(self, opt_level: int = 2, features: frozenset[str] | None = None, off: int = 0) -> Settings:
        """Settings for code that shall run here. `features` None: all that the CPU has. `off`: transformations that are
        switched off."""
        platform = self.platform
        return Settings(
            memory_base=MEMORY_BASE_GS if self._variant.gs else MEMORY_BASE_REGISTER,
            bounds=BOUNDS_GUARD if self._reservations is not None else BOUNDS_EXPLICIT,
            signals=platform.signals,
            stack_guard=platform.stacks,
            poll=not platform.signals,
            opt_level=opt_level,
            features=self.cpu.features if features is None else features,
            off=off,
        )

    def new_state(self) -> StoreState:
        """The activation state of a new store."""
        return StoreState(self)

    def _compile_pad(self, number: int, state: StoreState) -> int:
        return compile_for(state, partial(compile_pad, self.arena, number))

    def new_code_space(
        self, first: int, count: int, compile: Callable[[int], CompiledFunction], owner: object
    ) -> CodeSpace:
        """Pads for functions `first` .. `first + count - 1` (the defined ones of a module, by index in its index space).

        `compile(func)` is called on the first call of a function that is not installed; it must not refer to what holds the code
        (`CodeSpace.hold`). `owner` appears in backtraces; it is referred to weakly if it can be.
        """
        return CodeSpace(self.arena, self._lazy_compile, self._trap_routine, first, count, compile, owner)

    def _reservation_pool(self) -> ReservationPool | None:
        """None if there is no address space for memories with guard areas."""
        pool = ReservationPool(self.platform)
        try:
            self.platform.unreserve(pool.reserve(), RESERVATION)
        except PlatformError:
            return None
        return pool

    def new_memory(self, length: int, maximum: int) -> MemoryBlock:
        """A memory of `length` zero bytes that can grow to `maximum` bytes, if the system has so many. MemoryError if it refuses."""
        if self._reservations is None:
            kind = MappedMemory if self.platform.remap else CopiedMemory
            return kind(self.platform, self.apply, length, maximum)
        try:
            return ReservedMemory(self._reservations, self.apply, length, maximum)
        except PlatformError:
            return BoundedMemory(self.platform, self.apply, length, maximum)

    def new_host_function(
        self, state: StoreState, store: object, type: FuncType, function: Callable[..., object], raw: bool = False
    ) -> HostFunction:
        """A function record through which wasm of `state`'s store calls a Python function.

        It is called with converted values and its result is converted: None for no result, a value for one, a sequence for
        several; TypeError through wasm if it does not fit. `store` is handed to the reference converters only. With `raw`,
        values are raw bits both ways, without checks.
        """
        return HostFunction(self, state, store, type, function, raw)

    def new_builtins(self, functions: Sequence[Callable[..., int | None] | None]) -> BuiltinTable:
        """A table for CTX_BUILTINS. `functions[n]` serves builtin n of `brolga.jit.builtins`: called with the address of the
        caller's vmctx and the raw arguments, returns the raw result. None where the native routine serves: memory_fill,
        memory_copy, memory_init (they use CTX_MEMORIES and CTX_DATA_SEGMENTS), interrupt."""
        return BuiltinTable(self, functions, self._native_builtins)

    def builtin_thunk(self, number: int) -> int:
        """The routine that serves this builtin, whatever the table: it finds there what is to be called."""
        address = self._builtin_thunks.get(number)
        if address is None:
            address = self._builtin_thunks[number] = self.routine(f"builtin {number}", partial(_builtin_thunk, number))
        return address

    def call_raw(self, record: int, type: FuncType, args: Sequence[int], deadline: int = 0) -> list[int]:
        """Call the function whose record is at address `record`, through ctypes: raw bits in, raw bits out. `deadline`: address of the
        call's deadline record.

        Traps and exceptions of host functions are raised.
        """
        layout = call_layout(type)
        buffer = write_args(layout, list(args))
        buffer[L.CALL_DEADLINE // 8] = deadline
        try:
            self._enter(record, ctypes.addressof(buffer))
        except ctypes.ArgumentError as error:
            raise refused(error) from error
        return read_results(layout, buffer)

    def run_fiber(self, fiber: int) -> int:
        """Begin or go on with the call of the fiber record at this address: 0 if it has returned, 1 if it is suspended."""
        run = self._run_fiber
        if run is None:
            self._add("RESUMED")
            entry = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(self._add("FIBER_ENTRY"))
            run = self._run_fiber = entry
        try:
            return run(fiber)
        except ctypes.ArgumentError as error:
            raise refused(error) from error


def _sizes(addresses: dict[str, int]) -> str:
    """The assembler chooses encodings by the size of numbers."""
    return "".join([str((address >= 1 << 31) + (address >= 1 << 32)) for address in addresses.values()])


def _entry_source(type: FuncType, kind: int) -> tuple[str, dict[str, object]] | None:
    import_late(f"{__package__}.entry_code")
    from .entry_code import fast_entry, has_fast_entry

    return fast_entry(type, kind) if has_fast_entry(type) else None


def _host_source(type: FuncType) -> tuple[str, dict[str, object]] | None:
    import_late(f"{__package__}.host_code")
    from .host_code import fast_host_call, has_fast_host_call

    return fast_host_call(type) if has_fast_host_call(type) else None


def _source(name: str, variant: Variant) -> tuple[str, dict[str, object]]:
    import_late(f"{__package__}.routines")
    from .routines import text_of

    return text_of(name, variant), {}


def _after_change(signal_set: int) -> tuple[str, dict[str, object]]:
    from .handler_code import AFTER_CHANGE

    return AFTER_CHANGE, {"SIGNAL_SET": signal_set}


def _builtin_thunk(number: int) -> tuple[str, dict[str, object]]:
    import_late(f"{__package__}.routines")
    from .routines import builtin_thunk

    return builtin_thunk(number)


class BuiltinTable:
    """Addresses of the builtin routines, for CTX_BUILTINS. Keep it alive while a context points to it."""

    def __init__(
        self, machine: Machine, functions: Sequence[Callable[..., int | None] | None], native: dict[int, int]
    ) -> None:
        self._keep: list[object] = []
        # Addresses, then the host contexts of those that Python serves.
        self._table = (ctypes.c_uint64 * (2 * builtins.BUILTIN_COUNT))()
        self.address: Final = ctypes.addressof(self._table)
        for number in range(builtins.BUILTIN_COUNT):
            function = functions[number] if number < len(functions) else None
            if function is not None:
                self._table[number] = self._thunk(machine, number, function)
            elif number in native:
                self._table[number] = native[number]
            else:
                raise ValueError(f"no routine for the builtin {builtins.BUILTIN_NAMES[number]}")

    def _thunk(self, machine: Machine, number: int, function: Callable[..., int | None]) -> int:
        """Code that enters the generic routine with the builtin's own host context."""
        signature = builtins.BUILTIN_SIGNATURES[number]
        type = FuncType(
            tuple(_IR_TO_WASM[t] for t in signature.params), tuple(_IR_TO_WASM[t] for t in signature.results)
        )
        dispatch = builtin_dispatch(type, function)
        context = (ctypes.c_uint64 * (L.HOST_SIZE // 8))()
        _u64(ctypes.addressof(context) + L.HOST_DISPATCH).value = id(dispatch)
        self._keep += [dispatch, context]
        self._table[builtins.BUILTIN_COUNT + number] = ctypes.addressof(context)
        return machine.builtin_thunk(number)


_machines: dict[str, Machine] = {}
_making = threading.RLock()
_PLATFORMS: Final = ("linux", "minimal")


def machine(name: str = "linux") -> Machine:
    """The machine of the platform `name`, made on first use."""
    found = _machines.get(name)
    if found is None:
        _refuse_unknown_systems()
        if name not in _PLATFORMS:
            raise ValueError(f"platform {name!r} is none of {', '.join(_PLATFORMS)}")
        found = _make(name)
    return found


def _make(name: str) -> Machine:
    """Only one thread makes it. But a signal handler may come meanwhile and want it too, or wait for a thread that does: then it makes
    another, and the one that is ready first is used from then on."""
    lock = _making
    locked = lock.acquire(timeout=PATIENCE_WITH_MAKERS)
    try:
        found = _machines.get(name)
        if found is None:
            made = _new_machine(name)
            found = _machines.setdefault(name, made)
        return found
    finally:
        if locked:
            lock.release()


def _new_machine(name: str) -> Machine:
    """If that fails, it gives back what it has taken of the address space."""
    made = Machine.__new__(Machine)
    try:
        made.__init__(_platform(name))  # type: ignore[misc]
    except BaseException:
        if not getattr(made, "in_use", True):
            try:
                made.arena.give_up()
            except AttributeError:  # that was refused
                pass
        raise
    return made


def _platform(name: str) -> Platform:
    if name == "minimal":
        from ..platform.minimal import MinimalPlatform  # hardly ever wanted on Linux

        return MinimalPlatform()
    return LinuxPlatform()


def _refuse_unknown_systems() -> None:
    """Hand-written code relies on the registers, the thread pointer and the GIL of one kind of system."""
    if sys.platform != "linux" or os.uname().machine != "x86_64" or sys.implementation.name != "cpython":
        raise PlatformError("brolga needs CPython on x86-64 Linux")
    if "t" in sys.abiflags:
        raise PlatformError("brolga does not run on free-threaded CPython: its activations rely on the GIL")


def any_machine() -> Machine:
    """A machine that is there already, or else the usual one."""
    return next(iter(_machines.values()), None) or machine()


def _after_fork_in_child() -> None:
    global _making
    _making = threading.RLock()
    forget_imports()
    machines = list(_machines.values())
    if machines:
        abandon_activations(machines[0].threads.nobody, [machine.threads.known() for machine in machines])
    for machine in machines:
        machine.after_fork_in_child()


def _at_exit() -> None:
    """No thread shall be in wasm when the interpreter drops the contexts, tables and functions of its stores. The main thread still
    may, in finalisers."""
    machines = list(_machines.values())
    note_end_of_interpreter()
    for machine in machines:
        machine.close_entries()
    request_end_of_all()  # those in host functions end when they are back
    patience = EXIT_PATIENCE
    while patience > 0 and (
        records := [(machine, record) for machine in machines for record in machine.threads.in_wasm()]
    ):
        request_end_of_all()
        for machine, record in records:
            machine.kick(record)
        time.sleep(POLL_SECONDS)  # lets them have the GIL
        patience -= POLL_SECONDS


os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(_at_exit)
