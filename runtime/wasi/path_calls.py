"""The `path_*` functions. Each: (context, memory, arguments as unsigned ints).

Paths are relative to a directory descriptor and cannot lead outside of it: `resolve` sees to that.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..machine.waiting import SLICE, wait_for
from .abi import (
    FDFLAGS_ALL,
    FDFLAGS_APPEND,
    FDFLAGS_DSYNC,
    FDFLAGS_NONBLOCK,
    FDFLAGS_RSYNC,
    FDFLAGS_SYNC,
    FSTFLAGS_ALL,
    INTR,
    INVAL,
    LOOKUP_SYMLINK_FOLLOW,
    NOTDIR,
    NOTSUP,
    OFLAGS_CREAT,
    OFLAGS_DIRECTORY,
    OFLAGS_EXCL,
    OFLAGS_TRUNC,
    PERM,
    RIGHT_FD_READ,
    RIGHT_FD_WRITE,
    RIGHTS_ALL,
    WasiError,
)
from .context import WasiContext
from .descriptors import Descriptor, Directory, File
from .fd_calls import check_flags, pack_filestat
from .guest import GuestMemory
from .resolve import open_beneath, open_parent, set_times
from .time_calls import times_from_flags
from .transfer import Ended, may_wait

_SYNCHRONOUS = FDFLAGS_DSYNC | FDFLAGS_RSYNC | FDFLAGS_SYNC


def path_open(
    wasi: WasiContext,
    memory: GuestMemory,
    fd: int,
    lookup: int,
    path: int,
    size: int,
    oflags: int,
    rights: int,
    inheriting: int,
    fdflags: int,
    result: int,
) -> None:
    check_flags("lookupflags", lookup, LOOKUP_SYMLINK_FOLLOW)
    check_flags("oflags", oflags, OFLAGS_CREAT | OFLAGS_DIRECTORY | OFLAGS_EXCL | OFLAGS_TRUNC)
    check_flags("rights", rights | inheriting, RIGHTS_ALL)
    check_flags("fdflags", fdflags, FDFLAGS_ALL)
    name = memory.path(path, size)
    directory = wasi.directory(fd, not_one=NOTDIR)
    if fdflags & _SYNCHRONOUS:
        raise WasiError(NOTSUP)
    if oflags & OFLAGS_DIRECTORY and oflags & (OFLAGS_CREAT | OFLAGS_EXCL | OFLAGS_TRUNC):
        raise WasiError(INVAL)
    writable = bool(rights & RIGHT_FD_WRITE) or bool(oflags & (OFLAGS_CREAT | OFLAGS_TRUNC))
    readable = bool(rights & RIGHT_FD_READ) or not rights & RIGHT_FD_WRITE
    if oflags & OFLAGS_CREAT and not directory.mutable:
        raise WasiError(PERM)
    if writable and (not directory.files_writable or (readable and not directory.files_readable)):
        raise WasiError(PERM)  # before anything is made or emptied
    flags = (os.O_RDWR if readable else os.O_WRONLY) if writable else os.O_RDONLY
    if oflags & OFLAGS_CREAT:
        flags |= os.O_CREAT | (os.O_EXCL if oflags & OFLAGS_EXCL else 0)
    if oflags & OFLAGS_TRUNC:
        flags |= os.O_TRUNC
    if oflags & OFLAGS_DIRECTORY:
        flags |= os.O_DIRECTORY
    if fdflags & FDFLAGS_APPEND:
        flags |= os.O_APPEND
    if not lookup & LOOKUP_SYMLINK_FOLLOW:
        flags |= os.O_NOFOLLOW
    wasi.check_room()
    nonblock = bool(fdflags & FDFLAGS_NONBLOCK)
    host = _open_without_waiting(directory.fd, name, flags | os.O_NOCTTY, nonblock, wasi.ended)
    mode = os.fstat(host).st_mode
    descriptor: Descriptor
    if stat.S_ISDIR(mode):
        descriptor = directory.within(host)
    else:
        append, waits = bool(fdflags & FDFLAGS_APPEND), may_wait(mode)
        descriptor = File(host, readable, writable, append, nonblock, directory.files_writable, waits)
        if readable and not directory.files_readable:
            raise WasiError(PERM)
        if waits and not nonblock:
            os.set_blocking(host, True)
    memory.set_u32(result, 0)  # the pointer must be good before the descriptor has a number
    memory.set_u32(result, wasi.add(descriptor))


def _open_without_waiting(root: int, name: bytes, flags: int, nonblock: bool, ended: Ended) -> int:
    """Open, with O_NONBLOCK. That does not wait: for the writer of a pipe its first read waits. Where nothing can be opened yet
    (the reader of a pipe, or who has a lease of a file), try again until the call is to end."""
    while True:
        try:
            return open_beneath(root, name, flags | os.O_NONBLOCK, 0o666)
        except OSError as error:
            if nonblock or error.errno not in (errno.ENXIO, errno.EAGAIN) or not _is_pipe_or_leased(root, name, error):
                raise
        wait_for({}, time.monotonic() + SLICE, ended)
        if ended():
            raise WasiError(INTR)


def _is_pipe_or_leased(root: int, name: bytes, error: OSError) -> bool:
    """ENXIO also means a socket, or a device that is not there."""
    if error.errno == errno.EAGAIN:
        return True
    found = open_beneath(root, name, os.O_PATH)
    try:
        return stat.S_ISFIFO(os.fstat(found).st_mode)
    finally:
        os.close(found)


@contextmanager
def _parent(directory: Directory, path: bytes) -> Iterator[tuple[int, bytes]]:
    """Descriptor of the directory of the last component of `path`, and that component."""
    parent, name = open_parent(directory.fd, path)
    try:
        yield parent, name
    finally:
        os.close(parent)


def _may_change(*directories: Directory) -> None:
    if not all(directory.mutable for directory in directories):
        raise WasiError(PERM)


def path_create_directory(wasi: WasiContext, memory: GuestMemory, fd: int, path: int, size: int) -> None:
    directory, path_name = wasi.directory(fd), memory.path(path, size)
    _may_change(directory)
    with _parent(directory, path_name) as (parent, name):
        os.mkdir(name, 0o777, dir_fd=parent)


def path_remove_directory(wasi: WasiContext, memory: GuestMemory, fd: int, path: int, size: int) -> None:
    directory, path_name = wasi.directory(fd), memory.path(path, size)
    _may_change(directory)
    with _parent(directory, path_name) as (parent, name):
        if name.rstrip(b"/") in (b".", b".."):
            raise WasiError(INVAL)
        os.rmdir(name, dir_fd=parent)


def path_unlink_file(wasi: WasiContext, memory: GuestMemory, fd: int, path: int, size: int) -> None:
    directory, path_name = wasi.directory(fd), memory.path(path, size)
    _may_change(directory)
    with _parent(directory, path_name) as (parent, name):
        os.unlink(name, dir_fd=parent)


@contextmanager
def _located(directory: Directory, lookup: int, path: bytes) -> Iterator[int]:
    """An O_PATH descriptor of what `path` names."""
    follow = 0 if lookup & LOOKUP_SYMLINK_FOLLOW else os.O_NOFOLLOW
    found = open_beneath(directory.fd, path, os.O_PATH | follow)
    try:
        yield found
    finally:
        os.close(found)


def _may_look(directory: Directory) -> None:
    if not directory.readable:
        raise WasiError(PERM)


def path_filestat_get(
    wasi: WasiContext, memory: GuestMemory, fd: int, lookup: int, path: int, size: int, result: int
) -> None:
    check_flags("lookupflags", lookup, LOOKUP_SYMLINK_FOLLOW)
    directory, name = wasi.directory(fd), memory.path(path, size)
    _may_look(directory)
    with _located(directory, lookup, name) as found:
        pack_filestat(memory, result, os.fstat(found))


def path_filestat_set_times(
    wasi: WasiContext,
    memory: GuestMemory,
    fd: int,
    lookup: int,
    path: int,
    size: int,
    accessed: int,
    modified: int,
    flags: int,
) -> None:
    check_flags("lookupflags", lookup, LOOKUP_SYMLINK_FOLLOW)
    check_flags("fstflags", flags, FSTFLAGS_ALL)
    times = times_from_flags(accessed, modified, flags)
    directory, name = wasi.directory(fd), memory.path(path, size)
    _may_change(directory)
    with _located(directory, lookup, name) as found:
        if not directory.files_writable and not stat.S_ISDIR(os.fstat(found).st_mode):
            raise WasiError(PERM)
        set_times(found, *times)


def _same_limits(source: Directory, target: Directory) -> None:
    """A file must not get other permissions by going elsewhere."""
    if source.limits != target.limits:
        raise WasiError(PERM)


def _open_as_directory(directory: Directory, path: bytes) -> None:
    """That a path with a slash at its end names a directory within. The kernel follows links before such a slash wherever they lead."""
    os.close(open_beneath(directory.fd, path, os.O_PATH | os.O_DIRECTORY))


def path_link(
    wasi: WasiContext,
    memory: GuestMemory,
    old_fd: int,
    lookup: int,
    old_path: int,
    old_size: int,
    new_fd: int,
    new_path: int,
    new_size: int,
) -> None:
    check_flags("lookupflags", lookup, LOOKUP_SYMLINK_FOLLOW)
    source, target = wasi.directory(old_fd), wasi.directory(new_fd)
    old_name, new_name = memory.path(old_path, old_size), memory.path(new_path, new_size)
    _may_change(source, target)
    if lookup & LOOKUP_SYMLINK_FOLLOW:
        raise WasiError(INVAL)
    _same_limits(source, target)
    with _parent(source, old_name) as (old_parent, old), _parent(target, new_name) as (new_parent, new):
        if old.endswith(b"/"):
            _open_as_directory(source, old_name)
            raise WasiError(PERM)  # as for all directories
        os.link(old, new, src_dir_fd=old_parent, dst_dir_fd=new_parent, follow_symlinks=False)


def path_rename(
    wasi: WasiContext,
    memory: GuestMemory,
    old_fd: int,
    old_path: int,
    old_size: int,
    new_fd: int,
    new_path: int,
    new_size: int,
) -> None:
    source, target = wasi.directory(old_fd), wasi.directory(new_fd)
    old_name, new_name = memory.path(old_path, old_size), memory.path(new_path, new_size)
    _may_change(source, target)
    _same_limits(source, target)
    with _parent(source, old_name) as (old_parent, old), _parent(target, new_name) as (new_parent, new):
        os.rename(old, new, src_dir_fd=old_parent, dst_dir_fd=new_parent)


def path_symlink(
    wasi: WasiContext, memory: GuestMemory, content: int, content_size: int, fd: int, path: int, size: int
) -> None:
    """Links to absolute paths are refused: they mean nothing below a directory."""
    directory = wasi.directory(fd)
    target, path_name = memory.path(content, content_size), memory.path(path, size)
    _may_change(directory)
    if target.startswith(b"/"):
        raise WasiError(PERM)
    with _parent(directory, path_name) as (parent, name):
        if b"\0" in target:
            raise WasiError(INVAL)
        os.symlink(target, name, dir_fd=parent)


def path_readlink(
    wasi: WasiContext, memory: GuestMemory, fd: int, path: int, size: int, buffer: int, buffer_size: int, result: int
) -> None:
    directory, path_name = wasi.directory(fd), memory.path(path, size)
    _may_look(directory)
    with _parent(directory, path_name) as (parent, name):
        if name.endswith(b"/"):
            _open_as_directory(directory, path_name)
            raise WasiError(INVAL)  # as for all that is no link
        target = os.readlink(name, dir_fd=parent)
    if target.startswith(b"/"):
        raise WasiError(PERM)
    memory.write(buffer, target[:buffer_size])
    memory.set_u32(result, min(len(target), buffer_size))
