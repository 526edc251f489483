"""Runs functions in IR as machine code: lower, allocate, emit, then call them in executable pages; and in the interpreter, likewise.

A `Program` is a list of functions that call each other by index. Both sides see the same memory 0 (one page, then nothing), the same
instance context, and a second context for calls through function records. An outcome is comparable: results or trap, memory, contexts.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
from types import TracebackType
from typing import Final, Self

from brolga.ir.errors import InterpreterTrap
from brolga.ir.floats import is_nan
from brolga.ir.function import Function
from brolga.ir.interpreter import Environment, interpret
from brolga.ir.parser import parse_function
from brolga.ir.trap_codes import MEMORY_OUT_OF_BOUNDS, STACK_OVERFLOW
from brolga.ir.types import F32, F64, TYPE_MASK
from brolga.ir.verifier import verify
from brolga.jit.code import RELOC_FUNC, TRAP_CALL_SIZE, CompiledFunction
from brolga.jit.compile import compile_ir
from brolga.jit.debug import Knobs
from brolga.jit.settings import BOUNDS_EXPLICIT, CPU_FEATURES, MEMORY_BASE_GS, MEMORY_BASE_REGISTER, Settings
from brolga.jit.vmctx import CTX_ACTIVATION, CTX_BUILTINS, CTX_FIXED_SIZE, CTX_MEMORY0_BASE, CTX_MEMORY0_RECORD
from brolga.jit.x64.abi import ARG_GPRS, ON_STACK, RESULT_GPRS, XMM0, assign_params, assign_results, stack_slots
from brolga.runtime.machine.assembler import assemble_text

ALL_FEATURES: Final = frozenset(CPU_FEATURES)
CHECKED: Final = Knobs({"BROLGA_VERIFY": "1"})

PAGE: Final = 4096
RESERVATION: Final = (1 << 33) + PAGE
CONTEXT_SIZE: Final = 512
FREE: Final = CTX_FIXED_SIZE  # where a test may put its own fields of the context
CODE_SIZE: Final = 1 << 22
STACK_WORDS: Final = 64

# Fields of the first context that only the harness uses, in the part reserved for the runtime.
SAVED_RSP: Final = 32
TRAP_PC: Final = 40

# What the thunk copies in and out: 6 + 8 argument registers, results, saved registers that came back wrong, stack words.
GPR_ARGS, XMM_ARGS, GPR_RESULTS, XMM_RESULTS, CHANGED, WORD_COUNT, WORDS = 0, 48, 112, 144, 176, 184, 192

# thunk(code, context, block, memory base)
_THUNK: Final = f"""
    push rbx; push rbp; push r12; push r13; push r14; push r15
    push rdx
    mov r15, rsi; mov rax, rdi; mov r10, rdx; mov r14, rcx
    {{SET_GS}}
    mov [r15 + {SAVED_RSP}], rsp
    mov rcx, [r10 + {WORD_COUNT}]
    lea r11, [rcx * 8]
    sub rsp, r11
    lea rsi, [r10 + {WORDS}]
    mov rdi, rsp
    rep movsq
    mov rdi, [r10]; mov rsi, [r10 + 8]; mov rdx, [r10 + 16]; mov rcx, [r10 + 24]; mov r8, [r10 + 32]; mov r9, [r10 + 40]
    movsd xmm0, [r10 + 48]; movsd xmm1, [r10 + 56]; movsd xmm2, [r10 + 64]; movsd xmm3, [r10 + 72]
    movsd xmm4, [r10 + 80]; movsd xmm5, [r10 + 88]; movsd xmm6, [r10 + 96]; movsd xmm7, [r10 + 104]
    mov rbx, 0x1001; mov rbp, 0x1002; mov r12, 0x1003; mov r13, 0x1004
    call rax
    mov r10, [r15 + {SAVED_RSP}]
    mov r10, [r10]
    mov [r10 + {GPR_RESULTS}], rax; mov [r10 + {GPR_RESULTS} + 8], rdx
    mov [r10 + {GPR_RESULTS} + 16], rcx; mov [r10 + {GPR_RESULTS} + 24], rsi
    movsd [r10 + {XMM_RESULTS}], xmm0; movsd [r10 + {XMM_RESULTS} + 8], xmm1
    movsd [r10 + {XMM_RESULTS} + 16], xmm2; movsd [r10 + {XMM_RESULTS} + 24], xmm3
    sub rbx, 0x1001; sub rbp, 0x1002; sub r12, 0x1003; sub r13, 0x1004
    or rbx, rbp; or rbx, r12; or rbx, r13
    {{CHECK_BASE}}
    mov [r10 + {CHANGED}], rbx
    mov rcx, [r10 + {WORD_COUNT}]
    mov rsi, rsp
    lea rdi, [r10 + {WORDS}]
    rep movsq
