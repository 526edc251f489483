"""`poll_oneoff`: wait until a clock has run down or a descriptor is ready."""

from __future__ import annotations

import os
import select
import time

from .abi import (
    BADF,
    CLOCK_MONOTONIC,
    CLOCK_REALTIME,
    EVENT,
    EVENTTYPE_CLOCK,
    EVENTTYPE_FD_READ,
    EVENTTYPE_FD_WRITE,
    INVAL,
    SUBCLOCK_ABSTIME,
    SUBSCRIPTION,
    SUBSCRIPTION_CLOCK,
    WasiError,
)
from .context import WasiContext
from .descriptors import File, InputStream, OutputStream
from .guest import GuestMemory
from .process_calls import clock_now

_FOREVER_MS = 1 << 30  # the longest single wait; longer ones are repeated


def poll_oneoff(
    wasi: WasiContext, memory: GuestMemory, subscriptions: int, events: int, count: int, result: int
) -> None:
    """Each subscription that has come true by then gives an event, in order of subscription."""
    if count == 0:
        raise WasiError(INVAL)
    deadlines: dict[int, int] = {}  # by number of the subscription; on the monotonic clock
    waits: dict[int, int] = {}  # host descriptor to wait for
    ready: set[int] = set()
    kinds: list[tuple[int, int]] = []  # userdata and event type
    for number in range(count):
        record = memory.read(subscriptions + number * SUBSCRIPTION.size, SUBSCRIPTION.size)
        userdata, kind, own = SUBSCRIPTION.unpack(record)
        kinds.append((userdata, kind))
        if kind == EVENTTYPE_CLOCK:
            deadlines[number] = _deadline(own)
        elif kind in (EVENTTYPE_FD_READ, EVENTTYPE_FD_WRITE):
            host = _host_descriptor(wasi, int.from_bytes(own[:4], "little"), kind)
            if host < 0:
                ready.add(number)
            else:
                waits[number] = host
        else:
            raise WasiError(INVAL)
    memory.slice(events, count * EVENT.size)
    hung_up = _wait(kinds, deadlines, waits, ready)
    written = 0
    for number, (userdata, kind) in enumerate(kinds):
        if number in ready:
            is_fd = kind != EVENTTYPE_CLOCK
            memory.pack(EVENT, events + written * EVENT.size, userdata, 0, kind, int(is_fd), int(number in hung_up))
            written += 1
    memory.set_u32(result, written)


def _deadline(own: bytes) -> int:
    clock, timeout, _, flags = SUBSCRIPTION_CLOCK.unpack(own)
    if clock not in (CLOCK_REALTIME, CLOCK_MONOTONIC) or flags & ~SUBCLOCK_ABSTIME:
        raise WasiError(INVAL)
    now = time.monotonic_ns()
    if flags & SUBCLOCK_ABSTIME:
        return now + max(0, int(timeout) - clock_now(clock))
    return now + int(timeout)


def _host_descriptor(wasi: WasiContext, fd: int, kind: int) -> int:
    """What to wait for, or -1 if it is always ready."""
    descriptor = wasi.get(fd)
    if isinstance(descriptor, File):
        return descriptor.fd
    if isinstance(descriptor, InputStream) and kind == EVENTTYPE_FD_READ:
        return descriptor.fd
    if isinstance(descriptor, OutputStream) and kind == EVENTTYPE_FD_WRITE:
        return descriptor.fd
    raise WasiError(BADF)


def _wait(kinds: list[tuple[int, int]], deadlines: dict[int, int], waits: dict[int, int], ready: set[int]) -> set[int]:
    """Wait until at least one subscription is in `ready`; returns those whose other end is gone."""
    poll = select.poll()
    masks: dict[int, int] = {}
    for number, host in waits.items():
        masks[host] = masks.get(host, 0) | (select.POLLIN if kinds[number][1] == EVENTTYPE_FD_READ else select.POLLOUT)
    for host, mask in masks.items():
        poll.register(host, mask)
    hung_up: set[int] = set()
    while True:
        until = 0 if ready else min(deadlines.values(), default=-1)
        states = _poll(poll, bool(masks), until)
        for number, host in waits.items():
            wanted = select.POLLIN if kinds[number][1] == EVENTTYPE_FD_READ else select.POLLOUT
            state = states.get(host, 0)
            if state & (wanted | select.POLLERR | select.POLLHUP):
                ready.add(number)
                if state & select.POLLHUP:
                    hung_up.add(number)
        now = time.monotonic_ns()
        ready.update(number for number, deadline in deadlines.items() if deadline <= now)
        if ready:
            return hung_up


def _poll(poll: select.poll, has_descriptors: bool, until: int) -> dict[int, int]:
    """The states of descriptors that are ready; waits until the monotonic time `until` at most (-1: for ever)."""
    if until < 0:
        return dict(poll.poll(_FOREVER_MS))
    left = max(0, until - time.monotonic_ns())
    if has_descriptors:
        return dict(poll.poll(min(-(-left // 1_000_000), _FOREVER_MS)))
    if left:
        time.sleep(min(left / 1_000_000_000, _FOREVER_MS / 1000))
    else:
        os.sched_yield()
    return {}
