"""Runs emitted functions: readable, writable, executable pages and a thunk between ctypes and the internal convention."""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import struct
from bisect import bisect_right

import capstone

from brolga.jit.code import RELOC_TRAP, TRAP_CALL_SIZE, CompiledFunction
from brolga.jit.settings import Settings
from brolga.jit.x64 import insts as x
from brolga.jit.x64.emit import emit
from brolga.jit.x64.inst import Amode, Inst
from brolga.jit.x64.insts import SHAPE_MEM, SHAPE_REG
from brolga.jit.x64.row import NO_SHAPE
from brolga.jit.x64.vcode import VCode
from brolga.regalloc.operand import FIRST_SPILL_SLOT, MOVE_COPY, Allocation, Code, MachineBlock, Move
from brolga.runtime.machine.assembler import assemble_text

cs = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)

# Offsets in the block of arguments and results.
GPR_ARGS, XMM_ARGS, GPR_RESULT, XMM_RESULT, TRAPPED_AT, BLOCK_SIZE = 0, 48, 112, 120, 128, 136

# thunk(function, context, block). Context: +0 activation, +8 and +16 what the trap routine needs.
THUNK = f"""
    push rbx; push rbp; push r12; push r13; push r14; push r15
    mov r15, rsi; mov rax, rdi; mov rbx, rdx
    mov [r15 + 8], rsp; mov [r15 + 16], rbx
    mov rdi, [rbx]; mov rsi, [rbx + 8]; mov rdx, [rbx + 16]; mov rcx, [rbx + 24]; mov r8, [rbx + 32]; mov r9, [rbx + 40]
    movsd xmm0, [rbx + 48]; movsd xmm1, [rbx + 56]; movsd xmm2, [rbx + 64]
    call rax
    mov [rbx + {GPR_RESULT}], rax
    movsd [rbx + {XMM_RESULT}], xmm0
out:
    pop r15; pop r14; pop r13; pop r12; pop rbp; pop rbx
    ret
trap:
    pop rax
    sub rax, {TRAP_CALL_SIZE}
    mov rsp, [r15 + 8]; mov rbx, [r15 + 16]
    mov [rbx + {TRAPPED_AT}], rax
    jmp out
"""


PTRACE_TRACEME, PTRACE_PEEKDATA, PTRACE_PEEKUSER, PTRACE_CONT, PTRACE_SINGLESTEP = 0, 2, 3, 7, 9
USER_RIP, USER_RSP = 16, 19  # places in struct user_regs_struct
USER_CALLEE_SAVED = (0, 1, 2, 3, 4, 5, 19)  # r15 r14 r13 r12 rbp rbx rsp

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]