out:
    mov rsp, [r15 + {SAVED_RSP}]
    add rsp, 8
    pop r15; pop r14; pop r13; pop r12; pop rbp; pop rbx
    ret
trap_call:
    sub qword ptr [rsp], {TRAP_CALL_SIZE}
trap:
    pop rax
    mov [r15 + {TRAP_PC}], rax
    jmp out
"""

# The builtin `interrupt` of these tests counts in the context's last word and destroys what the convention lets it destroy.
_POLL: Final = f"""
    inc qword ptr [r15 + {CONTEXT_SIZE - 8}]
    mov rax, -1; mov rcx, rax; mov rdx, rax; mov rsi, rax; mov rdi, rax; mov r8, rax; mov r9, rax; mov r10, rax; mov r11, rax
    movq xmm0, rax; movq xmm1, rax; movq xmm2, rax; movq xmm3, rax; movq xmm4, rax; movq xmm5, rax; movq xmm6, rax
    movq xmm7, rax; movq xmm8, rax; movq xmm9, rax; movq xmm10, rax; movq xmm11, rax; movq xmm12, rax; movq xmm13, rax
    movq xmm14, rax; movq xmm15, rax
    ret
"""

# A handler of SIGSEGV, SIGBUS, SIGFPE and SIGILL: a fault in the arena goes to `trap` with its pc; another one ends the process.
_HANDLER: Final = """
    mov rax, [rdx + 168]
    mov rcx, {START}
    sub rax, rcx
    cmp rax, {SIZE}
    jae elsewhere
    mov rax, [rdx + 168]
    mov rcx, [rdx + 160]
    sub rcx, 256
    mov [rcx], rax
    mov [rdx + 160], rcx
    mov rax, {TRAP}
    mov [rdx + 168], rax
    ret
elsewhere:
    int3
