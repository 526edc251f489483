"""The `fd_*` and `sock_*` functions. Each: (context, memory, arguments as unsigned ints).

A failure is raised as WasiError or OSError; the guest gets its number. A value that the interface does not name
(a flag, a whence) traps, as pointers outside of the memory do.
"""

from __future__ import annotations

import os
from itertools import islice
from typing import NoReturn

from .abi import (
    BADF,
    DIRENT,
    FDFLAGS_ALL,
    FDFLAGS_APPEND,
    FDFLAGS_DSYNC,
    FDFLAGS_NONBLOCK,
    FDFLAGS_RSYNC,
    FDFLAGS_SYNC,
    FDSTAT,
    FILESTAT,
    FILETYPE_DIRECTORY,
    FILETYPE_REGULAR_FILE,
    FILETYPE_SYMBOLIC_LINK,
    INTR,
    INVAL,
    NAMETOOLONG,
    NOTDIR,
    NOTSOCK,
    NOTSUP,
    PERM,
    PRESTAT,
    RIFLAGS_ALL,
    RIGHT_FD_READ,
    RIGHT_FD_READDIR,
    RIGHT_FD_WRITE,
    RIGHTS_ALL,
    RIGHTS_NOT_DIRECTORY,
    RIGHTS_PREOPEN,
    RIGHTS_PREOPEN_INHERITING,
    SDFLAGS_ALL,
    SIFLAGS_ALL,
    SPIPE,
    WHENCE_END,
    WasiError,
    filetype_of_mode,
)
from .context import WasiContext
from .descriptors import Directory, File, InputStream, OutputStream
from .guest import GuestFault, GuestMemory
from .transfer import Ended, first_piece, read_into, write_from

_ADVICE = (
    os.POSIX_FADV_NORMAL,
    os.POSIX_FADV_SEQUENTIAL,
    os.POSIX_FADV_RANDOM,
    os.POSIX_FADV_WILLNEED,
    os.POSIX_FADV_DONTNEED,
    os.POSIX_FADV_NOREUSE,
)
_OFFSET_LIMIT = 1 << 63
_LATEST = (1 << 64) - 1
_LOOK_UP = 1000  # entries of a directory between two looks whether the call is to end


def check_flags(kind: str, value: int, known: int) -> None:
    """Trap on bits that the interface does not define."""
    if value & ~known:
        raise GuestFault(f"Invalid flag value: {kind} {value:#x}")


def fd_advise(wasi: WasiContext, memory: GuestMemory, fd: int, offset: int, size: int, advice: int) -> None:
    if advice >= len(_ADVICE):
        raise GuestFault(f"Invalid enum value: advice {advice}")
    file = wasi.file(fd)
    if offset >= _OFFSET_LIMIT or size >= _OFFSET_LIMIT:
        raise WasiError(INVAL)
    os.posix_fadvise(file.fd, offset, size, _ADVICE[advice])


def fd_allocate(wasi: WasiContext, memory: GuestMemory, fd: int, offset: int, size: int) -> NoReturn:
    wasi.file(fd)
    raise WasiError(NOTSUP)


def fd_close(wasi: WasiContext, memory: GuestMemory, fd: int) -> None:
    wasi.remove(fd).close()


def fd_datasync(wasi: WasiContext, memory: GuestMemory, fd: int) -> None:
    file = wasi.file(fd)
    if file.writable:
        os.fdatasync(file.fd)


def fd_sync(wasi: WasiContext, memory: GuestMemory, fd: int) -> None:
    file = wasi.file(fd)
    if file.writable:
        os.fsync(file.fd)


def fd_fdstat_get(wasi: WasiContext, memory: GuestMemory, fd: int, result: int) -> None:
    descriptor = wasi.get(fd)
    if isinstance(descriptor, InputStream):
        memory.pack(FDSTAT, result, descriptor.filetype(), 0, RIGHT_FD_READ, RIGHT_FD_READ)
    elif isinstance(descriptor, OutputStream):
        memory.pack(FDSTAT, result, descriptor.filetype(), 0, RIGHT_FD_WRITE, RIGHT_FD_WRITE)
    elif isinstance(descriptor, Directory):
        if descriptor.guest_path is not None:
            memory.pack(FDSTAT, result, FILETYPE_DIRECTORY, 0, RIGHTS_PREOPEN, RIGHTS_PREOPEN_INHERITING)
        else:
            rights = RIGHTS_ALL & ~RIGHTS_NOT_DIRECTORY & ~RIGHT_FD_WRITE
            memory.pack(FDSTAT, result, FILETYPE_DIRECTORY, 0, rights, rights)
    else:
        rights = RIGHTS_ALL
        if not descriptor.readable:
            rights &= ~(RIGHT_FD_READ | RIGHT_FD_READDIR)
        if not descriptor.writable:
            rights &= ~RIGHT_FD_WRITE
        flags = (FDFLAGS_APPEND if descriptor.append else 0) | (FDFLAGS_NONBLOCK if descriptor.nonblock else 0)
        filetype = filetype_of_mode(os.fstat(descriptor.fd).st_mode)
        memory.pack(FDSTAT, result, filetype, flags, rights, rights)


