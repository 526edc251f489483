"""Traps by fault, by call of the trap routine and by builtins; backtraces; stack overflow; lazy compilation."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys

import pytest

from brolga.ir import trap_codes
from brolga.jit import builtins
from brolga.jit.code import CompiledFunction
from brolga.jit.vmctx import CTX_BUILTINS
from brolga.jit.wasm.types import I32, I64, FuncType
from brolga.runtime.machine import Site, frames_of, machine, set_exception_hook
from brolga.runtime.machine import code as code_spaces
from brolga.runtime.machine.layout import STACK_SIZE

from .world import PAGE, WasmTrap, World, call_import, function, i32_i32, nothing

LEAF = """
    push rbx
pushed:
    sub rsp, 40
reserved:
    {body}
    add rsp, 40
freed:
    pop rbx
popped:
    ret
"""
LEAF_FRAMES = {"start": 0, "pushed": 8, "reserved": 48, "freed": 8, "popped": 0}
CALLER = """
    sub rsp, 24
reserved:
calls:
    call 0
returned:
    add rsp, 24
freed:
    ret
"""


def leaf(body: str, code: int = -1, index: int = 1) -> CompiledFunction:
    traps = {"trap": code} if code >= 0 else None
    locations = {"start": 100, "reserved": 110, "freed": -1}
    return function(index, LEAF.format(body=body), LEAF_FRAMES, traps, locations=locations)


def caller(index: int = 0, callee: int = 1) -> CompiledFunction:
    frames = {"start": 0, "reserved": 24, "freed": 0}
    return function(
        index, CALLER, frames, calls={"calls": callee}, locations={"start": 50, "calls": 60, "returned": 70}
    )


FAULTS = {
    "load": ("trap: mov eax, gs:[rdi + 0x20000]", trap_codes.MEMORY_OUT_OF_BOUNDS),
    "load far": ("mov edi, -1\ntrap: mov eax, gs:[rdi + 0x7fffffff]", trap_codes.MEMORY_OUT_OF_BOUNDS),
    "store": ("trap: mov gs:[rdi + 0x20000], al", trap_codes.MEMORY_OUT_OF_BOUNDS),
    "ud2": ("trap: ud2", trap_codes.UNREACHABLE),
    "divide": ("xor ecx, ecx\n xor edx, edx\n mov eax, edi\ntrap: idiv ecx", trap_codes.INTEGER_DIVISION_BY_ZERO),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_becomes_trap_with_frames(name: str) -> None:
    body, code = FAULTS[name]
    world = World([caller(), leaf(body, code)])
    for _ in range(3):
        with pytest.raises(WasmTrap) as caught:
            world.call(0, i32_i32, 5)
        assert caught.value.code == code
        assert caught.value.frames == [(1, 110), (0, 60)]
        assert caught.value.owners == [world, world]
        assert not world.state.running
    if name == "load":
        assert caught.value.address == world.memory.base + 5 + 0x20000


def test_inlined_bodies_are_frames_of_their_own() -> None:
    """For the instruction that traps as for return addresses, which may be the first thing behind a body."""
    trapping = leaf("mov edi, edi\ntrap: mov eax, gs:[rdi + 0x20000]", trap_codes.MEMORY_OUT_OF_BOUNDS)
    outer = caller()
    start, end = 4, 9  # of the call in `outer`
    trapping.inline_offsets, trapping.inline_calls, trapping.inline_funcs = [0, 50], [33, -1], [7, -1]
    outer.inline_offsets, outer.inline_calls, outer.inline_funcs = [start, end], [44, -1], [8, -1]
    world = World([outer, trapping])
    with pytest.raises(WasmTrap) as caught:
        world.call(0, i32_i32, 5)
    assert caught.value.code == trap_codes.MEMORY_OUT_OF_BOUNDS
    assert caught.value.frames == [(7, 110), (1, 33), (8, 60), (0, 44)]
    outer.inline_offsets = [end, end + 4]  # behind the call
    with pytest.raises(WasmTrap) as caught:
        world.call(0, i32_i32, 5)
    assert caught.value.frames == [(7, 110), (1, 33), (0, 60)]


def test_trap_routine_becomes_trap_with_frames() -> None:
    body = "trap: call 0"
    trapping = function(
        1, LEAF.format(body=body), LEAF_FRAMES, {"trap": trap_codes.INTEGER_OVERFLOW}, {"trap": -1}, {"reserved": 110}
    )
    for platform in ("linux", "minimal"):
        world = World([caller(), trapping], platform)
        with pytest.raises(WasmTrap) as caught:
            world.call(0, i32_i32, 5)
        assert caught.value.code == trap_codes.INTEGER_OVERFLOW
        assert caught.value.frames == [(1, 110), (0, 60)]


def test_fault_that_no_trap_explains_is_reported() -> None:
    world = World([caller(), leaf("mov rax, 16\n mov eax, [rax]")])
    with pytest.raises(Exception, match="unexpected fault .* in function 1 at offset 0x6e"):
        world.call(0, i32_i32, 5)


RECURSION = """
    push rbx
