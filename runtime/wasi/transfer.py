"""Bytes between host descriptors and the guest's buffers, so that the call can be ended meanwhile.

What may have to wait is asked first whether it would (`brolga.runtime.machine.waiting`), and given no more than it takes at once: a pipe
that can be written to takes PIPE_BUF bytes. What never waits long, files above all, is read and written in pieces.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from typing import Final

from ..machine.waiting import POLLIN, POLLOUT, is_ready
from .abi import INTR, WasiError

Ended = Callable[[], bool]  # whether the call is to end

MOST_BYTES: Final = 0x7FFF_F000  # what the kernel handles in one call
_PIECE: Final = 4 << 20  # bytes between two looks at what is asked for
_PIPE_BUF: Final = 4096  # of Linux


def may_wait(mode: int) -> bool:
    """Whether reading or writing a file of this `st_mode` may have to wait for somebody."""
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISBLK(mode))


def read_into(fd: int, buffers: list[memoryview], waits: bool, ended: Ended) -> int:
    """Read into the buffers what is there, as `readv`; wait for it, if `waits`. WasiError if the call is to end before."""
    if not buffers:
        return 0
    if waits and not is_ready(fd, POLLIN, ended):
        raise WasiError(INTR)
    if waits or _total(buffers) <= _PIECE:
        return os.readv(fd, buffers)
    done = 0
    for piece in _pieces(buffers, _PIECE):
        size = os.readv(fd, [piece])
        done += size
        if size < len(piece) or ended():
            break
    return done


def write_from(fd: int, buffers: list[memoryview], waits: bool, ended: Ended) -> int:
    """Write the buffers, as `writev`, wholly unless the call is to end or something fails on the way. WasiError if nothing is
    written by then."""
    if not buffers:
        return 0
    if not waits and _total(buffers) <= _PIECE:
        return os.writev(fd, buffers)
    done = 0
    for piece in _pieces(buffers, _PIPE_BUF if waits else _PIECE):
        try:
            if waits and not is_ready(fd, POLLOUT, ended):
                raise WasiError(INTR)
            size = os.write(fd, piece)
        except (OSError, WasiError):
            if done:
                break
            raise
        done += size
        if size < len(piece) or (not waits and ended()):
            break
    return done


def first_piece(buffers: list[memoryview]) -> list[memoryview]:
    """Of the buffers, what one call at an offset of a file handles: as many bytes as do not take long."""
    if _total(buffers) <= _PIECE:
        return buffers
    first: list[memoryview] = []
    left = _PIECE
    for buffer in buffers:
        first.append(buffer[:left])
        left -= len(first[-1])
        if not left:
            break
    return first


def _total(buffers: list[memoryview]) -> int:
    return sum([len(buffer) for buffer in buffers])


def _pieces(buffers: list[memoryview], size: int) -> Iterator[memoryview]:
    """The bytes in order, in pieces of at most `size`; MOST_BYTES of them in all."""
    left = MOST_BYTES
    for buffer in buffers:
        for start in range(0, len(buffer), size):
            piece = buffer[start : start + min(size, left)]
            yield piece
            left -= len(piece)
            if not left:
                return
