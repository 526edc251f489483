"""`poll_oneoff`: wait until a clock has run down or a descriptor is ready."""

from __future__ import annotations

import time
from collections.abc import Iterator

from ..machine.waiting import FOREVER, POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, wait_for
from .abi import (
    BADF,
    CLOCK_MONOTONIC,
    CLOCK_REALTIME,
    EVENT,
    EVENTTYPE_CLOCK,
    EVENTTYPE_FD_READ,
    EVENTTYPE_FD_WRITE,
    INTR,
    INVAL,
    SUBCLOCK_ABSTIME,
    SUBSCRIPTION,
    SUBSCRIPTION_CLOCK,
    SUCCESS,
    WasiError,
)
from .context import WasiContext
from .descriptors import File, InputStream, OutputStream
from .guest import GuestMemory
from .process_calls import clock_now
from .transfer import Ended

MOST_SUBSCRIPTIONS = 4096  # of one call

_ALWAYS = -1
_CLOSED = -2


def poll_oneoff(
    wasi: WasiContext, memory: GuestMemory, subscriptions: int, events: int, count: int, result: int
) -> None:
    """Each subscription that has come true by then gives an event, in order of subscription."""
    memory.slice(subscriptions, count * SUBSCRIPTION.size)
    if not 0 < count <= MOST_SUBSCRIPTIONS:
        raise WasiError(INVAL)
    deadlines: dict[int, int] = {}  # by number of the subscription; on the monotonic clock
    waits: dict[int, int] = {}  # host descriptor to wait for
    ready: dict[int, int] = {}  # what has come true: an error number
    kinds: list[tuple[int, int]] = []  # userdata and event type
    for number, (userdata, kind, own) in enumerate(_read(memory, subscriptions, count)):
        kinds.append((userdata, kind))
        if kind == EVENTTYPE_CLOCK:
            deadlines[number] = _deadline(own)
        elif kind in (EVENTTYPE_FD_READ, EVENTTYPE_FD_WRITE):
            host = _host_descriptor(wasi, int.from_bytes(own[:4], "little"), kind)
            if host == _ALWAYS:
                ready[number] = SUCCESS
            elif host == _CLOSED:
                ready[number] = BADF
            else:
                waits[number] = host
        else:
            raise WasiError(INVAL)
    memory.slice(events, count * EVENT.size)
    hung_up = _wait(kinds, deadlines, waits, ready, wasi.ended)
    if not ready:
        raise WasiError(INTR)
    written = 0
    for number, (userdata, kind) in enumerate(kinds):
        if number in ready:
            error = ready[number]
            size = int(kind != EVENTTYPE_CLOCK and error == SUCCESS)
            memory.pack(EVENT, events + written * EVENT.size, userdata, error, kind, size, int(number in hung_up))
            written += 1
    memory.set_u32(result, written)


def _read(memory: GuestMemory, subscriptions: int, count: int) -> Iterator[tuple[int, int, bytes]]:
    """Userdata, event type, and what is the type's own."""
    for number in range(count):
        yield SUBSCRIPTION.unpack(memory.read(subscriptions + number * SUBSCRIPTION.size, SUBSCRIPTION.size))


def _deadline(own: bytes) -> int:
    clock, timeout, _, flags = SUBSCRIPTION_CLOCK.unpack(own)
    if clock not in (CLOCK_REALTIME, CLOCK_MONOTONIC) or flags & ~SUBCLOCK_ABSTIME:
        raise WasiError(INVAL)
    now = time.monotonic_ns()
    if flags & SUBCLOCK_ABSTIME:
        return now + max(0, int(timeout) - clock_now(clock))
    return now + int(timeout)


def _host_descriptor(wasi: WasiContext, fd: int, kind: int) -> int:
    """What to wait for, or _ALWAYS if it is always ready, or _CLOSED."""
    descriptor = wasi.get(fd)
    if isinstance(descriptor, File):
        return descriptor.fd
    wanted = InputStream if kind == EVENTTYPE_FD_READ else OutputStream
    if not isinstance(descriptor, wanted):
        raise WasiError(BADF)
    if descriptor.closed:
        return _CLOSED
    return _ALWAYS if descriptor.fd < 0 else descriptor.fd


def _wait(
    kinds: list[tuple[int, int]], deadlines: dict[int, int], waits: dict[int, int], ready: dict[int, int], ended: Ended
) -> set[int]:
    """Wait until at least one subscription is in `ready`, or the call is to end; returns those whose other end is gone."""
    masks: dict[int, int] = {}
    for number, host in waits.items():
        masks[host] = masks.get(host, 0) | _wanted(kinds[number][1])
    hung_up: set[int] = set()
    first = min(deadlines.values(), default=0)
    until = 0.0 if ready else first / 1_000_000_000 if deadlines else FOREVER
    while True:
        states = wait_for(masks, until, ended)
        for number, host in waits.items():
            state = states.get(host, 0)
            if state & POLLNVAL:
                ready[number] = BADF
            elif state & (_wanted(kinds[number][1]) | POLLERR | POLLHUP):
                ready[number] = SUCCESS
                if state & POLLHUP:
                    hung_up.add(number)
        now = time.monotonic_ns()
        ready.update((number, SUCCESS) for number, deadline in deadlines.items() if deadline <= now)
        if ready or ended():
            return hung_up


def _wanted(kind: int) -> int:
    return POLLIN if kind == EVENTTYPE_FD_READ else POLLOUT
