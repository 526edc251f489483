"""Calls that wait end when they are asked to, and take no core meanwhile; other threads run."""

from __future__ import annotations

import os
import signal
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import brolga
from brolga import Trap, WasiConfig, WasmTimeout
from brolga.runtime.machine import waiting
from brolga.runtime.wasi.functions import FUNCTIONS, MODULE_NAME

_FOREVER = 3_600_000_000_000  # nanoseconds
_LETTERS = {0x7F: "i32", 0x7E: "i64"}
_PATIENCE = 30.0  # seconds: generous


def _module() -> str:
    """Exports a function for each of WASI's, and the memory."""
    imports, exports = [], []
    for name, function in FUNCTIONS.items():
        params = " ".join(_LETTERS[code] for code in function.type.params)
        result = "(result i32)" if function.type.results else ""
        gets = " ".join(f"local.get {place}" for place in range(len(function.type.params)))
        imports.append(f'(import "{MODULE_NAME}" "{name}" (func ${name} (param {params}) {result}))')
        exports.append(f'(func (export "{name}") (param {params}) {result} {gets} call ${name})')
    return f'(module {"".join(imports)} (memory (export "memory") 100) {"".join(exports)})'


_TEXT = _module()
_SUBSCRIPTION_OF_CLOCK = struct.pack("<QBxxxxxxxIxxxxQQHxxxxxx", 1, 0, 1, _FOREVER, 0, 0)


def _subscription(kind: int, fd: int) -> bytes:
    return struct.pack("<QBxxxxxxxI28x", 1, kind, fd)


@pytest.fixture(params=["linux", "minimal"])
def engine(request: pytest.FixtureRequest) -> brolga.Engine:
    config = brolga.Config()
    config.platform = request.param
    return brolga.Engine(config)


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


# Each makes a call that waits for ever: given the guest, the configuration's streams are pipes that nobody else uses.


def _poll_clock(guest: Any) -> object:
    guest.memory.write(1024, _SUBSCRIPTION_OF_CLOCK)
    return guest.poll_oneoff(1024, 2048, 1, 8)


def _poll_input(guest: Any) -> object:
    guest.memory.write(1024, _subscription(1, 0))
    return guest.poll_oneoff(1024, 2048, 1, 8)


def _poll_both(guest: Any) -> object:
    guest.memory.write(1024, _subscription(1, 0) + _SUBSCRIPTION_OF_CLOCK)
    return guest.poll_oneoff(1024, 2048, 2, 8)


def _read_input(guest: Any) -> object:
    guest.memory.write(1024, struct.pack("<II", 4096, 100))
    return guest.fd_read(0, 1024, 1, 8)


def _write_output(guest: Any) -> object:
    guest.memory.write(1024, struct.pack("<II", 4096, 1 << 20))
    return guest.fd_write(1, 1024, 1, 8)


def _open(guest: Any, rights: int) -> int:
    guest.memory.write(512, b"fifo")
    assert guest.path_open(3, 0, 512, 4, 0, rights, 0, 0, 16) == 0
    return int.from_bytes(guest.memory.read(16, 20), "little")


def _read_fifo(guest: Any) -> object:
    guest.memory.write(1024, struct.pack("<II", 4096, 100))
    return guest.fd_read(_open(guest, 2), 1024, 1, 8)


def _open_fifo_for_writing(guest: Any) -> object:
    return _open(guest, 64)


def _fill_fifo(guest: Any) -> object:
    guest.memory.write(1024, struct.pack("<II", 4096, 1 << 20))
    return guest.fd_write(_open(guest, 2 | 64), 1024, 1, 8)


_WAITS = [
    _poll_clock,
    _poll_input,
    _poll_both,
    _read_input,
    _write_output,
    _read_fifo,
    _open_fifo_for_writing,
    _fill_fifo,
]


@pytest.fixture
def guest(engine: brolga.Engine, pipe: tuple[int, int], tmp_path: Path) -> Any:
    os.mkfifo(tmp_path / "fifo")
    config = WasiConfig()
    config.stdin_file = f"/proc/self/fd/{pipe[0]}"
    config.stdout_file = f"/proc/self/fd/{pipe[1]}"
    config.preopen_dir(tmp_path, "/")
    return brolga.load(_TEXT, engine=engine, wasi=config)


class _Limited:
    """An instance all of whose calls get a timeout, or another limit."""

    def __init__(self, guest: Any, **options: Any) -> None:
        self._guest = guest
        self._options = options

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._guest, name)
        return found if name == "memory" else lambda *args: found(*args, **self._options)


@pytest.mark.parametrize("wait", _WAITS)
def test_a_timeout_ends_it(guest: Any, wait: Callable[[Any], object]) -> None:
    started = time.monotonic()
    with pytest.raises(WasmTimeout):
        wait(_Limited(guest, timeout=0.2))
    assert time.monotonic() - started < _PATIENCE
    assert guest.sched_yield() == 0, "the store is usable"


