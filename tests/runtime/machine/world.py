"""A small world around a machine for tests: one instance context, a memory, hand-assembled functions."""

from __future__ import annotations

import ctypes
import struct
import threading
import time
from collections.abc import Callable
from weakref import ref

from brolga.jit import builtins
from brolga.jit.code import RELOC_FUNC, RELOC_TRAP, CompiledFunction, Relocation
from brolga.jit.vmctx import (
    CTX_ACTIVATION,
    CTX_BUILTINS,
    CTX_FIXED_SIZE,
    CTX_MEMORY0_BASE,
    CTX_MEMORY0_RECORD,
    FUNC_CODE,
    FUNC_SELF,
    FUNC_SIGNATURE,
    FUNC_VMCTX,
)
from brolga.jit.wasm.types import F32, F64, I32, I64, FuncType
from brolga.runtime.machine import (
    CTX_DATA_SEGMENTS,
    CTX_MEMORIES,
    HostFunction,
    Machine,
    Site,
    frames_of,
    machine,
    signature_numbers,
)
from brolga.runtime.machine import machine as get_machine
from brolga.runtime.machine.assembler import assemble

PAGE = 65536

i32_i32 = FuncType((I32,), (I32,))
i64_i64 = FuncType((I64,), (I64,))
nothing = FuncType((), ())


def u64(address: int) -> ctypes.c_uint64:
    return ctypes.c_uint64.from_address(address)


class WasmTrap(Exception):
    def __init__(self, code: int, sites: list[Site], address: int, timed_out: bool) -> None:
        super().__init__(code)
        self.code = code
        self.address = address
        self.owners = [owner for owner, *_ in sites]
        self.frames = [(frame.func, frame.offset) for frame in frames_of(sites)]


def function(
    index: int,
    text: str,
    frames: dict[str, int] | None = None,
    traps: dict[str, int] | None = None,
    calls: dict[str, int] | None = None,
    locations: dict[str, int] | None = None,
) -> CompiledFunction:
    """A compiled function from assembly. Labels are defined in the text as `name:`; `frames` gives the frame size from a label on,
    `traps` the trap code at a label, `locations` the wasm offset from a label on. `calls` maps labels of `call 0`
    instructions (5 bytes) to function indices, -1 being the trap routine."""
    names = sorted({*(frames or {}), *(traps or {}), *(calls or {}), *(locations or {})} - {"start"})
    table = "".join(f"\n.quad {name}" for name in names)
    code = assemble(
        f"start:\n{text}\n.align 8\n{table}" if names else text, 0, {}
    )  # keystone must not run on two threads
    values = struct.unpack(f"<{len(names)}Q", code[len(code) - 8 * len(names) :])
    code = code[: len(code) - 8 * len(names)]
    at = {"start": 0, **dict(zip(names, values))}
    result = CompiledFunction(index, code, len(code))
    result.frame_offsets = sorted(at[name] for name in frames or {})
    result.frame_sizes = [size for _, size in sorted((at[name], size) for name, size in (frames or {}).items())]
    result.trap_offsets = sorted(at[name] for name in traps or {})
    result.trap_codes = [code for _, code in sorted((at[name], code) for name, code in (traps or {}).items())]
    result.source_offsets = sorted(at[name] for name in locations or {})
    result.source_locs = [loc for _, loc in sorted((at[name], loc) for name, loc in (locations or {}).items())]
    for name, target in (calls or {}).items():
        kind = RELOC_TRAP if target < 0 else RELOC_FUNC
        result.relocations.append(Relocation(at[name] + 1, kind, max(target, 0)))
    return result


