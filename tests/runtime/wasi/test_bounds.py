"""What one call of a guest can ask of the host is bounded, and what does not fit is an error number."""

from __future__ import annotations

import contextlib
import copy
import os
import struct
import subprocess
import sys
import textwrap
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

import brolga
from brolga import WasiConfig, WasmtimeError
from brolga.runtime.wasi import context as wasi_context
from brolga.runtime.wasi.abi import ERRNO
from brolga.runtime.wasi.context import WasiContext
from brolga.runtime.wasi.descriptors import MOST_OF_SINK, OutputStream
from brolga.runtime.wasi.functions import FUNCTIONS
from brolga.runtime.wasi.poll_calls import MOST_SUBSCRIPTIONS
from brolga.runtime.wasi.transfer import MOST_BYTES

from .guests import OurGuest
from .test_waiting import _TEXT

_MOST_PEAK = 2 << 20  # bytes that a call may take meanwhile


def _guest(config: WasiConfig | None = None) -> Any:
    return brolga.load(_TEXT, wasi=config or WasiConfig())


def _peak(guest: Any, name: str, *args: int) -> tuple[int, int]:
    """The result of a call, and how much memory Python took for it."""
    function = getattr(guest, name)
    with contextlib.suppress(WasmtimeError):
        function(*[0xFFFF_FFF0] * len(args))  # imports what does the work
    tracemalloc.start()
    try:
        result = function(*args)
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["fd_write", "fd_read"])
@pytest.mark.parametrize("pairs", [1024, 500_000])
def test_many_buffers(name: str, pairs: int, tmp_path: Path) -> None:
    """Overlapping ones, of all the memory but the array."""
    config = WasiConfig()
    config.stdin_bytes = bytes(1000)
    taken: list[int] = []
    for sink in (None, lambda data: taken.append(len(data))):
        if sink is not None:
            config = WasiConfig()
            config.stdout_custom = sink
        guest = _guest(config)
        guest.memory.write(65536, struct.pack("<II", 0, 6 << 20) * pairs)
        result, peak = _peak(guest, name, int(name == "fd_write"), 65536, pairs, 0)
        assert result == 0 and peak < _MOST_PEAK
        if name == "fd_write":
            count = int.from_bytes(guest.memory.read(0, 4), "little")
            assert count == (MOST_BYTES if sink is None else MOST_OF_SINK)
    assert all(size <= MOST_OF_SINK for size in taken)


def test_many_subscriptions() -> None:
    guest = _guest()
    clock = struct.pack("<QBxxxxxxxIxxxxQQHxxxxxx", 1, 0, 1, 0, 0, 0)
    guest.memory.write(65536, clock * MOST_SUBSCRIPTIONS)
    assert guest.poll_oneoff(65536, 1 << 20, MOST_SUBSCRIPTIONS, 0) == 0
    assert guest.memory.read(0, 4) == struct.pack("<I", MOST_SUBSCRIPTIONS)
    result, peak = _peak(guest, "poll_oneoff", 65536, 65536, 100_000, 0)
    assert result == ERRNO["inval"] and peak < _MOST_PEAK


@pytest.mark.parametrize("size", [4096, 6 << 20])
def test_long_paths(size: int, tmp_path: Path) -> None:
    config = WasiConfig()
    config.preopen_dir(tmp_path, "/")
    guest = _guest(config)
    guest.memory.write(0, b"a" * size)
    too_long = ERRNO["nametoolong"]
    for name, args in (
        ("path_open", (3, 0, 0, size, 0, 0, 0, 0, 0)),
        ("path_filestat_get", (3, 0, 0, size, 0)),
        ("path_symlink", (0, size, 3, 0, 5)),
        ("path_readlink", (3, 0, size, 0, 5, 0)),
    ):
        result, peak = _peak(guest, name, *args)
        assert result == too_long and peak < _MOST_PEAK, name


def test_random_bytes_come_in_pieces() -> None:
    guest = _guest()
    result, peak = _peak(guest, "random_get", 65536, 6 << 20)
    assert result == 0 and peak < _MOST_PEAK
    assert len(set(guest.memory.read(65536 + (5 << 20), 65536 + (5 << 20) + 1000))) > 100


