"""The compiler's driver: one function from wasm bytes, or from IR, to machine code.

    wasm body ─▶ translate ─▶ PASSES ─▶ lower ─▶ allocate ─▶ emit ─▶ CompiledFunction
                 SSA IR                 VCode    locations    bytes, relocations,
                                        on vregs and moves    trap, source, frame tables

This is the only place that times, verifies and dumps stages (knobs: debug.py). A failure of any stage on a valid function
is a bug of ours: it is raised as CompileError, which names stage and function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from brolga.ir.errors import CompileError, LimitError
from brolga.ir.function import Function
from brolga.ir.passes import (
    block_params,
    branches,
    dce,
    facts,
    induction,
    jump_threading,
    products,
    reassociation,
    unreachable,
)
from brolga.ir.verifier import verify
from brolga.ir.work import BLOCK, spend
from brolga.regalloc.allocate import allocate
from brolga.regalloc.checker import check
from brolga.regalloc.color import forget_masks

from . import debug, phases
from .code import CompiledFunction
from .debug import KNOBS, Knobs
from .phases import TIMES, PhaseTimes
from .settings import Settings
from .switches import allocation_policy
from .transformations import (
    BLOCK_PARAMS,
    BRANCHES,
    DCE,
    INDUCTION,
    JUMP_THREADING,
    PRODUCTS,
    REASSOCIATION,
    UNREACHABLE,
)
from .vmctx import ContextLayout
from .wasm.translate import translate
from .wasm.types import Module
from .x64.allocatable import machine_env
from .x64.emit import emit
from .x64.encode import forget_encodings
from .x64.lower import lower
from .x64.printer import print_allocated, print_vcode


@final
class Pass:
    """A transformation of IR in place, run at optimisation level `level` and above unless its `switch` is off."""

    __slots__ = ("name", "run", "level", "switch")

    def __init__(self, name: str, run: Callable[[Function], None], level: int, switch: int) -> None:
        self.name = name
        self.run = run
        self.level = level
        self.switch = switch


PASSES: Final = (
    Pass("unreachable", unreachable.run, 0, UNREACHABLE),
    Pass("block_params", block_params.run, 0, BLOCK_PARAMS),
    Pass("dce", dce.run, 1, DCE),
    Pass("jump_threading", jump_threading.run, 2, JUMP_THREADING),
    Pass("branches", branches.run, 0, BRANCHES),
    Pass("products", products.run, 2, PRODUCTS),
    Pass("reassociation", reassociation.run, 2, REASSOCIATION),
    Pass("induction", induction.run, 2, INDUCTION),
)
CHECKED_PASSES: Final = (*PASSES, Pass("facts", facts.run, 0, 0))


def compile_function(
    module: Module,
    layout: ContextLayout,
    index: int,
    settings: Settings,
    knobs: Knobs = KNOBS,
    times: PhaseTimes = TIMES,
) -> CompiledFunction:
    """Machine code of defined function `index` (index space) of a valid module.

    Raises LimitError where a documented limit is exceeded, CompileError on a bug, MemoryError.
    """
    times.start()
    try:
        function = translate(module, index, layout, settings)
    except (LimitError, MemoryError):
        raise
    except Exception as error:
        raise CompileError(f"translate on {module.func_name(index)}: {error!r}") from error
    times.end(phases.TRANSLATE)
    return compile_ir(function, settings, knobs, times)


def compile_ir(
    function: Function, settings: Settings, knobs: Knobs = KNOBS, times: PhaseTimes = TIMES, keep: bool = False
) -> CompiledFunction:
    """Machine code of a function in IR, which the passes change in place and selection takes apart; with `keep`, it is as the passes
    left it afterwards.
    """
    stage = "ir"
    try:
        if knobs.verify:
            verify(function)
        if knobs.dumps(stage, function):
            debug.dump(knobs, stage, function, debug.describe_ir(function))

        times.start()
        level = settings.opt_level if knobs.opt_level < 0 else knobs.opt_level
        work = BLOCK * len(function.blocks)
        for entry in CHECKED_PASSES if settings.check_facts else PASSES:
            if entry.level > level or settings.off & entry.switch:
                continue
            stage = entry.name
            spend(work)
            entry.run(function)
            if knobs.verify:
                verify(function)
            if knobs.dumps(stage, function):
                debug.dump(knobs, stage, function, debug.describe_ir(function))
        times.end(phases.PASSES)

        stage = "lower"
        kept = [block.insts[:] for block in function.blocks] if keep else []
        vcode = lower(function, settings)
        times.end(phases.LOWER)
        if keep:
            for block, insts in zip(function.blocks, kept, strict=True):
                block.insts = insts
        if knobs.dumps("vcode", function):
            debug.dump(knobs, "vcode", function, print_vcode(vcode))

        stage = "allocate"
        env = machine_env(settings)
        times.start()
        allocation = allocate(vcode.code, env, allocation_policy(settings.off))
        times.end(phases.ALLOCATE)
        if knobs.verify:
            check(vcode.code, env, allocation)
        if knobs.dumps("regalloc", function):
            debug.dump(knobs, "regalloc", function, print_allocated(vcode, allocation))

        stage = "emit"
        times.start()
        code = emit(vcode, allocation, settings)
        times.end(phases.EMIT)
        if knobs.dumps("asm", function):
            debug.dump(knobs, "asm", function, debug.disassemble(code))
    except (LimitError, MemoryError):
        raise
    except Exception as error:
        raise CompileError(f"{stage} on {function.name}: {error!r}") from error
    times.functions += 1
    times.code_bytes += len(code.code)
    return code


def forget_tables() -> None:
    """Empty the tables that are kept from one function to the next. They are bounded, but their entries lie among what the functions
    needed for a while, and keep the allocator from giving that back.
    """
    forget_encodings()
    forget_masks()