class Machine:
    """An arena of code at `address`. `context` is what r15 points to."""

    def __init__(self, size: int = 1 << 20) -> None:
        self.memory = mmap.mmap(-1, size, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        self.used = 0
        self.context = ctypes.create_string_buffer(256)
        self.thunk = self.put(assemble_text(THUNK, 0))
        self.trap_routine = self.thunk + len(assemble_text(THUNK.split("trap:")[0] + "trap:", 0))
        stepping = THUNK.replace("call rax", "int3; call rax")
        self.stepping_thunk = self.put(assemble_text(stepping, 0))
        self._prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
        self._enter = self._prototype(self.thunk)

    def put(self, code: bytes) -> int:
        """Place code; its address."""
        address = self.address + self.used
        self.memory[self.used : self.used + len(code)] = code
        self.used += (len(code) + 63) & ~63
        return address

    def load(self, function: CompiledFunction, callees: dict[int, int] | None = None) -> int:
        """Place a function with its relocations applied; its address. `callees`: address of each function index."""
        code = bytearray(function.code)
        base = self.address + self.used
        for reloc in function.relocations:
            target = self.trap_routine if reloc.kind == RELOC_TRAP else (callees or {})[reloc.target]
            struct.pack_into("<i", code, reloc.offset, target + reloc.addend - (base + reloc.offset))
        return self.put(bytes(code))

    def call(self, address: int, gprs: list[int] = [], xmms: list[bytes] = []) -> Result:  # noqa: B006
        block = ctypes.create_string_buffer(BLOCK_SIZE)
        for i, value in enumerate(gprs):
            struct.pack_into("<Q", block, GPR_ARGS + 8 * i, value & (1 << 64) - 1)
        for i, data in enumerate(xmms):
            block[XMM_ARGS + 8 * i : XMM_ARGS + 8 * i + len(data)] = data
        self._enter(address, ctypes.addressof(self.context), ctypes.addressof(block))
        return Result(block.raw, address)

    def single_step(self, address: int, function: CompiledFunction, gprs: list[int]) -> Steps:
        """Run in a child process one instruction at a time, unwinding at each by the function's frame table."""
        child = os.fork()
        if child == 0:
            _libc.ptrace(PTRACE_TRACEME, 0, None, None)
            os.kill(os.getpid(), signal.SIGSTOP)
            self._enter = self._prototype(self.stepping_thunk)
            self.call(address, gprs)
            os._exit(0)
        try:
            return self._steps(child, address, function)
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

    def _steps(self, child: int, address: int, function: CompiledFunction) -> Steps:
        def run(request: int, expected: int) -> None:
            assert _libc.ptrace(request, child, None, None) == 0
            _, status = os.waitpid(child, 0)
            assert os.WIFSTOPPED(status) and os.WSTOPSIG(status) == expected, status

        def register(number: int) -> int:
            return int(_libc.ptrace(PTRACE_PEEKUSER, child, 8 * number, None)) & (1 << 64) - 1

        def word(at: int) -> int:
            return int(_libc.ptrace(PTRACE_PEEKDATA, child, at, None)) & (1 << 64) - 1

        _, status = os.waitpid(child, 0)
        assert os.WSTOPSIG(status) == signal.SIGSTOP
        run(PTRACE_CONT, signal.SIGTRAP)  # the int3 before the call
        saved = [register(number) for number in USER_CALLEE_SAVED]
        return_address = register(USER_RIP) + 2  # after `call rax`
        steps = Steps()
        while True:
            run(PTRACE_SINGLESTEP, signal.SIGTRAP)
            offset = register(USER_RIP) - address
            if not 0 <= offset < function.code_size:
                if register(USER_RIP) == return_address:
                    break
                continue  # in a callee
            size = function.frame_sizes[bisect_right(function.frame_offsets, offset) - 1]
            steps.offsets.append(offset)
            if word(register(USER_RSP) + size) != return_address:
                steps.wrong.append(offset)
        steps.preserved = saved == [register(number) for number in USER_CALLEE_SAVED]
        return steps


class Steps:
    """Offsets of the instructions that ran; those where the frame table was wrong; were the callee-saved registers kept?"""

    def __init__(self) -> None:
        self.offsets: list[int] = []
        self.wrong: list[int] = []
        self.preserved = False


class Result:
    def __init__(self, block: bytes, address: int) -> None:
        self.gpr: int = struct.unpack_from("<Q", block, GPR_RESULT)[0]
        self.xmm = block[XMM_RESULT : XMM_RESULT + 8]
        self.f64: float = struct.unpack("<d", self.xmm)[0]
        trapped: int = struct.unpack_from("<Q", block, TRAPPED_AT)[0]
        self.trapped_at = trapped - address if trapped else -1  # offset of the call of the trap routine

    def trap(self, function: CompiledFunction) -> int:
        """The trap code, or -1."""
        return -1 if self.trapped_at < 0 else function.trap_codes[function.trap_offsets.index(self.trapped_at)]


def inst(
    op: int, locations: list[int], imm: int = 0, amode: Amode | None = None, trap: int = -1, loc: int = -1
) -> Inst:
    """An instruction as the allocator leaves it."""
    shape = SHAPE_REG[op] if amode is None else SHAPE_MEM[op]
    assert shape is not NO_SHAPE
    result = Inst(op, list(range(len(locations))), shape, imm, amode, -1, trap, loc)
    result.locations = locations
    return result


def copy(destination: int, source: int) -> Move:
    return Move(MOVE_COPY, source, destination, 0)


class Program:
    """A function put together by hand: blocks of allocated instructions."""

    def __init__(self) -> None:
        self.vcode = VCode(7, Code("f"))
        self.moves: list[dict[int, list[Move]]] = []
        self.spill_slots = 0
        self.used_registers = 0
        self.framed: list[bool] = []

    def block(self, insts: list[Inst], succs: list[int] | None = None) -> int:
        block = MachineBlock(len(self.vcode.code.blocks))
        block.insts.extend(insts)
        block.succs = succs or []
        self.vcode.code.blocks.append(block)
        self.moves.append({})
        return block.number

    def emit(self, settings: Settings | None = None) -> CompiledFunction:
        blocks = self.vcode.code.blocks
        for block in blocks:
            block.preds = [other.number for other in blocks if block.number in other.succs]
        allocation = Allocation(self.moves, self.spill_slots, self.used_registers, self.framed)
        insts = [block.insts for block in blocks]
        function = emit(self.vcode, allocation, settings or Settings(signals=False))
        for block, same in zip(blocks, insts, strict=True):  # emission takes the code apart
            block.insts = same
        return function


def text(function: CompiledFunction) -> list[str]:
    """The instructions of a function."""
    return [f"{i.mnemonic} {i.op_str}".strip() for i in cs.disasm(function.code[: function.code_size], 0)]


def double(value: float) -> bytes:
    return struct.pack("<d", value)


SLOT = FIRST_SPILL_SLOT
RET = inst(x.RET, [])
SIGNALS = Settings()
