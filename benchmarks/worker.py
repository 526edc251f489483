"""The end of peer.py's pipe that runs code in Python: Brolga, wasmtime, ppci, or native code through ctypes.

    python benchmarks/worker.py ENGINE                            answer requests, until standard input ends
    python benchmarks/worker.py ENGINE --once JOB [--cache FILE]  do one job, as a program that embeds the engine would, and
                                                                  tell processor time since the process began and peak memory
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import io
import json
import signal
import struct
import sys
import time
from pathlib import Path
from typing import Any, Final, Protocol

SHT_SYMTAB: Final = 2
STT_FUNC: Final = 2
PPCI_SECONDS: Final = 60  # of processor time for one kernel's compilation and calls: some take minutes


class Host(Protocol):
    def load(self, file: str) -> dict[str, Any]: ...

    def call(self, n: int) -> dict[str, Any]: ...

    def run(self, job: dict[str, Any]) -> dict[str, Any]: ...


def code_size(elf: bytes, prefix: bytes) -> int:
    """Sum of the sizes of functions whose names begin with `prefix`, from the symbols of a 64-bit ELF file."""
    (table,) = struct.unpack_from("<Q", elf, 0x28)
    entry, count = struct.unpack_from("<HH", elf, 0x3A)
    sections = [struct.unpack_from("<IIQQQQII", elf, table + entry * i) for i in range(count)]
    (symbols,) = [section for section in sections if section[1] == SHT_SYMTAB]
    strings = sections[symbols[6]][4]
    total = 0
    for name, info, _, _, _, size in struct.iter_unpack("<IBBHQQ", elf[symbols[4] : symbols[4] + symbols[5]]):
        if info & 15 == STT_FUNC and elf.startswith(prefix, strings + name):
            total += size
    return int(total)


class EmbeddingHost:
    """Brolga or wasmtime, whose names are the same. `ready` compiles everything at once, on one core; without it, engines are
    as their packages make them, with a cache if there is a file that describes one."""

    def __init__(self, name: str, ready: bool = True, cache: str | None = None) -> None:
        self.name = name
        self.api: Any = importlib.import_module(name)
        config = self.api.Config()
        if ready:
            # On one core: what other processes or threads do would not be counted, or not alike.
            config.parallel_compilation = False
        if ready and name == "brolga":
            config.eager = True
        if cache:
            config.cache = cache
        self.engine = self.api.Engine(config)
        self.module: Any = None
        if ready:  # what is made or imported for the first compilation does not count
            self.api.Module(self.engine, "(module (func))")
        self.function: Any = None
        self.store: Any = None

    def load(self, file: str) -> dict[str, Any]:
        data = Path(file).read_bytes()
        self.function = None
        start = time.process_time()
        self.module = self.api.Module(self.engine, data)
        return {"seconds": time.process_time() - start, "bytes": self.code_bytes()}

    def code_bytes(self) -> int:
        if self.name == "wasmtime":
            return code_size(bytes(self.module.serialize()), b"wasm[0]::function[")
        return sum(function.code_size for function in self.module._loaded.space.compiled_functions())

    def call(self, n: int) -> dict[str, Any]:
        if self.function is None:
            self.store = self.api.Store(self.engine)
            self.function = self.api.Instance(self.store, self.module, []).exports(self.store)["run"]
        store, function = self.store, self.function
        start = time.process_time()
        result = function(store, n)
        return {"seconds": time.process_time() - start, "result": result & 0xFFFF_FFFF}

    def run(self, job: dict[str, Any]) -> dict[str, Any]:
        store = self.api.Store(self.engine)
        wasi = self.api.WasiConfig()
        wasi.argv = job["argv"]
        wasi.stdout_file = job["stdout"]
        wasi.preopen_dir(job["directory"], "/")
        store.set_wasi(wasi)
        linker = self.api.Linker(self.engine)
        linker.define_wasi()
        exports = linker.instantiate(store, self.module).exports(store)
        start = time.process_time()
        try:
            if job["reactor"]:
                status = self.start_reactor(store, exports, job["argv"])
            else:
                status = exports["_start"](store) or 0
        except self.api.ExitTrap as trap:
            status = trap.code
        seconds = time.process_time() - start
        if status:
            raise RuntimeError(f"exit status {status}")
        return {"seconds": seconds}

    def start_reactor(self, store: Any, exports: Any, argv: list[str]) -> int:
        """QuickJS's reactor wants its arguments in its memory."""
        exports["_initialize"](store)
        memory = exports["memory"]

        def copy(data: bytes) -> int:
            address: int = exports["malloc"](store, len(data))
            memory.write(store, data, address)
            return address

        addresses = [copy(argument.encode() + b"\0") for argument in argv]
        status: int = exports["qjs_init_argv"](store, len(argv), copy(struct.pack(f"<{len(argv) + 1}I", *addresses, 0)))
        return status


class NativeHost:
    """A shared object."""

    def load(self, file: str) -> dict[str, Any]:
        self.function = ctypes.CDLL(file).run
        self.function.argtypes = [ctypes.c_int]
        self.function.restype = ctypes.c_uint
        return {"seconds": 0.0, "bytes": None}

    def call(self, n: int) -> dict[str, Any]:
        start = time.process_time()
        result = self.function(n)
        return {"seconds": time.process_time() - start, "result": result}

    def run(self, job: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError("native programs")


class PpciHost:
    """ppci's compiler to native code in memory. The process dies by a signal if it takes too long."""

    def __init__(self) -> None:
        self.api: Any = importlib.import_module("ppci.wasm")

    def load(self, file: str) -> dict[str, Any]:
        signal.setitimer(signal.ITIMER_VIRTUAL, PPCI_SECONDS)
        data = Path(file).read_bytes()
        start = time.process_time()
        instance = self.api.instantiate(self.api.Module(data), {}, target="native")
        self.function = instance.exports.run
        return {"seconds": time.process_time() - start, "bytes": None}

    def call(self, n: int) -> dict[str, Any]:
        start = time.process_time()
        result = self.function(n)
        return {"seconds": time.process_time() - start, "result": result & 0xFFFF_FFFF}

    def run(self, job: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError("WASI")


def make_host(engine: str) -> Host:
    if engine == "native":
        return NativeHost()
    return PpciHost() if engine == "ppci" else EmbeddingHost(engine)


def serve(host: Host) -> None:
    answers, sys.stdout = sys.stdout, io.StringIO()  # libraries may print, too
    for line in sys.stdin:
        request = json.loads(line)
        op = request.pop("op")
        try:
            match op:
                case "load":
                    answer = host.load(**request)
                case "call":
                    answer = host.call(**request)
                case _:
                    answer = host.run(request)
        except Exception as error:  # noqa: BLE001  any failure is an answer
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


def once(engine: str, job: dict[str, Any], cache: str | None) -> None:
    host = EmbeddingHost(engine, ready=False, cache=cache)
    host.module = host.api.Module(host.engine, Path(job["wasm"]).read_bytes())
    host.run(job)
    seconds = time.process_time()
    (peak,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    print(json.dumps({"seconds": seconds, "peak": int(peak.split()[1]) * 1024}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="The other end of peer.py.")
    parser.add_argument("engine")
    parser.add_argument("--once", metavar="JOB")
    parser.add_argument("--cache", metavar="FILE")
    options = parser.parse_args()
    if options.once:
        once(options.engine, json.loads(options.once), options.cache)
    else:
        serve(make_host(options.engine))


if __name__ == "__main__":
    main()