"""
_SIGNALS: Final = (4, 7, 8, 11)
_SA_FLAGS: Final = 0x4 | 0x40000000 | 0x08000000  # SIGINFO, NODEFER, ONSTACK

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]


class _SigAction(ctypes.Structure):
    _fields_ = [
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_ubyte * 128),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    ]


class Native:
    """Executable pages, memory 0, two contexts. A context manager: within it, faults in its code are traps."""

    def __init__(self) -> None:
        self.arena = mmap.mmap(-1, CODE_SIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self.start = ctypes.addressof(ctypes.c_char.from_buffer(self.arena))
        self.used = 0
        gs = "wrgsbase r14"
        check = "rdgsbase rcx; mov rdi, [r15 + 16]; sub rcx, rdi; or rbx, rcx"
        self.thunks = {
            True: self._put(_THUNK.format(SET_GS=gs, CHECK_BASE=check)),
            False: self._put(_THUNK.format(SET_GS="", CHECK_BASE="sub r14, [r15 + 16]; or rbx, r14")),
        }
        text = _THUNK.format(SET_GS="", CHECK_BASE="sub r14, [r15 + 16]; or rbx, r14")
        before_call, _, rest = text.partition("trap_call:")
        self.trap_routine = self.thunks[False] + len(assemble_text(before_call + "trap_call:", 0))
        after_call = rest.partition("trap:")[0]
        faulted = self.thunks[False] + len(assemble_text(f"{before_call}trap_call:{after_call}trap:", 0))
        self.poll = self._put(_POLL)
        handler = _HANDLER.format(START=self.start, SIZE=CODE_SIZE, TRAP=faulted)
        self.handler = self._put(handler)
        self.first_free = self.used
        self._old: list[_SigAction] = []

        base = _libc.mmap(None, RESERVATION, 0, 0x4022, -1, 0)  # private, anonymous, no reserve
        assert base not in (None, ctypes.c_void_p(-1).value)
        assert _libc.mprotect(ctypes.c_void_p(base), PAGE, 3) == 0
        self.base: int = base
        self.memory = (ctypes.c_char * PAGE).from_address(base)
        other = _libc.mmap(None, RESERVATION, 0, 0x4022, -1, 0)
        assert _libc.mprotect(ctypes.c_void_p(other), PAGE, 3) == 0
        self.other_base: int = other
        self.other_memory = (ctypes.c_char * PAGE).from_address(other)
        self.context = ctypes.create_string_buffer(CONTEXT_SIZE)
        self.other_context = ctypes.create_string_buffer(CONTEXT_SIZE)
        self.activation = ctypes.create_string_buffer(64)  # no stack limit, no interrupt
        self.builtins = (ctypes.c_uint64 * 64)()
        self.record = (ctypes.c_uint64 * 2)(base, PAGE)
        self.other_record = (ctypes.c_uint64 * 2)(other, PAGE)
        prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
        self.enter = {uses_gs: prototype(thunk) for uses_gs, thunk in self.thunks.items()}

    def _put(self, text: str) -> int:
        return self.place(assemble_text(text, 0))

    def place(self, code: bytes) -> int:
        address = self.start + self.used
        assert self.used + len(code) <= CODE_SIZE
        self.arena[self.used : self.used + len(code)] = code
        self.used += (len(code) + 63) & ~63
        return address

    def __enter__(self) -> Self:
        for signal in _SIGNALS:
            action, old = _SigAction(), _SigAction()
            action.handler = self.handler
            action.flags = _SA_FLAGS
            assert _libc.sigaction(signal, ctypes.byref(action), ctypes.byref(old)) == 0
            self._old.append(old)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for signal, old in zip(_SIGNALS, self._old, strict=True):
            _libc.sigaction(signal, ctypes.byref(old), None)
        self._old = []

    def reset(self, image: bytes, context: bytes) -> None:
        """Fill memory 0 and the free part of the context, and the other instance's likewise, complemented."""
        self.memory.raw = image
        self.other_memory.raw = image.translate(COMPLEMENT)
        self.context.raw = bytes(FREE) + context
        self.other_context.raw = bytes(FREE) + context.translate(COMPLEMENT)
        for ctx, record in ((self.context, self.record), (self.other_context, self.other_record)):
            struct.pack_into("<Q", ctx, CTX_ACTIVATION, ctypes.addressof(self.activation))
            struct.pack_into("<Q", ctx, CTX_MEMORY0_RECORD, ctypes.addressof(record))
            struct.pack_into("<Q", ctx, CTX_MEMORY0_BASE, record[0])
            struct.pack_into("<Q", ctx, CTX_BUILTINS, ctypes.addressof(self.builtins))

    def polls(self) -> int:
        """How often the builtin `interrupt` was called in the last run."""
        count: int = struct.unpack_from("<Q", self.context, CONTEXT_SIZE - 8)[0]
        return count

    def stack_pointer(self) -> int:
        """Where the last run began."""
        pointer: int = struct.unpack_from("<Q", self.context, SAVED_RSP)[0]
        return pointer


COMPLEMENT: Final = bytes(byte ^ 0xFF for byte in range(256))
IMAGE: Final = bytes((37 * i + 0x81) & 0xFF for i in range(PAGE))
CONTEXT_IMAGE: Final = bytes((91 * i + 5) & 0xFF for i in range(CONTEXT_SIZE - FREE))


