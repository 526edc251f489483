"""Hand-written machine code that is kept: what comes out of the file is what the assembler makes."""

from __future__ import annotations

import marshal
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from brolga.jit import builtins
from brolga.jit.cache_format import digest
from brolga.jit.x64 import abi
from brolga.runtime import build
from brolga.runtime.machine import assembler, preassembled
from brolga.runtime.machine.preassembled import ABSOLUTE, NEAR, SHORT, OutOfReachError, Routine, Shelf, analyse, link

_TEXT = """
    mov rax, {OBJECT}
    mov rcx, {OBJECT} + 24
    call {FAR}
again:
    dec rcx
    jnz again
    jz {FAR}
    jmp {FAR} + 3
    ret
"""
_BASE = 0x7F12_3456_0000
_ADDRESSES = {"OBJECT": 0x7F99_0000_1230, "FAR": _BASE + 0x10000}


def _assemble(text: str, addresses: dict[str, int], base: int) -> bytes:
    return assembler.assemble_text(text.format_map({name: hex(value) for name, value in addresses.items()}), base)


def _routine(text: str, addresses: dict[str, int], base: int = _BASE) -> Routine | None:
    return analyse(
        lambda table, base: _assemble(text, dict(table), base), addresses, base, _assemble(text, addresses, base)
    )


def test_addresses_and_distances_are_found() -> None:
    routine = _routine(_TEXT, _ADDRESSES)
    assert routine is not None
    assert [(size, name, addend) for _, size, name, addend in routine[1]] == [
        (ABSOLUTE, "OBJECT", 0),
        (ABSOLUTE, "OBJECT", 24),
        (NEAR, "FAR", 0),
        (NEAR, "FAR", 0),
        (NEAR, "FAR", 3),
    ]
    for base, addresses in (
        (_BASE, _ADDRESSES),
        (_BASE + 0x5550, {"OBJECT": 0x5555_5555_0010, "FAR": _BASE}),
        (0x7000_0000_0000, {"OBJECT": 0x7FFF_FFFF_FFF0, "FAR": 0x7000_0000_0000 - 0x7000}),
    ):
        assert link(routine, addresses, base) == _assemble(_TEXT, addresses, base)


def test_short_jumps_do_not_reach_everywhere() -> None:
    routine = _routine("jmp {NEAR_BY}", {"NEAR_BY": _BASE + 64})
    assert routine is not None and [fixup[1] for fixup in routine[1]] == [SHORT]
    assert link(routine, {"NEAR_BY": _BASE - 64}, _BASE) == _assemble("jmp {NEAR_BY}", {"NEAR_BY": _BASE - 64}, _BASE)
    with pytest.raises(OutOfReachError):
        link(routine, {"NEAR_BY": _BASE + 1000}, _BASE)


@pytest.mark.parametrize("text", ["mov rax, {OBJECT} * 2", "mov rax, {OBJECT} & 0xfffffffffffff000"])
def test_what_fixups_cannot_express_is_not_kept(text: str) -> None:
    assert _routine(text, _ADDRESSES) is None


def test_shelves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "shelf"
    sources = ["one"]

    def source() -> str:
        return sources[0]

    routine: Routine = (b"\xe8\0\0\0\0\xc3", ((1, NEAR, "A", 0),))
    shelf = Shelf(str(path), source)
    assert shelf.find("a") is None
    shelf.add("a", lambda: routine)
    shelf.add("b", lambda: None)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)
        shelf.write()
        assert not path.exists()
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    shelf.write()
    assert os.listdir(path.parent) == ["shelf"]
    assert Shelf(str(path), source).find("a") == routine and Shelf(str(path), source).find("b") is None

    other = Shelf(str(path), source)
    other.add("c", lambda: (b"\x90", ()))
    other.write()
    assert Shelf(str(path), source).find("a") == routine

    sources[0] = "another"
    assert Shelf(str(path), source).find("a") is None
    sources[0] = "one"

    data = path.read_bytes()
    for damaged in (data[:-1], data[:20], b"", bytes([data[0] ^ 1]) + data[1:], data[:-1] + bytes([data[-1] ^ 1])):
        path.write_bytes(damaged)
        assert Shelf(str(path), source).find("a") is None
    for place in ("/proc/nowhere/shelf", ""):
        nowhere = Shelf(place, source)
        nowhere.add("a", lambda: routine)
        nowhere.write()
        assert Shelf(place, source).find("a") is None
    path.write_bytes(data)
    sources[0] = "another"
    another = Shelf(str(path), source)
    another.add("d", lambda: routine)
    another.write()
    assert another.find("d") == routine and Shelf(str(path), source).find("a") is None


