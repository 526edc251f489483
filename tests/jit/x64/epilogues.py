"""Epilogues that are wrong, for tests of what notices that."""

from __future__ import annotations

from brolga.jit.x64.abi import RSP
from brolga.jit.x64.buffer import CodeBuffer
from brolga.jit.x64.encode import encode
from brolga.jit.x64.frame import Frame
from brolga.jit.x64.insts import ADD64_I, POP


def forgetful(buffer: CodeBuffer, frame: Frame) -> None:
    """Leaves out the first register."""
    encode(buffer, ADD64_I, [RSP, RSP], frame.local_bytes)
    for register in reversed(frame.saved[1:]):
        encode(buffer, POP, [register])
    encode(buffer, ADD64_I, [RSP, RSP], 8 * len(frame.saved[:1]))


def confused(buffer: CodeBuffer, frame: Frame) -> None:
    """Restores registers in the wrong order."""
    encode(buffer, ADD64_I, [RSP, RSP], frame.local_bytes)
    for register in frame.saved:
        encode(buffer, POP, [register])
