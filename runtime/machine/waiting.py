"""The one way in which the host waits on behalf of wasm: until descriptors are ready, or a time has come, or the call is to end.

It waits in slices, between which it looks whether the end of the activation is wanted (a timeout, `interrupt`, an epoch). That takes no
descriptor, which the system could refuse or the program close, and no thread. The GIL is released in each slice; handlers of signals
run after it, and what they raise ends the wait.
"""

from __future__ import annotations

import ctypes
import errno
import math
import os
import time
from collections.abc import Callable, Mapping
from struct import Struct
from typing import Final

SLICE: Final = 0.02  # seconds: how late an end may be noticed
FOREVER: Final = math.inf

# poll(2) of Linux. Not through the module `select`, a shared library that programs without a wait need not load.
POLLIN: Final = 1
POLLOUT: Final = 4
POLLERR: Final = 8
POLLHUP: Final = 16
POLLNVAL: Final = 32
_POLLFD: Final = Struct("<ihh")  # descriptor, events, revents
_poll = ctypes.CDLL(None, use_errno=True).poll
_poll.argtypes = [ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int]


def wait_for(descriptors: Mapping[int, int], until: float, ended: Callable[[], bool]) -> dict[int, int]:
    """Wait for one of the descriptors, each with the events (POLLIN, POLLOUT) that are wanted of it, at most `until` that time of
    `time.monotonic`, or until `ended()`. The events of those that are ready, POLLERR, POLLHUP and POLLNVAL among them; none if it was the
    time or the end. Raises OSError.
    """
    request = b"".join([_POLLFD.pack(descriptor, events, 0) for descriptor, events in descriptors.items()])
    records = ctypes.create_string_buffer(request, len(request)) if request else None
    while True:
        left = until - time.monotonic()
        part = min(max(left, 0.0), SLICE)
        if records is not None:
            ready = _poll(records, len(descriptors), math.ceil(part * 1000))
            if ready > 0:
                return {fd: events for fd, _, events in _POLLFD.iter_unpack(records.raw) if events}
            if ready < 0 and ctypes.get_errno() != errno.EINTR:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        elif part:
            time.sleep(part)
        else:
            os.sched_yield()
        if (left <= SLICE and time.monotonic() >= until) or ended():
            return {}


def is_ready(descriptor: int, events: int, ended: Callable[[], bool]) -> bool:
    """Wait until a read (POLLIN) or write (POLLOUT) need not wait. False if the call is to end."""
    return bool(wait_for({descriptor: events}, FOREVER, ended))