@pytest.mark.parametrize(
    "content",
    [
        5,
        None,
        ("one",),
        ("one", 5),
        ("one", {"a": 5}),
        ("one", {"a": (b"\xc3",)}),
        ("one", {"a": ("text", ())}),
        ("one", {"a": (b"\xc3", 5)}),
        ("one", {"a": (b"\xc3", ((0, 4, "FAR", 0),))}),
        ("one", {"a": (bytes(8), ((0, 3, "FAR", 0),))}),
        ("one", {"a": (bytes(8), ((-1, 4, "FAR", 0),))}),
        ("one", {"a": (bytes(8), ((0, 4, 5, 0),))}),
        ("one", {"a": (bytes(8), ((0, 4, "FAR", "x"),))}),
        ("one", {"a": (bytes(8), (5,))}),
    ],
)
def test_contents_of_another_form_are_not_there(content: object, tmp_path: Path) -> None:
    path = tmp_path / "shelf"
    data = marshal.dumps(content)
    path.write_bytes(preassembled._HEADER + digest(data) + data)
    assert Shelf(str(path), lambda: "one").find("a") is None
    for cut in (0, 1, len(data) - 1):
        path.write_bytes(preassembled._HEADER + digest(data[:cut]) + data[:cut])
        assert Shelf(str(path), lambda: "one").find("a") is None


def test_what_others_could_have_written_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = tmp_path / "shelf"
    before = os.umask(0)
    try:
        shelf = Shelf(str(path), lambda: "one")
        shelf.add("a", lambda: (b"\xc3", ()))
        shelf.write()
    finally:
        os.umask(before)
    assert Shelf(str(path), lambda: "one").find("a")
    for mode in (0o664, 0o646):
        path.chmod(mode)
        assert Shelf(str(path), lambda: "one").find("a") is None
    path.chmod(0o644)
    path.rename(tmp_path / "target")
    path.symlink_to(tmp_path / "target")
    assert Shelf(str(path), lambda: "one").find("a") is None
    path.unlink()
    os.mkfifo(path)
    assert Shelf(str(path), lambda: "one").find("a") is None
    path.unlink()
    path.mkdir()
    assert Shelf(str(path), lambda: "one").find("a") is None
    path.rmdir()
    (tmp_path / "target").rename(path)
    owner = path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert (Shelf(str(path), lambda: "one").find("a") is not None) == (owner == 0)


def test_source_that_changes_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that began with other texts than there are now writes nothing: they would pass for the present ones."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = tmp_path / "shelf"
    sources = ["before"]
    for wanted in (True, False):
        shelf = Shelf(str(path), lambda: sources[0])
        if wanted:
            assert shelf.find("a") is None
        shelf.add("a", lambda: (b"\xc3", ()))
        sources[0] = f"after {wanted}"
        shelf.write()
        assert not path.exists()


def test_nothing_is_kept_if_nothing_tells_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    shelf = Shelf(str(tmp_path / "shelf"), str)
    shelf.add("a", lambda: (b"\xc3", ()))
    shelf.write()
    assert not os.listdir(tmp_path)


def test_the_source_is_also_what_texts_are_made_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not only their own package: the number of builtins is in the routine of each, places of arguments in entries."""
    monkeypatch.setattr(build, "COMPILED", False)
    for module in (abi, builtins):
        before = preassembled._source()
        assert before == preassembled._source() != ""
        edited = tmp_path / os.path.basename(module.__file__)
        edited.touch()
        with monkeypatch.context() as patch:
            patch.setattr(module, "__file__", str(edited))
            assert preassembled._source() != before


def test_the_assembler_is_not_loaded_twice(tmp_path: Path) -> None:
    """All that a machine assembles when it is made, and the code of an instance's builtins."""
    script = (
        "import sys, brolga; s = brolga.Store();"
        "brolga.Instance(s, brolga.Module(s.engine, b'\\0asm\\1\\0\\0\\0'), []); print('keystone' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(tmp_path)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    outputs = [
        subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True, timeout=100
        ).stdout
        for _ in range(2)
    ]
    assert outputs == ["True\n", "False\n"]


def test_every_routine_can_be_kept() -> None:
    """Each routine made in a process is expressed by fixups, and comes out as the assembler made it. In a process of its own: a second machine
    installs signal handlers before those of other libraries here."""
    script = """
        import sys
        from brolga.runtime.machine import assembler, preassembled
        from brolga.runtime.machine.machine import Machine
        from brolga.runtime.platform.linux import LinuxPlatform
        from brolga.runtime.platform.minimal import MinimalPlatform
        shelf = preassembled.Shelf("", str)
        assembler.SHELF = sys.modules[Machine.__module__].SHELF = shelf
        for platform in (LinuxPlatform(), MinimalPlatform()):
            Machine(platform)
        assert len(shelf._new) > 40
        assert all(make() is not None for make in shelf._new.values())
        assert preassembled.SHELF is not shelf
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=100)
