"""Cases of the golden files tests/filetests/transformations: what a function becomes with one transformation switched off, and with it.

The first line of a file is `; test transformation NAME STAGE`, where the stage is one of STAGES: what is shown. The output of a case is
both results, or `the same` and one of them: that is a case in which the transformation must not, or cannot, apply.
"""

from __future__ import annotations

import re
from typing import Final

from brolga.ir.function import Function
from brolga.ir.parser import parse_function
from brolga.ir.printer import print_function
from brolga.ir.rebuild import rebuild
from brolga.ir.verifier import verify
from brolga.jit.compile import PASSES, compile_ir
from brolga.jit.debug import Knobs, disassemble
from brolga.jit.settings import Settings
from brolga.jit.switches import allocation_policy, builder_rules
from brolga.jit.transformations import mask_of
from brolga.jit.vmctx import ContextLayout
from brolga.jit.wasm.decode import decode
from brolga.jit.wasm.translate import translate
from brolga.jit.wasm.validate import validate
from brolga.jit.x64.allocatable import machine_env
from brolga.jit.x64.lower import lower
from brolga.jit.x64.printer import print_allocated, print_vcode
from brolga.regalloc.allocate import allocate
from brolga.regalloc.checker import check
from brolga.runtime.text import wat2wasm

from .jit.native import settings_for

STAGES: Final = ("wasm", "ir", "vcode", "allocation", "asm")
SAME: Final = "the same"
OFF: Final = "off:"
ON: Final = "on:"


def compare(text: str, name: str, stage: str) -> list[str]:
    """The output of a case of the file of transformation `name`."""
    off = show(text, stage, mask_of([name]))
    on = show(text, stage, 0)
    if off == on:
        return [SAME, *on]
    return [OFF, *off, ON, *on]


def show(text: str, stage: str, off: int) -> list[str]:
    """The function after `stage`, without the transformations `off`; in optimised IR what the builder and the passes leave."""
    settings = settings_for("gs")
    settings.off = off
    if stage == "wasm":
        printed = print_function(translated(text, settings)).splitlines()
        return [line for line in printed if not re.match(r" *sig\d+ = ", line)]
    function = parse_function(text)
    verify(function)
    if stage == "ir":
        return print_function(optimized(function, off)).splitlines()
    if stage == "asm":
        code = compile_ir(function, settings, Knobs({"BROLGA_VERIFY": "1"}))
        return [" ".join(line.split()) for line in disassemble(code).splitlines()]
    vcode = lower(function, settings)
    if stage == "vcode":
        return print_vcode(vcode).splitlines()
    assert stage == "allocation", f"the stage must be one of {STAGES}"
    env = machine_env(settings)
    allocation = allocate(vcode.code, env, allocation_policy(off))
    check(vcode.code, env, allocation)
    return print_allocated(vcode, allocation).splitlines()


def translated(text: str, settings: Settings) -> Function:
    """The first function of a module in text format."""
    module = decode(bytes(wat2wasm(text)))
    validate(module)
    function = translate(module, module.imported_funcs, ContextLayout(module), settings)
    verify(function)
    return function


def optimized(function: Function, off: int) -> Function:
    result = rebuild(function, builder_rules(off))
    verify(result)
    for entry in PASSES:
        if not entry.switch & off:
            entry.run(result)
            verify(result)
    return result