class Program:
    """Functions by index; those from BUILTIN on are builtins. `fields` are 8-byte values put into the free part of the context:
    an offset, and a number, or ("code", function index), ("own", 0) or ("other", 0) for the contexts' addresses."""

    BUILTIN: Final = 1000

    def __init__(self, texts: list[str] | str, fields: dict[int, int | tuple[str, int]] | None = None) -> None:
        if isinstance(texts, str):
            texts = split_functions(texts)
        self.texts = texts
        self.functions: dict[int, Function] = {}
        for text in texts:
            function = parse_function(text)
            verify(function)
            self.functions[function.index] = function
        self.fields = fields or {}
        self.compiled: dict[int, CompiledFunction] = {}
        self.addresses: dict[int, int] = {}
        self.settings = Settings()

    def load(self, native: Native, settings: Settings, optimise: bool = True) -> None:
        """Compile all functions and place them in the arena, which is emptied before."""
        native.used = native.first_free
        self.settings = settings
        self.compiled = {}
        self.addresses = {}
        for text in self.texts:
            function = parse_function(text)
            self.compiled[function.index] = compile_ir(function, settings, CHECKED)
        pending: list[tuple[int, bytearray, CompiledFunction]] = []
        for index, compiled in self.compiled.items():
            address = native.place(compiled.code)
            self.addresses[index] = address
            pending.append((address, bytearray(compiled.code), compiled))
        for address, code, compiled in pending:
            for reloc in compiled.relocations:
                target = self.addresses[reloc.target] if reloc.kind == RELOC_FUNC else native.trap_routine
                struct.pack_into("<i", code, reloc.offset, target + reloc.addend - (address + reloc.offset))
            start = address - native.start
            native.arena[start : start + len(code)] = bytes(code)
        for number in range(64):
            native.builtins[number] = self.addresses.get(self.BUILTIN + number, native.poll)

    def context_image(self, native: Native) -> bytes:
        image = bytearray(CONTEXT_IMAGE)
        image[-8:] = bytes(8)
        for offset, value in self.fields.items():
            if isinstance(value, tuple):
                what, index = value
                if what == "code":
                    value = self.addresses[index]
                else:
                    value = ctypes.addressof(native.context if what == "own" else native.other_context)
            struct.pack_into("<Q", image, offset - FREE, value)
        return bytes(image)

    def run(self, native: Native, index: int, args: list[int]) -> tuple[object, ...]:
        """The outcome of the machine code."""
        function = self.functions[index]
        signature = function.signature
        native.reset(IMAGE, self.context_image(native))
        block = bytearray(WORDS + 8 * STACK_WORDS)
        params = assign_params(signature)
        results = assign_results(signature)
        stack_args = stack_slots(params)
        struct.pack_into("<Q", block, WORD_COUNT, stack_args + stack_slots(results))
        for bits, location in zip(args, params, strict=True):
            struct.pack_into("<Q", block, _argument_offset(location), bits)
        buffer = (ctypes.c_char * len(block)).from_buffer(block)
        settings = self.settings
        uses_gs = settings.memory_base == MEMORY_BASE_GS and settings.bounds != BOUNDS_EXPLICIT
        enter = native.enter[uses_gs]
        enter(self.addresses[index], ctypes.addressof(native.context), ctypes.addressof(buffer), native.base)
        pc = struct.unpack_from("<Q", native.context, TRAP_PC)[0]
        shown: list[object] = []
        if pc:
            shown.append(f"trap {self._trap_code(pc)}")
        else:
            changed = struct.unpack_from("<Q", block, CHANGED)[0]
            assert changed == 0, "a callee-saved register or the memory base was changed"
            for type, location in zip(signature.results, results, strict=True):
                offset = _result_offset(location, stack_args)
                bits = struct.unpack_from("<Q", block, offset)[0]
                if type in (F32, F64):
                    bits &= TYPE_MASK[type]
                shown.append("nan" if type in (F32, F64) and is_nan(type, bits) else bits)
        return (*shown, *native_state(native))

    def _trap_code(self, pc: int) -> int:
        for index, address in self.addresses.items():
            compiled = self.compiled[index]
            if address <= pc <= address + compiled.code_size:
                assert pc - address in compiled.trap_offsets, f"no trap is noted at offset {pc - address:#x}"
                return compiled.trap_codes[compiled.trap_offsets.index(pc - address)]
        raise AssertionError("trap outside of the functions")

    def interpret(self, native: Native, index: int, args: list[int]) -> tuple[object, ...]:
        """The outcome that it should have."""
        environment = Instance(self, native, False)
        environment.other = Instance(self, native, True)
        environment.other.other = environment
        function = self.functions[index]
        shown: list[object] = []
        try:
            for type, bits in zip(function.signature.results, interpret(function, args, environment), strict=True):
                shown.append("nan" if type in (F32, F64) and is_nan(type, bits) else bits)
        except InterpreterTrap as trap:
            shown = [f"trap {trap.code}"]
        except RecursionError:
            shown = [f"trap {STACK_OVERFLOW}"]
        return (*shown, *environment.state(), *environment.other.state())


