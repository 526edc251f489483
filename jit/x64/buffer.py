"""Where encoded instructions go: labels, branches, constants, jump tables and the side tables of one function.

Branches are not encoded when they are made, since their length depends on their distance. The buffer keeps the other bytes
in `code` and beside them a list of items, branches and places, each with its position in `code`. `finish` decides the
lengths and merges both. A mark names a place in between: position in `code`, and in the upper bits the number of items
before it. Labels and all side tables are made of marks; they become offsets once lengths are known.

Lengths: every branch starts short (rel8); rounds over the items make those long that do not reach, which moves others apart,
until nothing changes. A branch never becomes short again, so this ends; after ROUND_LIMIT rounds the remaining short branches
become long at once, so the time is linear in the number of items.

What is kept together (`place`) gets nops in front where it would cross the end of a window of WINDOW bytes or, if it is longer, of a
line of LINE. On Zen 3 each line that a loop touches costs a cycle a turn, so one of a few instructions takes twice the time across
an end; larger loops have more to do than that (docs/performance.md). Intel's caches of decoded instructions have had an entry, or
several, for each window.

After the code, filled with int3, come the constants that were used, by falling size and so each aligned to its size, then
jump tables: 4 bytes an entry, the target's offset from the table's start.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import Final, final

from ..code import CompiledFunction, Relocation

ITEM_SHIFT: Final = 32  # mark = position | number of items before << ITEM_SHIFT
ONE_ITEM: Final = 1 << ITEM_SHIFT
POSITION_MASK: Final = ONE_ITEM - 1

# Kinds of items; below these the condition code of a jcc.
ITEM_JMP: Final = 16
ITEM_PLACE: Final = 17

WINDOW: Final = 32
LINE: Final = 64  # of the caches; functions are aligned to it
LONGEST_LOOP: Final = WINDOW - 1
ROUND_LIMIT: Final = 12

# The recommended multi-byte nops of Intel's manual (volume 2, NOP), by length.
NOPS: Final[list[bytes]] = [
    bytes.fromhex(text)
    for text in (
        "",
        "90",
        "6690",
        "0F1F00",
        "0F1F4000",
        "0F1F440000",
        "660F1F440000",
        "0F1F8000000000",
        "0F1F840000000000",
        "660F1F840000000000",
    )
]
LONGEST_NOP: Final = len(NOPS) - 1


def nops(size: int) -> bytes:
    """As few nops as make `size` bytes."""
    return NOPS[LONGEST_NOP] * (size // LONGEST_NOP) + NOPS[size % LONGEST_NOP]


def padding(start: int, size: int) -> int:
    """Bytes in front of code of `size` bytes that would begin at `start`, so that it does not cross the end of a window or, if it is
    longer, of a line. It may not end with a window either: a branch that does is kept out of the cache of decoded instructions by the
    microcode for Intel's erratum SKX102."""
    to_end = -start % WINDOW
    if size < WINDOW:
        return to_end if to_end <= size else 0
    to_end = -start % LINE
    return to_end if to_end < size else 0


