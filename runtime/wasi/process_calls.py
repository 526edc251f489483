"""Arguments, environment, clocks, random numbers, exit. Each function: (context, memory, arguments as unsigned ints)."""

from __future__ import annotations

import os
import time
from typing import Final, NoReturn

from brolga.ir.errors import WasmtimeError

from ..trap import ExitTrap
from .abi import (
    BADF,
    CLOCK_MONOTONIC,
    CLOCK_PROCESS_CPUTIME,
    CLOCK_REALTIME,
    CLOCK_THREAD_CPUTIME,
    INTR,
    NOTSUP,
    WasiError,
)
from .context import WasiContext
from .guest import GuestFault, GuestMemory

_RANDOM_PIECE = 256 << 10  # bytes between two looks whether the call is to end
_SIGNALS: Final = 31  # that the interface names
_EXIT_STATUS_LIMIT = 126  # higher ones mean something to shells


def args_get(wasi: WasiContext, memory: GuestMemory, argv: int, buffer: int) -> None:
    _put_strings(memory, wasi.args, argv, buffer)


def args_sizes_get(wasi: WasiContext, memory: GuestMemory, count: int, size: int) -> None:
    _put_sizes(memory, wasi.args, count, size)


def environ_get(wasi: WasiContext, memory: GuestMemory, environ: int, buffer: int) -> None:
    _put_strings(memory, wasi.environ, environ, buffer)


def environ_sizes_get(wasi: WasiContext, memory: GuestMemory, count: int, size: int) -> None:
    _put_sizes(memory, wasi.environ, count, size)


def _put_strings(memory: GuestMemory, strings: list[bytes], pointers: int, buffer: int) -> None:
    for string in strings:
        place = memory.slice(buffer, len(string) + 1)
        memory.set_u32(pointers, buffer)
        place[:] = string + b"\0"
        pointers += 4
        buffer += len(string) + 1


def _put_sizes(memory: GuestMemory, strings: list[bytes], count: int, size: int) -> None:
    memory.slice(count, 4)
    memory.set_u32(size, sum(len(string) + 1 for string in strings))
    memory.set_u32(count, len(strings))


def clock_now(clock: int) -> int:
    """The clock's time in nanoseconds. Only the two that every host has are given to guests."""
    if clock == CLOCK_REALTIME:
        return time.time_ns()
    if clock == CLOCK_MONOTONIC:
        return time.monotonic_ns()
    if clock in (CLOCK_PROCESS_CPUTIME, CLOCK_THREAD_CPUTIME):
        raise WasiError(BADF)
    raise GuestFault(f"Invalid enum value: clockid {clock}")


def clock_res_get(wasi: WasiContext, memory: GuestMemory, clock: int, resolution: int) -> None:
    clock_now(clock)
    seconds = time.clock_getres(time.CLOCK_REALTIME if clock == CLOCK_REALTIME else time.CLOCK_MONOTONIC)
    memory.set_u64(resolution, round(seconds * 1_000_000_000))


def clock_time_get(wasi: WasiContext, memory: GuestMemory, clock: int, precision: int, result: int) -> None:
    memory.set_u64(result, clock_now(clock))


def random_get(wasi: WasiContext, memory: GuestMemory, buffer: int, size: int) -> None:
    place = memory.slice(buffer, size)
    for start in range(0, size, _RANDOM_PIECE):
        piece = place[start : start + _RANDOM_PIECE]
        piece[:] = os.urandom(len(piece))
        if wasi.ended():
            raise WasiError(INTR)


def sched_yield(wasi: WasiContext, memory: GuestMemory) -> None:
    os.sched_yield()


def proc_exit(wasi: WasiContext, memory: GuestMemory, status: int) -> NoReturn:
    if status >= _EXIT_STATUS_LIMIT:
        raise WasmtimeError(f"exit with invalid exit status outside of [0..{_EXIT_STATUS_LIMIT})")
    raise ExitTrap(f"Exited with i32 exit status {status}", status)


def proc_raise(wasi: WasiContext, memory: GuestMemory, signal: int) -> NoReturn:
    if signal >= _SIGNALS:
        raise GuestFault(f"Invalid enum value: signal {signal}")
    raise WasiError(NOTSUP)
