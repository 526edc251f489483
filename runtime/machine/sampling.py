"""A sampling profiler: the kernel interrupts the process each so often, and a handler of our own notes where it was.

SIGPROF comes by `setitimer(ITIMER_PROF)`, which counts the processor time of all threads. Unlike a handler of Python's, which
would run when the interpreter gets to it, this one sees the interrupted instruction itself. Nothing is added to compiled code.
"""

from __future__ import annotations

import ctypes
import signal
from typing import TYPE_CHECKING, Final

from ..platform.linux import SA_ONSTACK, SA_RESTART, SA_SIGINFO

if TYPE_CHECKING:
    from .machine import Machine

_IGNORE: Final = 1  # SIG_IGN
_ROOM_FOR: Final = 1 << 20  # samples: 17 minutes at one each millisecond

_COUNT: Final = 0  # of samples taken, those that found no room included
_ROOM: Final = 8
_SAMPLES: Final = 16

# void handler(int, siginfo_t *, void *context), on any thread and at any time.
_HANDLER: Final = """
    mov rcx, [rdx + {UC_RIP}]
    mov r8, {BUFFER}
    mov eax, 1
    lock xadd [r8 + {COUNT}], rax
    cmp rax, [r8 + {ROOM}]
    jae full
    mov [r8 + rax*8 + {SAMPLES}], rcx
full:
    ret
"""


class Sampler:
    """One per machine, since code that the kernel may call is never given back."""

    def __init__(self, machine: Machine, room: int = _ROOM_FOR) -> None:
        self._platform = machine.platform
        self._buffer = (ctypes.c_uint64 * (_SAMPLES // 8 + room))()
        self._buffer[_ROOM // 8] = room
        symbols: dict[str, object] = {
            "UC_RIP": 168,
            "COUNT": _COUNT,
            "ROOM": _ROOM,
            "SAMPLES": _SAMPLES,
        }
        addresses = {"BUFFER": ctypes.addressof(self._buffer)}
        self._handler = machine.routine("sample", lambda: (_HANDLER, symbols), addresses)
        self._before = (0, 0)
        self.running = False

    def start(self, interval: float) -> None:
        """Take a sample each `interval` seconds of processor time. The samples of the last time are forgotten."""
        if self.running:
            raise RuntimeError("a profile is being taken already")
        self.running = True
        self._buffer[_COUNT // 8] = 0
        self._before = self._platform.handler(signal.SIGPROF)
        self._platform.set_handler(signal.SIGPROF, self._handler, SA_SIGINFO | SA_ONSTACK | SA_RESTART)
        signal.setitimer(signal.ITIMER_PROF, interval, interval)

    def stop(self) -> tuple[list[int], int]:
        """End sampling. The result is the addresses, and how many samples are missing because there was no room."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        # One that is under way would end the process, were the action the default again.
        address, flags = self._before
        self._platform.set_handler(signal.SIGPROF, address or _IGNORE, flags)
        self.running = False
        count = self._buffer[_COUNT // 8]
        kept = min(count, self._buffer[_ROOM // 8])
        first = _SAMPLES // 8
        return list(self._buffer[first : first + kept]), count - kept


_samplers: Final[dict[str, Sampler]] = {}


def sampler(machine: Machine) -> Sampler:
    """The machine's sampler. Raises RuntimeError where the platform has no signals."""
    if not machine.platform.signals:
        raise RuntimeError(f"the platform {machine.name} has no signals, which profiles are made with")
    found = _samplers.get(machine.name)
    if found is None:
        found = _samplers[machine.name] = Sampler(machine)
    return found