pushed:
calls:
    call 0
    pop rbx
popped:
    ret
"""


def test_stack_overflow_is_a_trap() -> None:
    recursive = function(
        0, RECURSION, {"start": 0, "pushed": 8, "popped": 0}, calls={"calls": 0}, locations={"start": 10, "calls": 20}
    )
    world = World([recursive])
    for _ in range(3):
        with pytest.raises(WasmTrap) as caught:
            world.call(0, nothing)
        assert caught.value.code == trap_codes.STACK_OVERFLOW
        frames = caught.value.frames
        assert frames[1:] == [(0, 20)] * 19  # the outer ones are not looked at


def test_stack_overflow_by_explicit_check() -> None:
    text = """
        mov rax, [r15]
        cmp rsp, [rax]
        ja room
    trap: call 0
    room:
        push rbx
    pushed:
    calls: call 0
        pop rbx
    popped:
        ret
    """
    recursive = function(
        0,
        text,
        {"start": 0, "pushed": 8, "popped": 0},
        {"trap": trap_codes.STACK_OVERFLOW},
        {"calls": 0, "trap": -1},
    )
    world = World([recursive], "minimal")
    for _ in range(3):
        with pytest.raises(WasmTrap) as caught:
            world.call(0, nothing)
        assert caught.value.code == trap_codes.STACK_OVERFLOW


@pytest.mark.parametrize("platform", ["linux", "minimal"])
def test_entry_without_room_is_a_trap(platform: str) -> None:
    """wasm that has used nearly all of its stack calls the host, which calls wasm."""
    text = f"""
        push rbp
        sub rsp, {STACK_SIZE - 8192}
        {call_import()}
        add rsp, {STACK_SIZE - 8192}
        pop rbp
        ret
    """
    world = World([function(0, text), function(1, "mov eax, edi\n ret")], platform)
    world.import_function(i32_i32, lambda x: world.call(1, i32_i32, x)[0])
    with pytest.raises(WasmTrap) as caught:
        world.call(0, i32_i32, 3)
    assert caught.value.code == trap_codes.STACK_OVERFLOW
    assert caught.value.frames == []
    assert world.call(1, i32_i32, 3) == [3]


@pytest.mark.parametrize("most", [1, 2, 1000])
def test_places_are_found_again_whether_they_are_known_or_not(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_spaces, "_MOST_PLACES", most)
    world = World([caller(), *[leaf(*FAULTS["ud2"], index) for index in (1, 2, 3)], caller(4, 2)])
    for _ in range(2):
        for first, frames in ((0, [(1, 110), (0, 60)]), (4, [(2, 110), (4, 60)]), (3, [(3, 110)])):
            with pytest.raises(WasmTrap) as caught:
                world.call(first, i32_i32, 0)
            assert caught.value.frames == frames


def test_nested_trap_unwinds_its_own_activation_only() -> None:
    body, code = FAULTS["ud2"]
    text = f"push rbp\npushed:\n{call_import()}\n pop rbp\n ret"
    world = World([function(0, text, {"start": 0, "pushed": 8}), leaf(body, code)])

    def host(x: int) -> int:
        with pytest.raises(WasmTrap) as caught:
            world.call(1, i32_i32, x)
        assert caught.value.frames == [(1, 110)]
        return x + 1

    world.import_function(i32_i32, host)
    assert world.call(0, i32_i32, 7) == [8]


@pytest.mark.parametrize("platform", ["linux", "minimal"])
def test_hook_sees_frames_of_passing_exceptions(platform: str) -> None:
    text = f"push rbp\npushed:\n{call_import()}\n pop rbp\npopped:\n ret"
    importing = function(1, text, {"start": 0, "pushed": 8, "popped": 0}, locations={"start": 5, "after_import0": 6})
    world = World([caller(), importing], platform)
    error = ValueError("from host")

    def host(x: int) -> int:
        raise error

    world.import_function(i32_i32, host)
    seen: list[tuple[BaseException, list[tuple[int, int]]]] = []

    def hook(exception: BaseException, sites: list[Site]) -> None:
        seen.append((exception, [(frame.func, frame.offset) for frame in frames_of(sites)]))

    set_exception_hook(hook)
    with pytest.raises(ValueError, match="from host"):
        world.call(0, i32_i32, 1)
    assert seen == [(error, [(1, 5), (0, 60)])]


# --- Lazy compilation


@pytest.mark.parametrize("platform", ["linux", "minimal"])
def test_lazy_compilation_keeps_arguments(platform: str) -> None:
    type = FuncType((I64,) * 8, (I64,))
    text = "mov rax, rdi\n" + "\n".join(f"imul rax, rax, 3\n add rax, {r}" for r in ("rsi", "rdx", "rcx", "r8", "r9"))
    text += "\n imul rax, rax, 3\n add rax, [rsp + 8]\n imul rax, rax, 3\n add rax, [rsp + 16]\n ret"
    world = World(
        [function(0, "jumps: .byte 0xe9, 0, 0, 0, 0", calls={"jumps": 1}), function(1, text)], platform, eager=False
    )
    expected = 0
    for i in range(8):
        expected = expected * 3 + i + 1
    assert world.call(0, type, *range(1, 9)) == [expected]
    assert world.compiled == [0, 1]
    assert world.call(0, type, *range(1, 9)) == [expected]
    assert world.call(1, type, *range(1, 9)) == [expected]
    assert world.compiled == [0, 1]
    assert world.space.code_address(1) != world.space.pad(1)


def test_what_is_installed_calls_only_what_is_there_and_known() -> None:
    """Another thread may call the first of several functions before the others are installed."""
    body, code = FAULTS["load"]
    world = World([caller(), leaf(body, code)], eager=False)
    frames: list[list[tuple[int, int]]] = []

    def other_thread(installed: list[tuple[int, int, int]]) -> None:
        with pytest.raises(WasmTrap) as caught:
            world.call(0, i32_i32, 5)
        frames.append(caught.value.frames)

    world.space.listener = other_thread
    world.space.install_all(world.functions)
    assert frames == [[(1, 110), (0, 60)]] * 2
    assert world.compiled == []


def test_code_that_another_thread_installs_first_stays() -> None:
    """The other thread installs the callee while both are: calls of the caller go to the second copy of its code."""
    body, code = FAULTS["load"]
    world = World([caller(), leaf(body, code)], eager=False)

    def other_thread(installed: list[tuple[int, int, int]]) -> None:
        world.space.listener = None
        world.space.install(world.functions[1])

    world.space.listener = other_thread
    world.space.install_all(world.functions)
    address = world.space.code_address(1)
    for func, expected in ((0, [(1, 110), (0, 60)]), (1, [(1, 110)])):
        with pytest.raises(WasmTrap) as caught:
            world.call(func, i32_i32, 5)
        assert caught.value.code == code
        assert caught.value.frames == expected
    assert world.space.installed() == 2
    assert world.space.code_address(1) == address


@pytest.mark.parametrize("platform", ["linux", "minimal"])
def test_exception_of_the_compiler_passes_through(platform: str) -> None:
    world = World([caller(), leaf("nop")], platform, eager=False)
    compile = world.compile

    def fail(func: int) -> CompiledFunction:
        if func == 1 and len(world.compiled) < 2:
            world.compiled.append(func)
            raise MemoryError("compiling")
        return compile(func)

    world.space._compile = fail
    with pytest.raises(MemoryError, match="compiling"):
        world.call(0, i32_i32, 1)
    assert world.compiled == [0, 1]
    world.call(0, i32_i32, 1)
    assert world.compiled == [0, 1, 1]


def test_call_from_within_a_compilation() -> None:
    """A finaliser or signal handler may enter wasm while a function is compiled, even the same one."""
    world = World([function(0, "lea eax, [rdi + 1]\n ret")], eager=False)
    compile = world.compile
    inner: list[int] = []

    def reenter(func: int) -> CompiledFunction:
        if not inner:
            inner.append(0)
            inner.extend(world.call(0, i32_i32, 1))
        return compile(func)

    world.space._compile = reenter
    assert world.call(0, i32_i32, 10) == [11]
    assert inner == [0, 2]


def test_direct_calls_among_eager_functions() -> None:
    world = World([caller(0, 1), caller(1, 2), leaf("nop", index=2)])
    code = ctypes.string_at(world.space.code_address(0), 16)
    target = world.space.code_address(0) + 9 + int.from_bytes(code[5:9], "little", signed=True)
    assert target == world.space.code_address(1)
    world.call(0, i32_i32, 0)


def test_code_is_given_back() -> None:
    arena = machine().arena

    def use() -> int:
        world = World([caller(), leaf("nop")])
        world.call(0, i32_i32, 0)
        used = sum(size for offset, size in arena.used() if offset >= arena.functions - arena.start)
        del world
        gc.collect()
        return used

    gc.collect()
    first = use()
    for _ in range(20):
        assert use() <= first


def test_no_page_is_writable_and_executable() -> None:
    script = """if True:
        from brolga.runtime.machine import machine
        machine()
        maps = open("/proc/self/maps").read()
        assert "brolga-code" in maps
        bad = [line for line in maps.splitlines() if "wx" in line.split()[1]]
        assert not bad, bad
    """
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


# --- Native builtins


BULK = {
    builtins.MEMORY_FILL: FuncType((I32,) * 4, ()),
    builtins.MEMORY_COPY: FuncType((I32,) * 5, ()),
    builtins.MEMORY_INIT: FuncType((I32,) * 5, ()),
}


@pytest.fixture(params=["linux", "minimal"])
def bulk(request: pytest.FixtureRequest) -> World:
    names = sorted(BULK)
    return World(
        [function(i, f"mov rax, [r15 + {CTX_BUILTINS}]\n jmp [rax + {8 * number}]") for i, number in enumerate(names)],
        request.param,
        memory=PAGE,
    )


def run_bulk(world: World, number: int, *args: int) -> None:
    world.call(sorted(BULK).index(number), BULK[number], *args)


def contents(world: World) -> bytearray:
    return bytearray(ctypes.string_at(world.memory.base, world.memory.length))


def test_memory_fill(bulk: World) -> None:
    expected = contents(bulk)
    for start, byte, length in ((0, 1, 10), (5, 0x1FF, 1), (100, 7, 0), (PAGE - 300, 9, 300), (PAGE, 1, 0)):
        run_bulk(bulk, builtins.MEMORY_FILL, 0, start, byte, length)
        expected[start : start + length] = bytes([byte & 255]) * length
        assert contents(bulk) == expected


def test_memory_copy(bulk: World) -> None:
    ctypes.memmove(bulk.memory.base, bytes(range(256)) * 256, PAGE)
    expected = contents(bulk)
    for length in (0, 1, 15, 16, 17, 31, 33, 255, 256, 257, 1000):
        for distance in (0, 1, 7, 15, 16, 17, 200, 2000, -1, -7, -15, -16, -17, -200, -2000):
            run_bulk(bulk, builtins.MEMORY_COPY, 0, 0, 5000 + distance, 5000, length)
            expected[5000 + distance : 5000 + distance + length] = expected[5000 : 5000 + length]
            assert contents(bulk) == expected, (length, distance)


def test_memory_init(bulk: World) -> None:
    expected = contents(bulk)
    run_bulk(bulk, builtins.MEMORY_INIT, 0, 0, 100, 2, 5)
    expected[100:105] = b"23456"
    assert contents(bulk) == expected
    bulk.segments[1] = 0  # dropped
    run_bulk(bulk, builtins.MEMORY_INIT, 0, 0, PAGE, 0, 0)
    with pytest.raises(WasmTrap):
        run_bulk(bulk, builtins.MEMORY_INIT, 0, 0, 0, 0, 1)


@pytest.mark.parametrize(
    ("number", "args"),
    [
        (builtins.MEMORY_FILL, (0, PAGE, 0, 1)),
        (builtins.MEMORY_FILL, (0, 1, 0, PAGE)),
        (builtins.MEMORY_FILL, (0, 0xFFFF_FFFF, 0, 0xFFFF_FFFF)),
        (builtins.MEMORY_COPY, (0, 0, PAGE - 1, 0, 2)),
        (builtins.MEMORY_COPY, (0, 0, 0, PAGE - 1, 2)),
        (builtins.MEMORY_COPY, (0, 0, PAGE + 1, 0, 0)),
        (builtins.MEMORY_COPY, (0, 0, 0xFFFF_FFFF, 0, 0xFFFF_FFFF)),
        (builtins.MEMORY_INIT, (0, 0, 0, 5, 6)),
        (builtins.MEMORY_INIT, (0, 0, PAGE - 1, 0, 2)),
        (builtins.MEMORY_INIT, (0, 0, 0, 0xFFFF_FFFF, 0xFFFF_FFFF)),
    ],
)
def test_bulk_out_of_bounds(bulk: World, number: int, args: tuple[int, ...]) -> None:
    before = contents(bulk)
    with pytest.raises(WasmTrap) as caught:
        run_bulk(bulk, number, *args)
    assert caught.value.code == trap_codes.MEMORY_OUT_OF_BOUNDS
    assert contents(bulk) == before


# --- Memories


@pytest.mark.parametrize("platform", ["linux", "minimal"])
def test_memory_grows_and_is_zero_again(platform: str) -> None:
    for _ in range(3):
        block = machine(platform).new_memory(PAGE, 4 * PAGE)
        assert ctypes.string_at(block.base, PAGE) == bytes(PAGE)
        ctypes.memset(block.base, 0xAA, PAGE)
        assert block.grow(3 * PAGE)
        assert ctypes.string_at(block.base, 3 * PAGE) == b"\xaa" * PAGE + bytes(2 * PAGE)
        ctypes.memset(block.base, 0xBB, 3 * PAGE)
        assert not block.grow(5 * PAGE)
        assert block.length == 3 * PAGE
        block.release()
        assert block.length == 0


def test_reserved_memory_never_moves() -> None:
    block = machine().new_memory(0, 1 << 32)
    base = block.base
    assert block.grow(1 << 30)
    assert block.base == base