@pytest.mark.parametrize("wait", _WAITS)
def test_interrupt_ends_it_and_others_run(guest: Any, wait: Callable[[Any], object]) -> None:
    turns = 0

    def interrupt() -> None:
        nonlocal turns
        for turns in range(1, 21):
            time.sleep(0.005)
        guest.store.interrupt()

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(Trap):
        wait(guest)
    assert turns == 20
    thread.join()


@pytest.mark.parametrize("wait", _WAITS)
def test_a_handler_of_a_signal_that_raises_ends_it(guest: Any, wait: Callable[[Any], object]) -> None:
    class Stop(BaseException):
        pass

    def stop(*_: object) -> None:
        raise Stop

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(Stop):
            wait(guest)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_an_epoch_ends_it(tmp_path: Path) -> None:
    settings = brolga.Config()
    settings.epoch_interruption = True
    engine = brolga.Engine(settings)
    store = brolga.Store(engine)
    store.set_epoch_deadline(1)
    guest = brolga.load(_TEXT, store=store, wasi=WasiConfig())
    timer = threading.Timer(0.1, engine.increment_epoch)
    timer.start()
    with pytest.raises(Trap):
        _poll_clock(guest)
    timer.join()


def test_waiting_takes_no_core(guest: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks once in a slice, not all the time."""
    looks = 0
    poll = waiting._poll

    def counted(*args: object) -> object:
        nonlocal looks
        looks += 1
        return poll(*args)

    monkeypatch.setattr(waiting, "_poll", counted)
    with pytest.raises(WasmTimeout):
        _poll_input(_Limited(guest, timeout=0.5))
    assert 1 < looks < 100


def test_what_comes_is_read(guest: Any, pipe: tuple[int, int]) -> None:
    timer = threading.Timer(0.1, os.write, (pipe[1], b"hello"))
    timer.start()
    assert _read_input(guest) == 0
    assert guest.memory.read(4096, 4101) == b"hello"
    timer.join()


def test_all_is_written_while_somebody_reads(guest: Any, pipe: tuple[int, int]) -> None:
    """More than a pipe holds, in one call, as for programs that do not look how much was written."""
    data = os.urandom(1 << 20)
    guest.memory.write(4096, data)
    received = bytearray()

    def read() -> None:
        while len(received) < len(data):
            received.extend(os.read(pipe[0], 50_000))

    thread = threading.Thread(target=read)
    thread.start()
    assert _write_output(guest) == 0
    thread.join()
    assert received == data
    assert guest.memory.read(8, 12) == struct.pack("<I", len(data))


def test_what_was_written_before_the_end_is_counted(engine: brolga.Engine, pipe: tuple[int, int]) -> None:
    """The reader goes in the middle: a short count, then the error."""
    reader, writer = os.pipe()
    config = WasiConfig()
    config.stdout_file = f"/proc/self/fd/{writer}"
    os.close(writer)
    guest = brolga.load(_TEXT, engine=engine, wasi=config)

    def read_some() -> None:
        os.read(reader, 4096)
        os.close(reader)

    thread = threading.Thread(target=read_some)
    thread.start()
    assert _write_output(guest) == 0
    thread.join()
    assert 4096 <= int.from_bytes(guest.memory.read(8, 12), "little") < 1 << 20
    assert _write_output(guest) == brolga.runtime.wasi.abi.ERRNO["pipe"]


def test_fifos_are_opened_as_asked(guest: Any, tmp_path: Path) -> None:
    guest.memory.write(512, b"fifo")
    nonblock = 4
    assert guest.path_open(3, 0, 512, 4, 0, 64, 0, nonblock, 16) == brolga.runtime.wasi.abi.ERRNO["nxio"]
    assert guest.path_open(3, 0, 512, 4, 0, 2, 0, nonblock, 16) == 0
    fd = int.from_bytes(guest.memory.read(16, 20), "little")
    with open(tmp_path / "fifo", "wb", buffering=0) as writer:
        guest.memory.write(1024, struct.pack("<II", 4096, 100))
        assert guest.fd_read(fd, 1024, 1, 8) == brolga.runtime.wasi.abi.ERRNO["again"]
        writer.write(b"x")
        assert guest.fd_read(fd, 1024, 1, 8) == 0 and guest.memory.read(8, 12) == struct.pack("<I", 1)
    opened: list[int] = []
    timer = threading.Timer(0.1, lambda: opened.append(os.open(tmp_path / "fifo", os.O_RDONLY)))
    timer.start()
    assert guest.path_open(3, 0, 512, 4, 0, 64, 0, 0, 16) == 0, "a reader came"
    timer.join()
    os.close(opened[0])
