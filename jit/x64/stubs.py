"""Code out of line: the ends of conditional traps, and the rare paths of sequences."""

from __future__ import annotations

from typing import final

from ..code import RELOC_TRAP
from ..settings import Settings
from .buffer import CodeBuffer
from .encode import encode
from .insts import CALL, JMP_REL
from .vcode import VCode


@final
class SlowPath:
    """Code to be emitted at `entry`, which goes on at `back`; `sequences.py` and
    `control_sequences.py` know what `kind` of code. The return address is at rsp + `frame_size` there."""

    __slots__ = ("back", "entry", "frame_size", "kind", "loc", "locations", "op")

    def __init__(
        self, kind: int, op: int, locations: list[int], loc: int, entry: int, back: int, frame_size: int
    ) -> None:
        self.kind = kind
        self.op = op
        self.locations = locations
        self.loc = loc
        self.entry = entry
        self.back = back
        self.frame_size = frame_size


@final
class Stubs:
    """Collects what goes to the end of the function. Conditional traps share one stub for each trap code, location and size of the
    frame. `frame_size` is that of the block being emitted.
    """

    __slots__ = (
        "buffer",
        "frame_size",
        "settings",
        "slow_paths",
        "trap_codes",
        "trap_frames",
        "trap_labels",
        "trap_locs",
        "trap_routine",
        "used_registers",
        "vcode",
        "_trap_numbers",
    )

    def __init__(
        self, buffer: CodeBuffer, vcode: VCode, settings: Settings, frame_size: int, used_registers: int
    ) -> None:
        self.buffer = buffer
        self.vcode = vcode
        self.settings = settings
        self.frame_size = frame_size
        self.used_registers = used_registers  # bit mask of what the function writes
        self.slow_paths: list[SlowPath] = []
        self.trap_labels: list[int] = []
        self.trap_codes: list[int] = []
        self.trap_locs: list[int] = []
        self.trap_frames: list[int] = []
        self.trap_routine = -1  # label of the jump to the trap routine, when there is one
        self._trap_numbers: dict[tuple[int, int, int], int] = {}

    def trap_label(self, code: int, loc: int) -> int:
        """Where to jump to trap with `code` at wasm operator `loc`."""
        key = (code, loc, self.frame_size)
        label = self._trap_numbers.get(key, -1)
        if label < 0:
            label = self._trap_numbers[key] = self.buffer.new_label()
            self.trap_labels.append(label)
            self.trap_codes.append(code)
            self.trap_locs.append(loc)
            self.trap_frames.append(self.frame_size)
        return label

    def slow_path(self, kind: int, op: int, locations: list[int], loc: int, back: int) -> int:
        """Label of a new slow path."""
        entry = self.buffer.new_label()
        self.slow_paths.append(SlowPath(kind, op, locations, loc, entry, back, self.frame_size))
        return entry

    def emit_traps(self) -> None:
        buffer = self.buffer
        for label, code, loc, frame_size in zip(
            self.trap_labels, self.trap_codes, self.trap_locs, self.trap_frames, strict=True
        ):
            buffer.frame(frame_size)
            buffer.source(loc)
            buffer.bind(label)
            self.emit_trap(code)

    def emit_trap(self, code: int) -> None:
        """Trap here: call the trap routine, which knows by the return address where. An undefined instruction would be
        shorter by three bytes, but its way through the kernel takes longer than all the rest of a trap: most hypervisors want
        to see it first."""
        buffer = self.buffer
        if self.trap_routine < 0:
            self.trap_routine = buffer.new_label()
        buffer.trap(code)
        encode(buffer, CALL, [])
        buffer.rip_relative(self.trap_routine, 4)

    def emit_trap_routine(self) -> None:
        """The end of all these calls: one jump, with the function's only relocation for traps."""
        if self.trap_routine >= 0:
            buffer = self.buffer
            buffer.source(-1)
            buffer.frame(0)
            buffer.bind(self.trap_routine)
            encode(buffer, JMP_REL, [])
            buffer.reloc(RELOC_TRAP, 0)
