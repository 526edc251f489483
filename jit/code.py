"""What the compiler hands to runtime for one function: bytes and the tables that describe them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

# Whether this package is machine code made by mypyc, not interpreted Python.
COMPILED: Final = not __file__.endswith(".py")

RELOC_FUNC: Final = 0  # target: function index in the module (a defined one), or rather its pad
RELOC_TRAP: Final = 1  # the trap routine: called at the point of the trap
RELOC_PROBE: Final = 2  # reserved

TRAP_CALL_SIZE: Final = 5  # bytes of `call rel32`


@final
class Relocation:
    """A rel32 field: at `offset` in the code, write `address(target) + addend - address of the field`.

    `addend` is -4 for a plain `call rel32` or `jmp rel32`.
    """

    __slots__ = ("offset", "kind", "target", "addend")

    def __init__(self, offset: int, kind: int, target: int, addend: int = -4) -> None:
        self.offset = offset
        self.kind = kind
        self.target = target
        self.addend = addend


@final
class CompiledFunction:
    """Machine code of function `index` of a module.

    `code` is position independent but for `relocations`, its start aligned to 64 bytes; constants follow the code within it.
    All side tables are parallel, sorted by offset in the code; arrays of 32 bits, as they live as long as the code:
      trap_offsets/trap_codes      offset of the faulting instruction, or of the call of the trap routine (TRAP_CALL_SIZE
                                   bytes), and trap code
      source_offsets/source_locs   from this code offset on, instructions belong to the wasm operator at this offset of the
                                   module's bytes (-1: none). A return address belongs to the operator in force just before it.
      inline_offsets/inline_calls/inline_funcs   from this code offset on, instructions belong to the body of this function, which was
                                   inlined for the call at this offset of the module's bytes (-1, -1: to the function's own body)
      frame_offsets/frame_sizes    from this code offset on, the return address is at rsp + frame size
    """

    __slots__ = (
        "index",
        "code",
        "code_size",
        "relocations",
        "trap_offsets",
        "trap_codes",
        "source_offsets",
        "source_locs",
        "inline_offsets",
        "inline_calls",
        "inline_funcs",
        "frame_offsets",
        "frame_sizes",
    )

    def __init__(self, index: int, code: bytes, code_size: int) -> None:
        self.index = index
        self.code = code
        self.code_size = code_size  # bytes of instructions; the rest are constants
        self.relocations: list[Relocation] = []
        self.trap_offsets: Sequence[int] = ()
        self.trap_codes: Sequence[int] = ()
        self.source_offsets: Sequence[int] = ()
        self.source_locs: Sequence[int] = ()
        self.inline_offsets: Sequence[int] = ()
        self.inline_calls: Sequence[int] = ()
        self.inline_funcs: Sequence[int] = ()
        self.frame_offsets: Sequence[int] = ()
        self.frame_sizes: Sequence[int] = ()
