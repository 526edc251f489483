"""The `path_*` functions. Each: (context, memory, arguments as unsigned ints).

Paths are relative to a directory descriptor and cannot lead outside of it: `resolve` sees to that.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from .abi import (
    FDFLAGS_APPEND,
    FDFLAGS_DSYNC,
    FDFLAGS_NONBLOCK,
    FDFLAGS_RSYNC,
    FDFLAGS_SYNC,
    FSTFLAGS_ALL,
    INVAL,
    LOOKUP_SYMLINK_FOLLOW,
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
    check_flags("fdflags", fdflags, FDFLAGS_APPEND | FDFLAGS_NONBLOCK | _SYNCHRONOUS)
    directory = wasi.directory(fd)
    name = memory.path(path, size)
    if oflags & OFLAGS_DIRECTORY and oflags & (OFLAGS_CREAT | OFLAGS_EXCL | OFLAGS_TRUNC):
        raise WasiError(INVAL)
    if fdflags & _SYNCHRONOUS:
        raise WasiError(NOTSUP)
    writable = bool(rights & RIGHT_FD_WRITE) or bool(oflags & (OFLAGS_CREAT | OFLAGS_TRUNC))
    readable = bool(rights & RIGHT_FD_READ) or not rights & RIGHT_FD_WRITE
    if oflags & OFLAGS_CREAT and not directory.mutable:
        raise WasiError(PERM)
    if writable and not directory.files_writable:
        raise WasiError(PERM)
    flags = (os.O_RDWR if readable else os.O_WRONLY) if writable else os.O_RDONLY
    if oflags & OFLAGS_CREAT:
        flags |= os.O_CREAT | (os.O_EXCL if oflags & OFLAGS_EXCL else 0)
    if oflags & OFLAGS_TRUNC:
        flags |= os.O_TRUNC
    if oflags & OFLAGS_DIRECTORY:
        flags |= os.O_DIRECTORY
    if fdflags & FDFLAGS_APPEND:
        flags |= os.O_APPEND
    if fdflags & FDFLAGS_NONBLOCK:
        flags |= os.O_NONBLOCK
    if not lookup & LOOKUP_SYMLINK_FOLLOW:
        flags |= os.O_NOFOLLOW
    host = open_beneath(directory.fd, name, flags | os.O_NOCTTY, 0o666)
    descriptor: Descriptor
    if stat.S_ISDIR(os.fstat(host).st_mode):
        descriptor = directory.within(host)
    else:
        append, nonblock = bool(fdflags & FDFLAGS_APPEND), bool(fdflags & FDFLAGS_NONBLOCK)
        descriptor = File(host, readable, writable, append, nonblock)
        if readable and not directory.files_readable:
            raise WasiError(PERM)
    memory.set_u32(result, 0)  # the pointer must be good before the descriptor has a number
    memory.set_u32(result, wasi.add(descriptor))


@contextmanager
def _parent(directory: Directory, path: bytes) -> Iterator[tuple[int, bytes]]:
    """Descriptor of the directory of the last component of `path`, and that component."""
    parent, name = open_parent(directory.fd, path)
    try:
        yield parent, name
    finally:
        os.close(parent)


def _mutable(wasi: WasiContext, fd: int) -> Directory:
    directory = wasi.directory(fd)
    if not directory.mutable:
        raise WasiError(PERM)
    return directory


def path_create_directory(wasi: WasiContext, memory: GuestMemory, fd: int, path: int, size: int) -> None:
    with _parent(_mutable(wasi, fd), memory.path(path, size)) as (parent, name):
        os.mkdir(name, 0o777, dir_fd=parent)


def path_remove_directory(wasi: WasiContext, memory: GuestMemory, fd: int, path: int, size: int) -> None:
    with _parent(_mutable(wasi, fd), memory.path(path, size)) as (parent, name):
        if name.rstrip(b"/") in (b".", b".."):
            raise WasiError(INVAL)
        os.rmdir(name, dir_fd=parent)


def path_unlink_file(wasi: WasiContext, memory: GuestMemory, fd: int, path: int, size: int) -> None:
    with _parent(_mutable(wasi, fd), memory.path(path, size)) as (parent, name):
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


def path_filestat_get(
    wasi: WasiContext, memory: GuestMemory, fd: int, lookup: int, path: int, size: int, result: int
) -> None:
    check_flags("lookupflags", lookup, LOOKUP_SYMLINK_FOLLOW)
    with _located(wasi.directory(fd), lookup, memory.path(path, size)) as found:
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
    directory, name = _mutable(wasi, fd), memory.path(path, size)
    with _located(directory, lookup, name) as found:
        set_times(found, *times)


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
    source, target = _mutable(wasi, old_fd), _mutable(wasi, new_fd)
    if lookup & LOOKUP_SYMLINK_FOLLOW:
        raise WasiError(INVAL)
    old_name, new_name = memory.path(old_path, old_size), memory.path(new_path, new_size)
    with _parent(source, old_name) as (old_parent, old), _parent(target, new_name) as (new_parent, new):
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
    source, target = _mutable(wasi, old_fd), _mutable(wasi, new_fd)
    old_name, new_name = memory.path(old_path, old_size), memory.path(new_path, new_size)
    with _parent(source, old_name) as (old_parent, old), _parent(target, new_name) as (new_parent, new):
        os.rename(old, new, src_dir_fd=old_parent, dst_dir_fd=new_parent)


def path_symlink(
    wasi: WasiContext, memory: GuestMemory, content: int, content_size: int, fd: int, path: int, size: int
) -> None:
    """Links to absolute paths are refused: they mean nothing below a directory."""
    directory = _mutable(wasi, fd)
    target = memory.path(content, content_size)
    with _parent(directory, memory.path(path, size)) as (parent, name):
        if target.startswith(b"/"):
            raise WasiError(PERM)
        if b"\0" in target:
            raise WasiError(INVAL)
        os.symlink(target, name, dir_fd=parent)


def path_readlink(
    wasi: WasiContext, memory: GuestMemory, fd: int, path: int, size: int, buffer: int, buffer_size: int, result: int
) -> None:
    with _parent(wasi.directory(fd), memory.path(path, size)) as (parent, name):
        target = os.readlink(name, dir_fd=parent)
    if target.startswith(b"/"):
        raise WasiError(PERM)
    memory.write(buffer, target[:buffer_size])
    memory.set_u32(result, min(len(target), buffer_size))
