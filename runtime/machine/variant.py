"""What the hand-written routines of a machine depend on."""

from __future__ import annotations

import sys
from typing import Final, final

from brolga.ir import trap_codes
from brolga.jit import vmctx
from brolga.jit.code import TRAP_CALL_SIZE

from ..platform.interface import Platform
from .cpu import Cpu


@final
class Variant:
    """gs, reservations, stacks, signals, threads  what the platform has (`brolga.runtime.platform.interface`)
    avx_state, keys_offset  what the CPU has (`Cpu`); diversion_signal  the number, 0 without signals"""

    __slots__ = (
        "avx_state",
        "diversion_signal",
        "gs",
        "keys_offset",
        "reservations",
        "signals",
        "stacks",
        "threads",
    )

    def __init__(self, platform: Platform, reservations: bool, cpu: Cpu, diversion_signal: int) -> None:
        self.gs: Final = platform.gs_base and reservations
        self.reservations: Final = reservations
        self.stacks: Final = platform.stacks
        self.signals: Final = platform.signals
        self.threads: Final = platform.threads
        self.avx_state: Final = cpu.avx_state
        self.keys_offset: Final = cpu.keys_offset
        self.diversion_signal: Final = diversion_signal

    def describe(self) -> str:
        """As text. Where it is the same, and so is the source of this package, the routines are the same but for addresses."""
        numbers = [getattr(self, name) for name in self.__slots__]
        layout = [value for module in (vmctx, trap_codes) for value in vars(module).values() if isinstance(value, int)]
        return f"{numbers} {layout} {TRAP_CALL_SIZE} {sys.hexversion} {tuple.__basicsize__}"
