"""Code spaces: where a module's machine code lives, and which function an address belongs to.

A pad is 16 bytes, at first

    mov eax, number of the pad      5 bytes; the lazy-compile stub finds function and module by it
    jmp lazy_compile                5 bytes

and, once the function is installed, its first 8 bytes are replaced by one aligned store: `jmp code` and the three bytes that
were there, so that a thread between the two instructions still finds the second one whole.
"""

from __future__ import annotations

import struct
import weakref
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable
from typing import Final

from brolga.ir.errors import CodeFormatError
from brolga.jit.cache_format import CodeImage
from brolga.jit.code import RELOC_FUNC, RELOC_TRAP, CompiledFunction

from .arena import PAGE, CodeArena
from .lifetime import Hold, Unique, hold

PAD_SIZE: Final = 16
FUNCTION_ALIGN: Final = 64
LARGEST_CHUNK: Final = 1 << 20

_PAD: Final = struct.Struct("<BiBi6x")  # mov eax, imm32; jmp rel32
_JUMP: Final = struct.Struct("<Bi")
_REL32: Final = struct.Struct("<i")
_MOV_EAX: Final = 0xB8
_JMP: Final = 0xE9

# Every extent that holds pads or functions: (start, end, space), sorted. As in `arena`, only single operations of C code
# change it (comparing the tuples runs no Python code, since no two extents begin at one address).
_Extent = tuple[int, int, "CodeSpace"]
_extents: list[_Extent] = []
_BEYOND: Final = 1 << 64

# Where a pc is: the function, None in its pad; its index; the offset in its code; the trap code of the instruction there, or -1.
Place = tuple[CompiledFunction | None, int, int, int]
# The place, the distance from rsp to the return address, and what tells the owner of the space.
Known = tuple[Place, int, Callable[[], object]]
_MOST_PLACES: Final = 1000  # that are kept

# What `find_place` has found, for unwinding comes to the same places again and again: None for what is no function, as the
# entries are. Forgotten whenever an extent comes or goes, since addresses are used again.
_places: dict[int, Known | None] = {}

# Told of code that was installed: (address, size, function) of each.
Listener = Callable[[list[tuple[int, int, int]]], None]


