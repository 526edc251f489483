"""A WASI program run on an engine: what each call answered and left in the guest's memory, with what may differ blanked."""

from __future__ import annotations

import importlib
import os
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

import wasmtime
from wasi_programs import MEMORY_SIZE, Call, Opened, Program
from wasi_worlds import Privileges, World

import brolga
from brolga.runtime.wasi import resolve
from brolga.runtime.wasi.abi import DIRENT, ERRNO_NAMES, FDSTAT, FILESTAT, PRESTAT
from brolga.runtime.wasi.functions import FUNCTIONS

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.runtime.wasi.guests import bridge_module

TIMEOUT: Final = 1.0  # of a call
PATIENCE: Final = 10.0  # a call that takes longer hangs
_PADDED: Final = {"fd_fdstat_get": FDSTAT, "fd_prestat_get": PRESTAT}  # records with bytes that say nothing
_RECENT: Final = 86_400_000_000_000
_WASM: Final = bytes(wasmtime.wat2wasm(bridge_module()))


class Answer(NamedTuple):
    """`result`: an error's name, exit, trap, timeout, or what was raised. `memory`: all of the guest's, afterwards."""

    call: Call  # with the numbers that were passed
    result: str
    memory: bytes
    detail: str = ""


class Run:
    """The answers of a program on the engine of `api`, in a world."""

    def __init__(self, api: Any, module: Any, world: World) -> None:
        self.api = api
        self.program: Program = world.program
        self.answers: list[Answer] = []
        self.world = world
        self.faults: list[str] = []
        self.output: list[bytes] = []
        self.inodes: set[int] = set()
        self.finished = False
        self._module = module
        self._opened: list[int] = []

    def run(self, limit: int | None = None, rounds: int = 1) -> None:
        """Do the calls (the first `limit` of them)."""
        with Privileges(self.program.as_root):
            config = self._config()
            engine = self._module.engine if self.api is brolga else _THEIR_ENGINE
            store = self.api.Store(engine)
            store.set_wasi(config)
            linker = self.api.Linker(engine)
            linker.define_wasi()
            exports = linker.instantiate(store, self._module).exports(store)
            memory = exports["memory"]
            try:
                for _ in range(rounds):
                    for call in self.program.calls[:limit]:
                        self._step(store, exports, memory, call)
                        if self.answers[-1].result in ("timeout", "raised"):
                            return
                    if rounds > 1:
                        del self.answers[:-1]
            finally:
                store.close()
                self.finished = True

    def _config(self) -> Any:
        config = self.api.WasiConfig()
        config.argv = ["program", "", "zwei ü"]
        config.env = [("NAME", "value"), ("EMPTY", "")]
        for path, guest_path, directories, files in self.program.preopens:
            where = f"{self.world.base}/{path}"
            if (directories, files) in ((3, 3), (1, 1)):
                config.preopen_dir(where, guest_path, directories == 3)
            else:
                permissions = brolga.DirPerms(directories), brolga.FilePerms(files)
                config.preopen_dir(where, guest_path, *permissions)
        if self.program.streams == "files":
            config.stdin_file = f"{self.world.base}/std/in"
            config.stdout_file = f"{self.world.base}/std/out"
            config.stderr_file = f"{self.world.base}/std/err"
        elif self.program.streams in ("custom", "partial"):
            config.stdout_custom = self._take
        return config

    def _take(self, data: bytes) -> int:
        """A sink that takes all or part of what it is given."""
        taken = len(data) if self.program.streams == "custom" else (len(data) + 1) // 2
        self.output.append(bytes(data[:taken]))
        return taken

    def _step(self, store: Any, exports: Any, memory: Any, call: Call) -> None:
        for address, data in call.writes:
            if data:
                memory.write(store, bytearray(data), address)
        args = tuple(self._number(arg) for arg in call.args)
        result, detail = self._call(store, exports[call.name], args)
        if result == "success":
            self._blank(store, memory, call.name, args)
            if call.name == "path_open":
                self._opened.append(int.from_bytes(memory.read(store, args[-1], args[-1] + 4), "little"))
        elif call.name == "fd_readdir" and args[1] + args[2] <= MEMORY_SIZE and args[2]:
            memory.write(store, bytearray(args[2]), args[1])  # entries may be there although the call failed
        self.answers.append(Answer(Call(call.name, args, call.writes), result, bytes(memory.read(store)), detail))

    def _number(self, arg: int | Opened) -> int:
        if isinstance(arg, int):
            return arg
        return self._opened[-1 - arg.back % len(self._opened)] if self._opened else 99

    def _call(self, store: Any, function: Any, args: tuple[int, ...]) -> tuple[str, str]:
        start = time.monotonic()
        ours = {"timeout": TIMEOUT} if self.api is brolga else {}
        try:
            result = function(store, *args, **ours)
        except self.api.ExitTrap as error:
            return "exit", str(error)
        except brolga.WasmTimeout:
            return "timeout", ""
        except (self.api.WasmtimeError, self.api.Trap) as error:
            return "trap", str(error)
        except Exception as error:  # noqa: BLE001  that is what is looked for
            self.faults.append(f"untyped error: {type(error).__name__}: {error}")
            return "raised", f"{type(error).__name__}: {error}"
        finally:
            if self.api is brolga and time.monotonic() - start > PATIENCE:
                self.faults.append("hang: a call took longer than 10 seconds")
        if result is None:
            return "returned", ""
        return ERRNO_NAMES[result] if 0 <= result < len(ERRNO_NAMES) else f"errno {result}", ""

    def _blank(self, store: Any, memory: Any, name: str, args: tuple[int, ...]) -> None:
        """Put what no two runs have in common (inode numbers, the time, random bytes) out of the guest's memory."""

        def read(address: int, size: int) -> bytes:
            return bytes(memory.read(store, address, address + size))

        def write(address: int, data: bytes) -> None:
            if data:
                memory.write(store, bytearray(data), address)

        if name == "random_get":
            write(args[0], bytes(args[1]))
        elif name == "clock_time_get":
            write(args[2], bytes(8))
        elif name in _PADDED:
            layout = _PADDED[name]
            write(args[1], layout.pack(*layout.unpack(read(args[1], layout.size))))
        elif name in ("fd_filestat_get", "path_filestat_get"):
            _, inode, kind, links, size, *times = FILESTAT.unpack(read(args[-1], FILESTAT.size))
            self.inodes.add(inode)
            now = self.world.now
            blanked = [7 if abs(when - now) < _RECENT else when for when in times]
            blanked[0] = 7  # an access may have changed it, or not: file systems are lazy about it
            write(args[-1], FILESTAT.pack(0, 0, kind, links, size if kind != 3 else 0, *blanked))
        elif name == "fd_readdir":
            _, buffer, _, _, result = args
            used = int.from_bytes(read(result, 4), "little")
            data = bytearray(read(buffer, used))
            at = 0
            while at < used:
                if at + 20 <= used:
                    inode, size = struct.unpack_from("<QI", data, at + 8)
                    self.inodes.add(inode)
                blank = min(8, max(0, used - at - 8))
                data[at + 8 : at + 8 + blank] = bytes(blank)
                at += DIRENT.size + (size if at + 20 <= used else used)
            write(buffer, bytes(used) if buffer - 4 < result < buffer + used else bytes(data))

    def leaks(self) -> list[str]:
        """What the program has been told that it must not know."""
        outside = self.world.inodes_outside() & self.inodes
        found = [f"told apart: inode numbers of things outside: {sorted(outside)}"] if outside else []
        for secret in self.world.secrets():
            for answer in self.answers:
                if secret in answer.memory:
                    found.append(f"read: {secret!r} by {answer.call.name}")
                    break
        return found