def test_descriptors_are_left_to_the_host(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    child = textwrap.dedent(
        f"""
        import os, resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
        from brolga import WasiConfig
        from tests.runtime.wasi.guests import OurGuest
        config = WasiConfig()
        config.preopen_dir({str(tmp_path)!r}, "/")
        guest = OurGuest(config)
        results = [guest.open(3, "f")[0] for _ in range(300)]
        assert results[0] == "success" and results[-1] == "nfile", results
        own = [os.open("/", os.O_RDONLY) for _ in range(40)]
        assert guest.call("fd_close", 4) == "success" and guest.open(3, "f")[0] in ("success", "nfile")
        """
    )
    subprocess.run([sys.executable, "-c", child], check=True, timeout=120)


def test_the_number_of_descriptors_of_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wasi_context, "MOST_DESCRIPTORS", 10)
    (tmp_path / "f").touch()
    config = WasiConfig()
    config.preopen_dir(tmp_path, "/")
    guest = OurGuest(config)
    before = len(os.listdir("/proc/self/fd"))
    results = [guest.open(3, "f")[0] for _ in range(8)]
    assert results == ["success"] * 6 + ["mfile"] * 2
    assert len(os.listdir("/proc/self/fd")) == before + 6
    assert guest.call("fd_close", 5) == "success" and guest.open(3, "f") == ("success", 5)


@pytest.mark.parametrize("nanoseconds", [-1, -(10**9), -(10**18), 0, 2**63 - 1, 2**64 - 1, 2**64, 10**20])
def test_times_beyond_the_record(nanoseconds: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = WasiConfig()
    config.preopen_dir(tmp_path, "/")
    (tmp_path / "f").touch()
    guest = OurGuest(config)
    fd = guest.open(3, "f")[1]
    real = os.fstat

    def fstat(descriptor: int) -> Any:
        status = real(descriptor)

        class Status:
            st_atime_ns = st_mtime_ns = st_ctime_ns = nanoseconds

            def __getattr__(self, name: str) -> Any:
                return getattr(status, name)

        return Status()

    monkeypatch.setattr(os, "fstat", fstat)
    expected = min(max(nanoseconds, 0), 2**64 - 1)
    for call in (
        lambda: guest.call("path_filestat_get", 3, 1, *guest.path("f"), 2048),
        lambda: guest.call("fd_filestat_get", fd, 2048),
    ):
        assert call() == "success"
        assert [guest.u64(2048 + place) for place in (40, 48, 56)] == [expected] * 3


def test_times_before_1970_of_a_file(tmp_path: Path) -> None:
    config = WasiConfig()
    config.preopen_dir(tmp_path, "/")
    (tmp_path / "f").touch()
    os.utime(tmp_path / "f", ns=(-1, -(10**9)))
    guest = OurGuest(config)
    assert guest.call("path_filestat_get", 3, 1, *guest.path("f"), 2048) == "success"
    assert guest.u64(2088) == guest.u64(2096) == 0


def test_numbers_that_do_not_fit_are_errors_of_the_call() -> None:
    """Sizes of arguments beyond 32 bits, and pointers to the end of a memory of 4 GiB."""

    class Huge(bytes):
        def __len__(self) -> int:
            return 1 << 32

    context = WasiContext([Huge()], [], [])
    guest = OurGuest(WasiConfig())
    guest.context = context
    before = bytes(guest.memory)
    assert guest.call("args_sizes_get", 0, 8) == "overflow"
    assert guest.call("args_sizes_get", 4 * 65536, 8) == "trap"
    assert bytes(guest.memory)[8:] == before[8:]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_number_leads_to_another_exception(name: str, tmp_path: Path) -> None:
    """Each function with edges of all numbers in each place: an error number, a trap or an exit."""
    make = _numbers_guest(tmp_path)
    params = FUNCTIONS[name].type.params
    edges = [0, 1, 3, 4, 8, 1000, 4 * 65536 - 4, 4 * 65536, 2**31, 2**32 - 8, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1]
    base = [3 if place == 0 else 1024 for place in range(len(params))]
    for place in range(len(params)):
        for edge in edges:
            for first in (0, 1, 3, 4):
                args = [first, *base[1:]] if params else []
                args[place] = edge
                guest = make()
                outcome = guest.call(name, *args)
                assert outcome in ("trap", "exit", "returned") or outcome in ERRNO
                guest.context.close()


def _numbers_guest(tmp_path: Path) -> Any:
    (tmp_path / "f").write_bytes(b"content")

    def make() -> OurGuest:
        config = WasiConfig()
        config.preopen_dir(tmp_path, "/")
        guest = OurGuest(config)
        guest.open(3, "f")
        guest.write(1024, bytes(64))
        return guest

    return make


@pytest.mark.parametrize("answer", [500, 2**40, 2.0, "5", True, None, 0, 3, -1, 5])
def test_what_callbacks_return(answer: Any) -> None:
    config = WasiConfig()
    config.stdout_custom = lambda data: answer
    guest = _guest(config)
    guest.memory.write(1024, struct.pack("<II", 4096, 5))
    if answer in (None, 0, 3, 5) or answer is True:
        assert guest.fd_write(1, 1024, 1, 8) == 0
        assert int.from_bytes(guest.memory.read(8, 12), "little") == (5 if answer is None else int(answer))
    elif answer == -1:
        assert guest.fd_write(1, 1024, 1, 8) == ERRNO["io"]
    else:
        with pytest.raises(WasmtimeError, match="callback for output"):
            guest.fd_write(1, 1024, 1, 8)


def test_configurations_and_descriptors_are_not_copied(tmp_path: Path) -> None:
    config = WasiConfig()
    config.preopen_dir(tmp_path, "/")
    with pytest.raises(TypeError, match="cannot copy"):
        copy.deepcopy(config)
    with pytest.raises(TypeError, match="cannot copy"):
        copy.copy(OutputStream())


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config.preopen_dir("/", b"/"),
        lambda config: config.preopen_dir("/", 5),
        lambda config: config.preopen_dir(5, "/"),
        lambda config: config.preopen_dir("/", "/", 5),
        lambda config: config.preopen_dir("/", "/", brolga.FilePerms.READ_ONLY),
        lambda config: config.preopen_dir("/", "/", None, brolga.DirPerms.READ_ONLY),
        lambda config: config.preopen_dir("/", "/", fs_mutable=5),
        lambda config: setattr(config, "argv", [5]),
        lambda config: setattr(config, "env", [("a", 5)]),
        lambda config: setattr(config, "stdin_bytes", 5),
        lambda config: setattr(config, "stdin_file", 5),
        lambda config: setattr(config, "stdout_file", 5),
        lambda config: setattr(config, "stdout_custom", 5),
    ],
)
def test_wrong_kinds_of_arguments(change: Any) -> None:
    with pytest.raises(brolga.ArgumentTypeError):
        change(WasiConfig())


