"""Compilation of many functions on all cores.

Other processes help: each is a Python that imports the compiler, gets the module, and then sends an image of compiled
functions (`jit/cache_format`) for each share of work that it is given. This process compiles too. Shares are handed out as somebody has
nothing to do, large functions first, but who compiles a function does not change its code, and the functions are put into
order in the end: the result is the same as from one core.

Whatever goes wrong with a helper, its share is compiled here.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
from array import array
from collections import deque
from collections.abc import Callable
from typing import IO, Final, final

from brolga.ir.errors import CodeFormatError
from brolga.jit.code import COMPILED, CompiledFunction
from brolga.jit.settings import Settings
from brolga.jit.wasm.decode import decode
from brolga.jit.wasm.references import collect_references

from .artifact import read_artifact, write_artifact
from .cache import wants_compiler
from .compilation import Compilation

# Less code than this is compiled before a helper has started.
WORTHWHILE: Final = (1 << 19) if COMPILED else (1 << 17)  # bytes of wasm
SHARES: Final = 12  # for each process
SMALLEST_SHARE: Final = 1 << 12  # bytes of wasm

_LENGTH: Final = struct.Struct("<I")
# The helper finds the package where this process has found it.
_START: Final = "import sys; sys.path[:] = {path!r}; from brolga.runtime.parallel import help_compile; help_compile()"


def compile_functions(
    compilation: Compilation, funcs: list[int], done: Callable[[int], None] | None = None, processes: int = 0
) -> list[CompiledFunction]:
    """The functions with these indices, in order of index. `done` is told how many more there are, from any thread.

    `processes`: how many at most work at it, this one included; 0 for one for each core that this process may use, if there is
    enough to do. Raises what `Compilation.compile` raises.
    """
    bodies = compilation.decoded.bodies
    first = compilation.decoded.imported_funcs
    sizes = {func: bodies[func - first].end - bodies[func - first].start for func in funcs}
    total = sum(sizes.values())
    if processes == 0:
        processes = len(os.sched_getaffinity(0)) if total >= WORTHWHILE and _can_help() else 1
    if processes == 1:
        shares = deque([funcs])
    else:
        shares = _share_out(sizes, max(total // (SHARES * processes), SMALLEST_SHARE))
    results: list[CompiledFunction] = []
    helpers: list[_Helper] = []
    try:
        for _ in range(min(processes, len(shares)) - 1):
            try:
                helpers.append(_Helper(compilation, shares, results, done))
            except (OSError, RuntimeError):  # no more processes, no more threads
                break
        while True:
            try:
                share = shares.pop()
            except IndexError:
                if not helpers:
                    break
                helpers.pop().join()  # it may put its last share back
                continue
            for func in share:
                results.append(compilation.compile(func))
                if done is not None:
                    done(1)
    finally:
        for helper in helpers:
            helper.process.kill()
    results.sort(key=lambda function: function.index)
    return results


def _can_help() -> bool:
    """Whether another Python can be started, and nobody wants to watch the compiler in this one."""
    return bool(sys.executable) and not getattr(sys, "frozen", False) and not wants_compiler()


def _share_out(sizes: dict[int, int], least: int) -> deque[list[int]]:
    """Shares of at least so many bytes, the largest functions in the first ones."""
    shares: deque[list[int]] = deque()
    room = 0
    for func in sorted(sizes, key=lambda func: (-sizes[func], func)):
        if room <= 0:
            shares.append([])
            room = least
        shares[-1].append(func)
        room -= sizes[func]
    return shares


@final
class _Helper(threading.Thread):
    """A process that compiles, and the thread that talks to it."""

    def __init__(
        self,
        compilation: Compilation,
        shares: deque[list[int]],
        results: list[CompiledFunction],
        done: Callable[[int], None] | None,
    ) -> None:
        super().__init__(name="brolga-compile", daemon=True)
        self._compilation = compilation
        self._shares = shares
        self._results = results
        self._done = done
        # In a process group of its own, so that Ctrl-C reaches this process only.
        self.process: Final = subprocess.Popen(
            [sys.executable, "-c", _START.format(path=sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        try:
            self.start()
        except RuntimeError:
            self._end()
            raise

    def run(self) -> None:
        process = self.process
        assert process.stdin is not None and process.stdout is not None
        try:
            self._give_work(process.stdin, process.stdout)
        finally:
            self._end()

    def _end(self) -> None:
        process = self.process
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            try:
                if stream is not None:
                    stream.close()
            except OSError:  # what was not yet sent cannot be any more
                pass

    def _give_work(self, to: IO[bytes], answers: IO[bytes]) -> None:
        share: list[int] = []
        settings, wasm = self._compilation.settings, self._compilation.decoded.data
        try:
            for part in (settings.describe().encode(), settings.describe_features().encode(), bytes(wasm)):
                _send(to, part)
            while True:
                try:
                    share = self._shares.popleft()
                except IndexError:
                    return
                _send(to, array("I", share).tobytes())
                image = read_artifact(_receive(answers), settings, bytes(wasm))
                functions = [image.function(place) for place in range(len(image.funcs))]
                if [function.index for function in functions] != sorted(share):
                    raise CodeFormatError("not the functions asked for")
                self._results += functions
                if self._done is not None:
                    self._done(len(functions))
                share = []
        except (OSError, EOFError, CodeFormatError):
            if share:
                self._shares.append(share)


def _send(to: IO[bytes], data: bytes) -> None:
    to.write(_LENGTH.pack(len(data)))
    to.write(data)
    to.flush()


def _receive(source: IO[bytes]) -> bytes:
    """The next message. Raises EOFError if there is none."""
    head = source.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    length: int = _LENGTH.unpack(head)[0]
    data = source.read(length)
    if len(data) < length:
        raise EOFError
    return data


def help_compile() -> None:
    """What a helper does: settings, features, the module, then shares of functions come in, images go out."""
    source, to = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # nothing else may be written there
    settings = Settings.parse(_receive(source).decode(), _receive(source).decode())
    decoded = decode(_receive(source))
    collect_references(decoded)  # who asks for help has validated the module
    compilation = Compilation(decoded, settings)
    while True:
        try:
            share = array("I", _receive(source))
        except EOFError:
            return
        functions = [compilation.compile(func) for func in share]
        _send(to, write_artifact(decoded.data, functions, settings, with_module=False))
