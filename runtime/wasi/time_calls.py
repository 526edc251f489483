"""Setting the times of files: what `fd_filestat_set_times` does, and what it shares with `path_filestat_set_times`."""

from __future__ import annotations

from .abi import (
    BADF,
    FSTFLAGS_ALL,
    FSTFLAGS_ATIM,
    FSTFLAGS_ATIM_NOW,
    FSTFLAGS_MTIM,
    FSTFLAGS_MTIM_NOW,
    INVAL,
    PERM,
    WasiError,
)
from .context import WasiContext
from .descriptors import Directory, File
from .fd_calls import check_flags
from .guest import GuestMemory
from .resolve import UTIME_NOW, UTIME_OMIT, set_times

Times = tuple[tuple[int, int], tuple[int, int]]


def times_from_flags(accessed: int, modified: int, flags: int) -> Times:
    """Access and modification time for `utimensat`."""
    return (
        _time_from_flags(accessed, flags & FSTFLAGS_ATIM, flags & FSTFLAGS_ATIM_NOW),
        _time_from_flags(modified, flags & FSTFLAGS_MTIM, flags & FSTFLAGS_MTIM_NOW),
    )


def _time_from_flags(value: int, is_set: int, is_now: int) -> tuple[int, int]:
    if is_set and is_now:
        raise WasiError(INVAL)
    if is_set:
        return divmod(value, 1_000_000_000)
    return 0, UTIME_NOW if is_now else UTIME_OMIT


def fd_filestat_set_times(
    wasi: WasiContext, memory: GuestMemory, fd: int, accessed: int, modified: int, flags: int
) -> None:
    check_flags("fstflags", flags, FSTFLAGS_ALL)
    times = times_from_flags(accessed, modified, flags)
    descriptor = wasi.get(fd)
    if not isinstance(descriptor, (File, Directory)):
        raise WasiError(BADF)
    if not descriptor.mutable:
        raise WasiError(PERM)
    set_times(descriptor.fd, *times)