def fd_fdstat_set_flags(wasi: WasiContext, memory: GuestMemory, fd: int, flags: int) -> None:
    synchronous = FDFLAGS_DSYNC | FDFLAGS_RSYNC | FDFLAGS_SYNC
    check_flags("fdflags", flags, FDFLAGS_ALL)
    file = wasi.file(fd)
    if flags & synchronous:
        raise WasiError(INVAL)
    import fcntl  # a shared library, for this alone

    host = fcntl.fcntl(file.fd, fcntl.F_GETFL) & ~(os.O_APPEND | os.O_NONBLOCK)
    if flags & FDFLAGS_APPEND:
        host |= os.O_APPEND
    if flags & FDFLAGS_NONBLOCK:
        host |= os.O_NONBLOCK
    fcntl.fcntl(file.fd, fcntl.F_SETFL, host)
    file.append = bool(flags & FDFLAGS_APPEND)
    file.nonblock = bool(flags & FDFLAGS_NONBLOCK)


def fd_fdstat_set_rights(wasi: WasiContext, memory: GuestMemory, fd: int, base: int, inheriting: int) -> NoReturn:
    check_flags("rights", base | inheriting, RIGHTS_ALL)
    raise WasiError(NOTSUP if isinstance(wasi.get(fd), (File, Directory)) else BADF)


def _time(nanoseconds: int) -> int:
    """A time of a file, as near as the record can say: it has none before 1970 or after 2554."""
    return min(max(nanoseconds, 0), _LATEST)


def pack_filestat(memory: GuestMemory, result: int, status: os.stat_result) -> None:
    memory.pack(
        FILESTAT,
        result,
        status.st_dev,
        status.st_ino,
        filetype_of_mode(status.st_mode),
        status.st_nlink,
        status.st_size,
        _time(status.st_atime_ns),
        _time(status.st_mtime_ns),
        _time(status.st_ctime_ns),
    )


def fd_filestat_get(wasi: WasiContext, memory: GuestMemory, fd: int, result: int) -> None:
    descriptor = wasi.get(fd)
    if isinstance(descriptor, (File, Directory)):
        pack_filestat(memory, result, os.fstat(descriptor.fd))
    else:
        memory.pack(FILESTAT, result, 0, 0, descriptor.filetype(), 0, 0, 0, 0, 0)


def fd_filestat_set_size(wasi: WasiContext, memory: GuestMemory, fd: int, size: int) -> None:
    file = wasi.file(fd)
    if not file.mutable:
        raise WasiError(PERM)
    if size >= _OFFSET_LIMIT:
        raise WasiError(INVAL)
    os.ftruncate(file.fd, size)


def fd_read(wasi: WasiContext, memory: GuestMemory, fd: int, iovs: int, count: int, result: int) -> None:
    descriptor = wasi.get(fd)
    buffers = memory.buffers(iovs, count)
    if isinstance(descriptor, File) and descriptor.readable:
        waits = descriptor.waits and not descriptor.nonblock
        size = read_into(descriptor.fd, buffers, waits, wasi.ended)
    elif isinstance(descriptor, InputStream):
        size = descriptor.read_into(buffers, wasi.ended)
    else:
        raise WasiError(BADF)
    memory.set_u32(result, size)


def fd_pread(wasi: WasiContext, memory: GuestMemory, fd: int, iovs: int, count: int, offset: int, result: int) -> None:
    descriptor = wasi.get(fd)
    buffers = memory.buffers(iovs, count)
    if isinstance(descriptor, InputStream):
        raise WasiError(SPIPE)
    if not isinstance(descriptor, File) or not descriptor.readable:
        raise WasiError(BADF)
    if offset >= _OFFSET_LIMIT:
        raise WasiError(INVAL)
    memory.set_u32(result, os.preadv(descriptor.fd, first_piece(buffers), offset) if buffers else 0)


def fd_write(wasi: WasiContext, memory: GuestMemory, fd: int, iovs: int, count: int, result: int) -> None:
    descriptor = wasi.get(fd)
    buffers = memory.buffers(iovs, count)
    if isinstance(descriptor, File) and descriptor.writable:
        waits = descriptor.waits and not descriptor.nonblock
        size = write_from(descriptor.fd, buffers, waits, wasi.ended)
    elif isinstance(descriptor, OutputStream):
        size = descriptor.write_from(buffers, wasi.ended)
    else:
        raise WasiError(BADF)
    memory.set_u32(result, size)


def fd_pwrite(wasi: WasiContext, memory: GuestMemory, fd: int, iovs: int, count: int, offset: int, result: int) -> None:
    descriptor = wasi.get(fd)
    buffers = memory.buffers(iovs, count)
    if isinstance(descriptor, OutputStream):
        raise WasiError(SPIPE)
    if not isinstance(descriptor, File):
        raise WasiError(BADF)
    if offset >= _OFFSET_LIMIT:
        raise WasiError(INVAL)
    if not descriptor.writable:
        raise WasiError(BADF)
    memory.set_u32(result, os.pwritev(descriptor.fd, first_piece(buffers), offset) if buffers else 0)