_THEIR_ENGINE: Final = wasmtime.Engine()
_THEIR_MODULE: Final = wasmtime.Module(_THEIR_ENGINE, _WASM)
_OUR_MODULES: Final[dict[str, brolga.Module]] = {}


def our_module(platform: str) -> brolga.Module:
    if platform not in _OUR_MODULES:
        config = brolga.Config()
        config.platform = platform
        config.eager = True
        _OUR_MODULES[platform] = module = brolga.Module(brolga.Engine(config), _WASM)
        _call_everything(module)
    return _OUR_MODULES[platform]


def _call_everything(module: brolga.Module) -> None:
    """What is imported at first use is imported now: an ordinary user may not be able to read root's Python."""
    store = brolga.Store(module.engine)
    store.set_wasi(brolga.WasiConfig())
    linker = brolga.Linker(module.engine)
    linker.define_wasi()
    exports: Any = linker.instantiate(store, module).exports(store)
    importlib.import_module("fcntl")
    for name, function in FUNCTIONS.items():
        try:
            exports[name](store, *[0 for _ in function.type.params], timeout=TIMEOUT)
        except (brolga.WasmtimeError, brolga.Trap):
            pass
    store.close()


def run_ours(world: World, by_kernel: bool, rounds: int = 1) -> Run:
    """On Brolga, with paths resolved by the kernel or by the walk."""
    module = our_module(world.program.platform)
    resolve.use_openat2 = by_kernel
    run = Run(brolga, module, world)
    before = len(os.listdir("/proc/self/fd"))
    run.run(rounds=rounds)
    after = len(os.listdir("/proc/self/fd"))
    if after > before:
        run.faults.append(f"descriptors left open: {after - before}")
    return run


def run_theirs(world: World, limit: int) -> Run:
    """On wasmtime, which waits for FIFOs and cannot be told to stop: in a thread, which is let go then."""
    run = Run(wasmtime, _THEIR_MODULE, world)
    thread = threading.Thread(target=run.run, args=(limit,), daemon=True)
    thread.start()
    thread.join(5)
    for _ in range(100):
        if not thread.is_alive():
            break
        world.wake()
        thread.join(0.05)
    if not run.finished:
        raise RuntimeError("wasmtime hangs")
    return run


assert MEMORY_SIZE == 4 * 65536