def native_state(native: Native) -> tuple[bytes, ...]:
    """What can be compared of memories and contexts."""
    return (
        native.memory.raw,
        native.context.raw[FREE : CONTEXT_SIZE - 8],
        native.other_memory.raw,
        native.other_context.raw[FREE : CONTEXT_SIZE - 8],
    )


def _argument_offset(location: int) -> int:
    if location >= ON_STACK:
        return WORDS + 8 * (location - ON_STACK)
    if location >= XMM0:
        return XMM_ARGS + 8 * (location - XMM0)
    return GPR_ARGS + 8 * ARG_GPRS.index(location)


def _result_offset(location: int, stack_args: int) -> int:
    if location >= ON_STACK:
        return WORDS + 8 * (stack_args + location - ON_STACK)
    if location >= XMM0:
        return XMM_RESULTS + 8 * (location - XMM0)
    return GPR_RESULTS + 8 * RESULT_GPRS.index(location)


class Instance(Environment):
    """The interpreter's view of one of the two instances."""

    step_limit = 200_000

    def __init__(self, program: Program, native: Native, is_other: bool) -> None:
        self.program = program
        self.native = native
        memory, fields = IMAGE, program.context_image(native)
        if is_other:
            memory, fields = memory.translate(COMPLEMENT), fields.translate(COMPLEMENT)
        self.memory = bytearray(memory)
        self.fields = bytearray(fields)
        self.address = ctypes.addressof(native.other_context if is_other else native.context)
        self.other: Instance = self

    def state(self) -> tuple[bytes, ...]:
        return bytes(self.memory), bytes(self.fields[:-8])

    def memory_load(self, memory: int, address: int, size: int) -> int:
        if address + size > PAGE:
            raise InterpreterTrap(MEMORY_OUT_OF_BOUNDS)
        return int.from_bytes(self.memory[address : address + size], "little")

    def memory_store(self, memory: int, address: int, size: int, bits: int) -> None:
        if address + size > PAGE:
            raise InterpreterTrap(MEMORY_OUT_OF_BOUNDS)
        self.memory[address : address + size] = bits.to_bytes(size, "little")

    def context_address(self) -> int:
        return self.address

    def _find(self, address: int, size: int) -> tuple[bytearray, int]:
        for instance in (self, self.other):
            offset = address - instance.address - FREE
            if 0 <= offset and offset + size <= CONTEXT_SIZE - FREE:
                return instance.fields, offset
        raise AssertionError(f"access outside of the contexts' free parts: {address:#x}")

    def raw_load(self, address: int, size: int) -> int:
        fields, offset = self._find(address & TYPE_MASK[2], size)
        return int.from_bytes(fields[offset : offset + size], "little")

    def raw_store(self, address: int, size: int, bits: int) -> None:
        fields, offset = self._find(address & TYPE_MASK[2], size)
        fields[offset : offset + size] = bits.to_bytes(size, "little")

    def call(self, func: int, args: list[int]) -> list[int]:
        return interpret(self.program.functions[func], args, self)

    def call_builtin(self, number: int, args: list[int]) -> list[int]:
        return self.call(Program.BUILTIN + number, args)

    def call_ptr(self, code: int, vmctx: int, signature: int, args: list[int]) -> list[int]:
        (index,) = [index for index, address in self.program.addresses.items() if address == code]
        instance = self if vmctx == self.address else self.other
        assert vmctx == instance.address
        return interpret(self.program.functions[index], args, instance)


def split_functions(text: str) -> list[str]:
    """The functions of a text, each up to its closing brace at the start of a line."""
    return [part.strip() + "\n}\n" for part in text.split("\n}") if part.strip()]


PLATFORMS: Final[dict[str, Settings]] = {
    "gs": Settings(),
    "register": Settings(memory_base=MEMORY_BASE_REGISTER),
    "minimal": Settings(
        memory_base=MEMORY_BASE_REGISTER, bounds=BOUNDS_EXPLICIT, signals=False, stack_guard=False, poll=True
    ),
}


def settings_for(platform: str, features: frozenset[str] = ALL_FEATURES) -> Settings:
    base = PLATFORMS[platform]
    return Settings(base.memory_base, base.bounds, base.signals, base.stack_guard, base.poll, base.opt_level, features)