def fd_seek(wasi: WasiContext, memory: GuestMemory, fd: int, delta: int, whence: int, result: int) -> None:
    if whence > WHENCE_END:
        raise GuestFault(f"Invalid enum value: whence {whence}")
    memory.set_u64(result, os.lseek(_seekable(wasi, fd).fd, delta - (delta >> 63 << 64), whence))


def fd_tell(wasi: WasiContext, memory: GuestMemory, fd: int, result: int) -> None:
    memory.set_u64(result, os.lseek(_seekable(wasi, fd).fd, 0, os.SEEK_CUR))


def _seekable(wasi: WasiContext, fd: int) -> File:
    descriptor = wasi.get(fd)
    if isinstance(descriptor, File):
        return descriptor
    raise WasiError(BADF if isinstance(descriptor, Directory) else SPIPE)


def fd_prestat_get(wasi: WasiContext, memory: GuestMemory, fd: int, result: int) -> None:
    descriptor = wasi.get(fd)
    if not isinstance(descriptor, Directory) or descriptor.guest_path is None:
        raise WasiError(BADF)
    memory.pack(PRESTAT, result, 0, len(descriptor.guest_path))


def fd_prestat_dir_name(wasi: WasiContext, memory: GuestMemory, fd: int, buffer: int, size: int) -> None:
    descriptor = wasi.get(fd)
    if not isinstance(descriptor, Directory) or descriptor.guest_path is None:
        raise WasiError(NOTDIR)
    if len(descriptor.guest_path) > size:
        raise WasiError(NAMETOOLONG)
    memory.write(buffer, descriptor.guest_path)


def fd_readdir(
    wasi: WasiContext, memory: GuestMemory, fd: int, buffer: int, size: int, cookie: int, result: int
) -> None:
    """Entries from number `cookie` on, the last one cut where the buffer ends. Cookie 0 reads the directory anew."""
    directory = wasi.get(fd)
    if not isinstance(directory, Directory):
        raise WasiError(BADF)
    if not directory.readable:
        raise WasiError(PERM)
    if cookie == 0 or not directory.listing:
        directory.listing = _listing(directory.fd, wasi.ended)
    entries = bytearray()
    wanted = islice(directory.listing, min(cookie, len(directory.listing)), None)
    for number, (name, inode, filetype) in enumerate(wanted, cookie + 1):
        entries += DIRENT.pack(number, inode, len(name), filetype) + name
        if len(entries) >= size:
            break
    memory.write(buffer, bytes(entries[:size]))
    memory.set_u32(result, min(len(entries), size))


def _listing(fd: int, ended: Ended) -> list[tuple[bytes, int, int]]:
    own = os.fstat(fd).st_ino
    listing = [(b".", own, FILETYPE_DIRECTORY), (b"..", own, FILETYPE_DIRECTORY)]
    with os.scandir(fd) as entries:
        for entry in entries:
            if entry.is_symlink():
                filetype = FILETYPE_SYMBOLIC_LINK
            elif entry.is_dir(follow_symlinks=False):
                filetype = FILETYPE_DIRECTORY
            elif entry.is_file(follow_symlinks=False):
                filetype = FILETYPE_REGULAR_FILE
            else:
                filetype = filetype_of_mode(entry.stat(follow_symlinks=False).st_mode)
            listing.append((os.fsencode(entry.name), entry.inode(), filetype))
            if not len(listing) % _LOOK_UP and ended():
                raise WasiError(INTR)
    return listing


def fd_renumber(wasi: WasiContext, memory: GuestMemory, source: int, target: int) -> None:
    wasi.renumber(source, target)


def sock_accept(wasi: WasiContext, memory: GuestMemory, fd: int, flags: int, result: int) -> NoReturn:
    check_flags("fdflags", flags, FDFLAGS_ALL)
    _not_a_socket(wasi, fd)


def sock_recv(
    wasi: WasiContext, memory: GuestMemory, fd: int, iovs: int, count: int, flags: int, size: int, out_flags: int
) -> NoReturn:
    check_flags("riflags", flags, RIFLAGS_ALL)
    _not_a_socket(wasi, fd)


def sock_send(
    wasi: WasiContext, memory: GuestMemory, fd: int, iovs: int, count: int, flags: int, size: int
) -> NoReturn:
    check_flags("siflags", flags, SIFLAGS_ALL)
    _not_a_socket(wasi, fd)


def sock_shutdown(wasi: WasiContext, memory: GuestMemory, fd: int, how: int) -> NoReturn:
    check_flags("sdflags", how, SDFLAGS_ALL)
    _not_a_socket(wasi, fd)


def _not_a_socket(wasi: WasiContext, fd: int) -> NoReturn:
    wasi.get(fd)
    raise WasiError(NOTSOCK)