def test_a_configuration_that_was_used_up_opens_nothing() -> None:
    config = WasiConfig()
    config._context().close()
    before = os.listdir("/proc/self/fd")
    for change in (
        lambda: config.preopen_dir("/", "/"),
        config.inherit_argv,
        config.inherit_env,
        config.inherit_stdin,
        config.inherit_stdout,
        config.inherit_stderr,
    ):
        with pytest.raises(ValueError, match="already closed"):
            change()
    assert os.listdir("/proc/self/fd") == before


_STREAMS = r"""(module
 (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
 (memory (export "memory") 1) (data (i32.const 8) "data.txt") (data (i32.const 100) "noise") (data (i32.const 200) "content")
 (data (i32.const 512) "\07\00\00\00\00\00\00\00\01")
 (func $put (param i32 i32 i32) (result i32)
   (i32.store (i32.const 2000) (local.get 1)) (i32.store (i32.const 2004) (local.get 2))
   (call $write (local.get 0) (i32.const 2000) (i32.const 1) (i32.const 2008)))
 (func $check (param i32 i32) (if (i32.ne (local.get 0) (local.get 1)) (then unreachable)))
 (func (export "_start")
  (drop (call $open (i32.const 3) (i32.const 0) (i32.const 8) (i32.const 8) (i32.const 1) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 64)))
  (call $check (call $put (i32.const 1) (i32.const 100) (i32.const 5)) (i32.const 8))
  (call $check (call $put (i32.const 2) (i32.const 100) (i32.const 5)) (i32.const 8))
  (call $check (call $read (i32.const 0) (i32.const 2000) (i32.const 1) (i32.const 2008)) (i32.const 8))
  (call $check (call $poll (i32.const 512) (i32.const 1024) (i32.const 1) (i32.const 2008)) (i32.const 0))
  (call $check (i32.load16_u (i32.const 1032)) (i32.const 8))
  (call $check (call $put (i32.load (i32.const 64)) (i32.const 200) (i32.const 7)) (i32.const 0))))"""


@pytest.mark.parametrize("command", ["-m brolga run --dir d prog.wasm", "embedder.py"])
def test_standard_streams_that_are_closed_at_the_start(command: str, tmp_path: Path) -> None:
    """Nothing that a program prints goes into the files that have their numbers; they are bad descriptors, also for polls."""
    (tmp_path / "d").mkdir()
    (tmp_path / "prog.wasm").write_bytes(brolga.wat2wasm(_STREAMS))
    (tmp_path / "embedder.py").write_text(
        textwrap.dedent("""
            import brolga
            config = brolga.WasiConfig()
            config.inherit_stdin(); config.inherit_stdout(); config.inherit_stderr(); config.preopen_dir("d", "d")
            brolga.load("prog.wasm", wasi=config)._start()
        """)
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    words = f"{sys.executable} {command}"
    done = subprocess.run(
        f"exec {words} >&- 2>&- <&-", shell=True, cwd=tmp_path, env=environment, timeout=120, check=False
    )
    assert done.returncode == 0
    assert (tmp_path / "d" / "data.txt").read_bytes() == b"content"