class World:
    """One store with one instance of one module, whose functions are `functions`."""

    def __init__(
        self,
        functions: list[CompiledFunction],
        platform: str | Machine = "linux",
        eager: bool = True,
        memory: int = PAGE,
        builtin: Callable[..., int | None] | None = None,
    ) -> None:
        self.machine = get_machine(platform) if isinstance(platform, str) else platform
        self.state = self.machine.new_state()
        self.functions = functions
        self.compiled: list[int] = []
        this = ref(self)

        def compile(func: int) -> CompiledFunction:
            world = this()
            assert world is not None
            return world.compile(func)

        self.space = self.machine.new_code_space(0, len(functions), compile, self)
        self._code = self.space.hold()
        self.memory = self.machine.new_memory(memory, 16 * PAGE)
        self.builtins = self.machine.new_builtins(
            [None if name in _NATIVE else builtin or _refuse for name in builtins.BUILTIN_NAMES]
        )
        self._context = (ctypes.c_uint64 * (CTX_FIXED_SIZE // 8 + 8))()
        self.vmctx = ctypes.addressof(self._context)
        self._memories = (ctypes.c_uint64 * 1)(self.memory.record)
        self.data = ctypes.create_string_buffer(b"0123456789", 10)
        self.segments = (ctypes.c_uint64 * 2)(ctypes.addressof(self.data), 10)
        u64(self.vmctx + CTX_ACTIVATION).value = self.state.address
        u64(self.vmctx + CTX_MEMORY0_RECORD).value = self.memory.record
        u64(self.vmctx + CTX_MEMORY0_BASE).value = self.memory.base
        u64(self.vmctx + CTX_BUILTINS).value = self.builtins.address
        u64(self.vmctx + CTX_MEMORIES).value = ctypes.addressof(self._memories)
        u64(self.vmctx + CTX_DATA_SEGMENTS).value = ctypes.addressof(self.segments)
        self._keep: list[object] = []
        if eager:
            self.space.install_all(functions)

    def compile(self, func: int) -> CompiledFunction:
        self.compiled.append(func)
        return self.functions[func]

    def record(self, func: int, type: FuncType) -> int:
        record = (ctypes.c_uint64 * 4)()
        address = ctypes.addressof(record)
        u64(address + FUNC_CODE).value = self.space.pad(func)
        u64(address + FUNC_VMCTX).value = self.vmctx
        (number,), hold = signature_numbers([type])
        u64(address + FUNC_SIGNATURE).value = number
        u64(address + FUNC_SELF).value = address
        self._keep += [record, hold]
        return address

    def call(self, func: int, type: FuncType, *args: int) -> list[int]:
        return self.machine.call_raw(self.record(func, type), type, args)

    def import_function(
        self, type: FuncType, function: Callable[..., object], slot: int = 0, raw: bool = False
    ) -> HostFunction:
        """A host function; its record's code and context are put at vmctx + 64 + 16 * slot for `call_import`."""
        host = self.machine.new_host_function(self.state, self, type, function, raw)
        u64(self.vmctx + CTX_FIXED_SIZE + 16 * slot).value = u64(host.record + FUNC_CODE).value
        u64(self.vmctx + CTX_FIXED_SIZE + 16 * slot + 8).value = u64(host.record + FUNC_VMCTX).value
        self._keep.append(host)
        return host


def when_running(world: World, action: Callable[[], object], delay: float = 0.02) -> threading.Thread:
    """Start a thread that does something a while after wasm of this world was entered."""

    def wait() -> None:
        while not world.state.running:
            time.sleep(0.001)
        time.sleep(delay)
        action()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


_NATIVE = ("memory_fill", "memory_copy", "memory_init", "interrupt")


def _refuse(*args: int) -> int:
    raise AssertionError("no such builtin in this test")


def call_import(slot: int = 0) -> str:
    """What compiled code does to call an import: switch context, call, switch back (rax is scratch, rbp keeps r15)."""
    return f"""
    mov rbp, r15
    mov rax, [r15 + {CTX_FIXED_SIZE + 16 * slot}]
    mov r15, [r15 + {CTX_FIXED_SIZE + 16 * slot + 8}]
    call rax
after_import{slot}:
    mov r15, rbp
    """


def bits_f32(value: float) -> int:
    return int(struct.unpack("<I", struct.pack("<f", value))[0])


def bits_f64(value: float) -> int:
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


__all__ = ["F32", "F64", "I32", "I64", "machine"]