class CodeSpace(Unique):
    """Pads and code of the defined functions of one module. Made by `Machine.new_code_space`. They last, and with them this
    object, which is found by addresses of code, until what `hold` gives is freed: whatever leads to calls must have that.

    A pad is a function's permanent address: it leads to lazy compilation first, to the code later. The compile callback runs
    on the native stack with the GIL held; whatever it raises leaves through wasm.
    """

    def __init__(
        self,
        arena: CodeArena,
        lazy_compile: int,
        trap_routine: int,
        first: int,
        count: int,
        compile: Callable[[int], CompiledFunction],
        owner: object,
    ) -> None:
        self.first: Final = first
        self.count: Final = count
        self.listener: Listener | None = None
        self._arena = arena
        self._trap_routine = trap_routine
        self._compile = compile
        try:
            self._owner: Callable[[], object] = weakref.ref(owner)
        except TypeError:
            self._owner = lambda: owner
        self._functions: list[CompiledFunction | None] = [None] * count
        self._image: CodeImage | None = None
        self._addresses = [0] * count
        self._starts: list[tuple[int, int]] = []  # (address of code, function), sorted
        self._room: list[tuple[int, int]] = []  # at most one (address, size): where the next code goes
        self._chunks: list[_Extent] = []
        self._next_chunk = 4 * PAGE
        self._pads = self._new_chunk(count * PAD_SIZE)
        self._write_pads(lazy_compile)

    @property
    def owner(self) -> object:
        """What owns the space (the module), or None if it is gone."""
        return self._owner()

    def _new_chunk(self, size: int) -> int:
        """Allocate at least `size` bytes, use them, and leave the rest as room for code."""
        total = (
            -(-max(size + PAGE, self._next_chunk) // PAGE) * PAGE if self._chunks else -(-(size + PAGE) // PAGE) * PAGE
        )
        self._next_chunk = min(2 * total, LARGEST_CHUNK)
        start = self._arena.allocate(total)
        chunk = (start, start + total, self)
        self._chunks.append(chunk)
        _change_extents(chunk, True)
        self._room.append((start + size, total - size))
        return start

    def _write_pads(self, lazy_compile: int) -> None:
        pads = self._pads
        number = (pads - self._arena.functions) // PAD_SIZE
        distance = lazy_compile - (pads + 10)
        pack = _PAD.pack
        code = b"".join([pack(_MOV_EAX, number + i, _JMP, distance - PAD_SIZE * i) for i in range(self.count)])
        self._arena.write(pads, code)

    def pad(self, func: int) -> int:
        """Address of the pad of function `func` (index in the module's index space); goes into function records."""
        return self._pads + PAD_SIZE * (func - self.first)

    def code_address(self, func: int) -> int:
        """Address of the function's code, or 0 while it is not compiled."""
        return self._addresses[func - self.first]

    def compiled(self, func: int) -> CompiledFunction | None:
        """The installed function, or None."""
        place = func - self.first
        function = self._functions[place]
        if function is None and self._image is not None and self._addresses[place]:
            found = bisect_left(self._image.funcs, func)
            if found < len(self._image.funcs) and self._image.funcs[found] == func:
                function = self._functions[place] = self._from_image(self._image, found)
        return function

    def _from_image(self, image: CodeImage, place: int) -> CompiledFunction:
        """A function of the image with its tables. If these are damaged it is compiled again, which yields the same."""
        try:
            return image.function(place)
        except CodeFormatError:
            return self._compile(image.funcs[place])

    def installed(self) -> int:
        """How many functions are installed."""
        return len(self._addresses) - self._addresses.count(0)

    def compiled_functions(self) -> list[CompiledFunction]:
        """All functions that are installed, in order."""
        functions = [self.compiled(self.first + place) for place in range(self.count) if self._addresses[place]]
        return [function for function in functions if function is not None]

    def compile(self, func: int) -> int:
        """Compile and install a function unless that has happened. Returns the address of its code."""
        return self._addresses[func - self.first] or self.install(self._compile(func))

    def install(self, function: CompiledFunction) -> int:
        """Copy the code into the arena, resolve relocations, patch the pad. Returns the address of the code.

        Installing a function again is harmless: the first code stays, its address is returned.
        """
        self.install_all([function])
        return self._addresses[function.index - self.first]

    def install_all(self, functions: list[CompiledFunction]) -> None:
        """Install several functions; calls among them become direct.

        Other threads, which may come in anywhere, call what is installed: first all the code is there and known, then pads and
        other code lead to it.
        """
        first = self.first
        new: dict[int, CompiledFunction] = {}
        placed: dict[int, int] = {}
        for function in functions:
            index = function.index
            if not self._addresses[index - first] and index not in placed:
                placed[index] = self._place(len(function.code))
                new[index] = function
        for index, function in new.items():
            self._arena.write(placed[index], self._relocate(function, placed[index], placed))
        for index, function in new.items():
            self._functions[index - first] = function
            insort(self._starts, (placed[index], index))
        for index, function in new.items():
            address = placed[index]
            if self._addresses[index - first]:  # another thread was faster, and only the others of these call this code
                continue
            self._addresses[index - first] = address
            self._patch_pad(index, address)
            if self.listener is not None:
                self.listener([(address, len(function.code), index)])

    def install_image(self, image: CodeImage) -> None:
        """Install the functions of an image: one copy, and a patch for each pad. Comes before any other installation."""
        if self._starts:
            raise ValueError("functions are installed already")
        if image.funcs and not (self.first <= image.funcs[0] and image.funcs[-1] < self.first + self.count):
            raise ValueError("the image is of another module")
        base = self._place(len(image.code))
        code = self._arena.view(base, len(image.code))
        code[:] = image.code
        self._close_relocations(image, code, base)
        pads = self._arena.view(self._pads, self.count * PAD_SIZE)
        addresses = [base + start for start in image.starts]
        distance = -(self._pads + 5)
        pack_into = _JUMP.pack_into
        for func, address in zip(image.funcs, addresses, strict=True):
            offset = PAD_SIZE * (func - self.first)
            pack_into(pads, offset, _JMP, address - offset + distance)
            self._addresses[func - self.first] = address
        self._arena.written(base, len(image.code))
        self._arena.written(self._pads, self.count * PAD_SIZE)
        self._image = image
        self._starts = list(zip(addresses, image.funcs, strict=True))
        if self.listener is not None:
            self.listener(list(zip(addresses, image.sizes, image.funcs, strict=True)))

    def _close_relocations(self, image: CodeImage, code: memoryview, base: int) -> None:
        """In `code`, which is for the address `base`."""
        words = image.open
        pack_into = _REL32.pack_into
        trap, first_pad = self._trap_routine - base, self._pads - base
        first, end = self.first, self.first + self.count
        for offset, kind, target, addend in zip(words[0::4], words[1::4], words[2::4], words[3::4], strict=True):
            if kind == RELOC_TRAP:
                pack_into(code, offset, trap + addend - offset)
            elif kind == RELOC_FUNC and first <= target < end:
                pack_into(code, offset, first_pad + PAD_SIZE * (target - first) + addend - offset)
            else:
                raise ValueError(f"relocation of kind {kind} to {target}")

    def _place(self, size: int) -> int:
        """An aligned address with room for `size` bytes."""
        size = -(-size // FUNCTION_ALIGN) * FUNCTION_ALIGN
        while True:
            try:
                address, room = self._room.pop()
            except IndexError:
                self._new_chunk(0)
                continue
            start = -(-address // FUNCTION_ALIGN) * FUNCTION_ALIGN
            rest = room - (start - address) - size
            if rest >= 0:
                self._room.append((start + size, rest))
                return start
            self._next_chunk = max(self._next_chunk, size + PAGE)

    def _relocate(self, function: CompiledFunction, address: int, placed: dict[int, int]) -> bytes | bytearray:
        if not function.relocations:
            return function.code
        code = bytearray(function.code)
        for relocation in function.relocations:
            if relocation.kind == RELOC_FUNC:
                func = relocation.target
                target = self._addresses[func - self.first] or placed.get(func, 0) or self.pad(func)
                if func == function.index:
                    target = address
            elif relocation.kind == RELOC_TRAP:
                target = self._trap_routine
            else:
                raise ValueError(f"relocation of kind {relocation.kind}")
            field = address + relocation.offset
            _REL32.pack_into(code, relocation.offset, target + relocation.addend - field)
        return code

    def _patch_pad(self, func: int, address: int) -> None:
        pad = self.pad(func)
        distance = (address - (pad + 5)) & 0xFFFF_FFFF
        rest = self._arena.read_word(pad) >> 40 << 40
        self._arena.write_word(pad, rest | distance << 8 | _JMP)

    def locate(self, pc: int) -> tuple[CompiledFunction | None, int, int] | None:
        """(function, index, offset) of a pc in this space, as `find_code`."""
        starts = self._starts
        position = bisect_right(starts, (pc, _BEYOND)) - 1
        if position >= 0:
            start, index = starts[position]
            function = self._functions[index - self.first] or self.compiled(index)
            if function is not None and pc - start < len(function.code):
                return function, index, pc - start
        pad = pc - self._pads
        if 0 <= pad < self.count * PAD_SIZE:
            return None, self.first + pad // PAD_SIZE, 0
        return None

    def hold(self) -> Hold:
        """What gives the code back when it is freed."""
        return hold(CodeSpace.close, self)

    def close(self) -> None:
        """Give the code back. Nothing may refer to it any more."""
        while self._chunks:
            chunk = self._chunks.pop()
            _change_extents(chunk, False)
            self._arena.free(chunk[0], chunk[1] - chunk[0])


def any_missing() -> bool:
    """Whether there is a function that is not installed."""
    return any(space.installed() < space.count for _, _, space in _extents)


def _change_extents(chunk: _Extent, add: bool) -> None:
    """Replaces the whole list, as `CodeArena` does and for the same reason."""
    global _extents
    while True:
        before = _extents
        after = before.copy()
        if add:
            insort(after, chunk)
        else:
            after.remove(chunk)
        if _extents is before:
            _extents = after
            _places.clear()
            return


def find_space(pc: int) -> CodeSpace | None:
    """The space whose pads or code include this address, None if there is none."""
    extents = _extents
    position = bisect_right(extents, (pc, _BEYOND)) - 1
    if position < 0 or pc >= extents[position][1]:
        return None
    return extents[position][2]


def find_code(pc: int) -> tuple[CodeSpace, CompiledFunction | None, int, int] | None:
    """(space, function, function index, offset of pc in its code) of a code address; the function is None and the offset 0
    if pc is in the function's pad. None if pc is not in function code."""
    space = find_space(pc)
    if space is None:
        return None
    found = space.locate(pc)
    return None if found is None else (space, *found)


def find_place(pc: int) -> Known | None:
    """Where a pc is, None if it is not in function code or pads."""
    try:
        return _places[pc]
    except KeyError:
        pass
    space = find_space(pc)
    if space is None:
        known = None
    else:
        found = space.locate(pc)
        if found is None:  # there may be code later
            return None
        function, index, offset = found
        if function is None:  # will be compiled, and is not there then
            return (None, index, 0, -1), 0, space._owner
        frame = bisect_right(function.frame_offsets, offset) - 1
        trap = bisect_left(function.trap_offsets, offset)
        code = -1
        if trap < len(function.trap_offsets) and function.trap_offsets[trap] == offset:
            code = function.trap_codes[trap]
        known = (function, index, offset, code), function.frame_sizes[frame] if frame >= 0 else 0, space._owner
    if len(_places) >= _MOST_PLACES:
        _places.clear()
    _places[pc] = known
    return known


def compile_pad(arena: CodeArena, number: int) -> int:
    """What the lazy-compile stub calls: compile the function of a pad, return the address of its code."""
    pad = arena.functions + number * PAD_SIZE
    space = find_space(pad)
    assert space is not None
    return space.compile(space.first + (pad - space._pads) // PAD_SIZE)