@final
class CodeBuffer:
    """The function being emitted; see the module's docstring.

    `items` is the number of items so far, shifted to its place in a mark: `len(code) | items` is the mark of the current place.
    `spill_base`, `fixed_base` and `incoming_base` are the rsp offsets of spill slot 0, of fixed slot 0 and of the caller's
    outgoing area; `encode` uses them.
    """

    __slots__ = (
        "code",
        "items",
        "item_positions",
        "item_kinds",
        "item_labels",
        "labels",
        "constants",
        "constant_sizes",
        "jump_tables",
        "constant_labels",
        "table_labels",
        "fixup_marks",
        "fixup_labels",
        "fixup_tails",
        "reloc_marks",
        "reloc_kinds",
        "reloc_targets",
        "trap_marks",
        "trap_codes",
        "source_marks",
        "source_locs",
        "inline_marks",
        "inline_calls",
        "inline_funcs",
        "frame_marks",
        "frame_sizes",
        "placed",
        "place_ends",
        "loop_ends",
        "calls",
        "spill_base",
        "fixed_base",
        "incoming_base",
    )

    def __init__(
        self, labels: int, constants: list[int], constant_sizes: list[int], jump_tables: list[list[int]]
    ) -> None:
        """Labels 0 .. labels - 1 exist from the start (the blocks). The other parameters are as in `VCode`."""
        self.code = bytearray()
        self.items = 0
        self.item_positions: list[int] = []
        self.item_kinds: list[int] = []
        self.item_labels: list[int] = []
        self.labels = [-1] * labels  # the mark of each
        self.constants = constants
        self.constant_sizes = constant_sizes
        self.jump_tables = jump_tables
        self.constant_labels: dict[int, int] = {}  # label of each constant and each jump table that is used
        self.table_labels: dict[int, int] = {}
        self.fixup_marks: list[int] = []  # displacements relative to rip
        self.fixup_labels: list[int] = []
        self.fixup_tails: list[int] = []  # bytes of the instruction from the displacement's start
        self.reloc_marks: list[int] = []
        self.reloc_kinds: list[int] = []
        self.reloc_targets: list[int] = []
        self.trap_marks: list[int] = []
        self.trap_codes: list[int] = []
        self.source_marks: list[int] = []
        self.source_locs: list[int] = []
        self.inline_marks: list[int] = []
        self.inline_calls: list[int] = []
        self.inline_funcs: list[int] = []
        self.frame_marks: list[int] = []
        self.frame_sizes: list[int] = []
        self.placed: dict[int, int] = {}  # by label, the item of `place`
        self.place_ends: dict[int, int] = {}  # by that item, the mark of where what is kept together ends
        self.loop_ends: dict[int, int] = {}  # likewise of loops, once all branches are there
        self.calls: list[int] = []  # positions
        self.spill_base = 0
        self.fixed_base = 0
        self.incoming_base = 0

    # Making code.

    def new_label(self) -> int:
        self.labels.append(-1)
        return len(self.labels) - 1

    def bind(self, label: int) -> None:
        """Put `label` here."""
        self.labels[label] = len(self.code) | self.items

    def _item(self, kind: int, label: int) -> None:
        self.item_positions.append(len(self.code))
        self.item_kinds.append(kind)
        self.item_labels.append(label)
        self.items += ONE_ITEM

    def jmp(self, label: int) -> None:
        self._item(ITEM_JMP, label)

    def jcc(self, cc: int, label: int) -> None:
        """A conditional branch; `cc` is one of the processor's sixteen."""
        assert 0 <= cc < ITEM_JMP
        self._item(cc, label)

    def place(self, label: int) -> None:
        """The block `label` begins here: keep the loop that it is the head of together if it is short, or else what ends with `end_place`."""
        self.placed[label] = len(self.item_kinds)
        self._item(ITEM_PLACE, label)

    def end_place(self, label: int) -> None:
        """What began with `label`, where `place` was called, ends here."""
        self.place_ends[self.placed[label]] = len(self.code) | self.items

    def call(self) -> None:
        """A call comes next: a loop around it is left where it is."""
        self.calls.append(len(self.code))

    def rip_relative(self, label: int, tail: int) -> None:
        """The last `tail` bytes of `code` start with a displacement that leads from their end to `label`."""
        self.fixup_marks.append((len(self.code) - tail) | self.items)
        self.fixup_labels.append(label)
        self.fixup_tails.append(tail)

    def constant_label(self, number: int) -> int:
        label = self.constant_labels.get(number, -1)
        if label < 0:
            label = self.constant_labels[number] = self.new_label()
        return label

    def table_label(self, number: int) -> int:
        label = self.table_labels.get(number, -1)
        if label < 0:
            label = self.table_labels[number] = self.new_label()
        return label

    def reloc(self, kind: int, target: int) -> None:
        """The last four bytes of `code` are the rel32 field of a call or jump."""
        self.reloc_marks.append((len(self.code) - 4) | self.items)
        self.reloc_kinds.append(kind)
        self.reloc_targets.append(target)

    def trap(self, code: int) -> None:
        """The next instruction may trap with `code`."""
        self.trap_marks.append(len(self.code) | self.items)
        self.trap_codes.append(code)

    def source(self, loc: int) -> None:
        """What follows belongs to the wasm operator at `loc`."""
        self.source_marks.append(len(self.code) | self.items)
        self.source_locs.append(loc)

    def frame(self, size: int) -> None:
        """From here on, the return address is at rsp + size."""
        if self.frame_sizes and self.frame_sizes[-1] == size:
            return
        self.frame_marks.append(len(self.code) | self.items)
        self.frame_sizes.append(size)

    # Finishing.

    def finish(self, index: int, short: bool = True) -> CompiledFunction:
        """The function's bytes and tables. All labels that were used must have been bound. `short`: branches may be."""
        starts, sizes = self._layout(0 if short else ROUND_LIMIT)
        # shift[n]: how much further than its position a place with n items before it is.
        shift = [0]
        for start, size, position in zip(starts, sizes, self.item_positions, strict=True):
            shift.append(start + size - position)
        offsets = _offsets(self.labels, shift)
        code = self._merge(starts, sizes, offsets)
        code_size = len(code)
        self._append_constants(code, offsets)
        self._append_tables(code, offsets)
        for at, label, tail in zip(_offsets(self.fixup_marks, shift), self.fixup_labels, self.fixup_tails, strict=True):
            assert offsets[label] >= 0, "reference to a label that was not bound"
            code[at : at + 4] = (offsets[label] - at - tail).to_bytes(4, "little", signed=True)

        result = CompiledFunction(index, bytes(code), code_size)
        reloc_offsets = _offsets(self.reloc_marks, shift)
        for at, kind, target in zip(reloc_offsets, self.reloc_kinds, self.reloc_targets, strict=True):
            result.relocations.append(Relocation(at, kind, target))
        result.trap_offsets = array("i", _offsets(self.trap_marks, shift))
        result.trap_codes = array("i", self.trap_codes)
        result.source_offsets = array("i", _offsets(self.source_marks, shift))
        result.source_locs = array("i", self.source_locs)
        if self.inline_marks:
            result.inline_offsets = array("i", _offsets(self.inline_marks, shift))
            result.inline_calls = array("i", self.inline_calls)
            result.inline_funcs = array("i", self.inline_funcs)
        result.frame_offsets = array("i", _offsets(self.frame_marks, shift))
        result.frame_sizes = array("i", self.frame_sizes)
        return result

    def _layout(self, rounds: int) -> tuple[list[int], list[int]]:
        """Final offset and size of each item. `rounds` are done already."""
        positions = self.item_positions
        kinds = self.item_kinds
        labels = self.labels
        count = len(kinds)
        starts = [0] * count
        sizes = [2] * count
        short = [item for item in range(count) if kinds[item] < ITEM_PLACE]
        self._find_loops()
        while True:
            grown = 0
            for item in range(count):
                start = starts[item] = positions[item] + grown
                if kinds[item] == ITEM_PLACE:
                    sizes[item] = self._padding(item, start, sizes)
                grown += sizes[item]
            rounds += 1
            still_short: list[int] = []
            for item in short:
                mark = labels[self.item_labels[item]]
                assert mark >= 0, "branch to a label that was not bound"
                target = mark & POSITION_MASK
                before = (mark >> ITEM_SHIFT) - 1
                if before >= 0:
                    target += starts[before] + sizes[before] - positions[before]
                if -128 <= target - starts[item] - 2 <= 127 and rounds < ROUND_LIMIT:
                    still_short.append(item)
                else:
                    sizes[item] = 5 if kinds[item] == ITEM_JMP else 6
            if len(still_short) == len(short):
                return starts, sizes
            short = still_short

    def _padding(self, item: int, start: int, sizes: list[int]) -> int:
        """In front of what is kept together from `item` on, as far as the sizes of the items in it are known."""
        for ends, longest in ((self.loop_ends, LONGEST_LOOP), (self.place_ends, LINE)):
            end = ends.get(item, -1)
            if end >= 0:
                size = (end & POSITION_MASK) - self.item_positions[item] + sum(sizes[item + 1 : end >> ITEM_SHIFT])
                if size <= longest:
                    return padding(start, size)
        return 0

    def _find_loops(self) -> None:
        """Fill in `loop_ends` for loops of up to LONGEST_LOOP bytes without calls: they end with the last branch to their head."""
        positions = self.item_positions
        calls = self.calls
        for item, label in enumerate(self.item_labels):
            head = self.placed.get(label, item)
            if head < item:
                start = positions[head]
                end = positions[item]
                if end - start + 2 * (item - head) <= LONGEST_LOOP:
                    call = bisect_left(calls, start)
                    if call == len(calls) or calls[call] >= end:
                        self.loop_ends[head] = end | (item + 1) * ONE_ITEM

    def _merge(self, starts: list[int], sizes: list[int], offsets: list[int]) -> bytearray:
        """`code` with the items put in."""
        code = self.code
        kinds = self.item_kinds
        labels = self.item_labels
        result = bytearray()
        done = 0
        for item, position in enumerate(self.item_positions):
            result += code[done:position]
            done = position
            kind = kinds[item]
            size = sizes[item]
            if kind == ITEM_PLACE:
                result += nops(size)
                continue
            distance = offsets[labels[item]] - starts[item] - size
            if size == 2:
                result.append(0xEB if kind == ITEM_JMP else 0x70 + kind)
                result.append(distance & 0xFF)
                continue
            if kind == ITEM_JMP:
                result.append(0xE9)
            else:
                result.append(0x0F)
                result.append(0x80 + kind)
            result += distance.to_bytes(4, "little", signed=True)
        result += code[done:]
        return result

    def _append_constants(self, code: bytearray, offsets: list[int]) -> None:
        """Write the constants in use and set the offsets of their labels."""
        for size in (16, 8, 4):
            for number, label in self.constant_labels.items():
                if self.constant_sizes[number] == size:
                    _pad(code, size)
                    offsets[label] = len(code)
                    code += self.constants[number].to_bytes(size, "little")

    def _append_tables(self, code: bytearray, offsets: list[int]) -> None:
        for number, label in self.table_labels.items():
            _pad(code, 4)
            table = offsets[label] = len(code)
            for target in self.jump_tables[number]:
                code += (offsets[target] - table).to_bytes(4, "little", signed=True)


def _pad(code: bytearray, alignment: int) -> None:
    code += b"\xcc" * (-len(code) % alignment)


def _offsets(marks: list[int], shift: list[int]) -> list[int]:
    """Offsets in the final code (-1 stays)."""
    return [(mark & POSITION_MASK) + shift[mark >> ITEM_SHIFT] if mark >= 0 else -1 for mark in marks]
