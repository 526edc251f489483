"""Path resolution that cannot leave a directory, whatever symbolic links, `..` or races it meets.

Linux from 5.6 on resolves so itself (`openat2` with RESOLVE_BENEATH). Elsewhere the path is walked component by
component: each directory is opened with O_NOFOLLOW relative to the one before, symbolic links are read and spliced in by
hand, and `..` returns to the descriptor that was opened before, so that a rename in between cannot lead outside.
Failures are OSErrors; a path that leads outside fails with EPERM, as in wasmtime.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Final

_SYS_OPENAT2: Final = 437
_RESOLVE_NO_MAGICLINKS: Final = 0x02
_RESOLVE_BENEATH: Final = 0x08
_MAX_LINKS: Final = 40
_MOST_TRIES: Final = 100  # somebody may rename for ever
_AT_EMPTY_PATH: Final = 0x1000
_PATH_MAX: Final = 4096

_libc: Final = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_int64), ("nanoseconds", ctypes.c_int64))


def _failed(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _openat2(root: int, path: bytes, flags: int, mode: int) -> int:
    how = _OpenHow(flags | os.O_CLOEXEC, mode, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
    for _ in range(_MOST_TRIES):
        fd = int(_libc.syscall(_SYS_OPENAT2, root, path, ctypes.byref(how), ctypes.sizeof(how)))
        if fd >= 0:
            return fd
        number = ctypes.get_errno()
        if number == errno.EXDEV:
            raise _failed(errno.EPERM)
        if number not in (errno.EINTR, errno.EAGAIN):  # EAGAIN: a rename raced with `..`
            raise _failed(number)
    raise _failed(number)


def kernel_resolves() -> bool:
    """Whether `openat2` is there and allowed."""
    try:
        os.close(_openat2(-100, b".", os.O_PATH, 0))
    except OSError:
        return False
    return True


# None: not yet tried. Tests set it to see the other way at work.
use_openat2: bool | None = None


def _check(path: bytes) -> None:
    if not path:
        raise _failed(errno.ENOENT)
    if len(path) >= _PATH_MAX:
        raise _failed(errno.ENAMETOOLONG)
    if b"\0" in path:
        raise _failed(errno.EINVAL)
    if path[0] == 0x2F:
        raise _failed(errno.EPERM)


def _by_kernel() -> bool:
    global use_openat2
    if use_openat2 is None:
        use_openat2 = kernel_resolves()
    return use_openat2


def open_beneath(root: int, path: bytes, flags: int, mode: int = 0) -> int:
    """Open `path` below the directory `root` with `open`'s flags; a new descriptor."""
    _check(path)
    if _by_kernel():
        return _openat2(root, path, flags, mode if flags & os.O_CREAT else 0)
    as_directory = path.endswith(b"/")
    if as_directory:
        follow = not flags & os.O_CREAT  # which fails before the kernel looks where a link leads
    else:
        follow = not flags & (os.O_NOFOLLOW | os.O_EXCL)
    parent, name = _walk(root, path, follow, makes=bool(flags & os.O_CREAT))
    try:
        if as_directory:
            if flags & os.O_CREAT:
                raise _failed(errno.EEXIST if flags & os.O_EXCL and name == b"." else errno.EISDIR)
            flags |= os.O_DIRECTORY
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=parent)
    finally:
        os.close(parent)


def open_parent(root: int, path: bytes) -> tuple[int, bytes]:
    """The directory that holds the last component of `path`, as a new O_PATH descriptor, and that component.

    The component keeps a slash at its end. It is never a name that leads outside when it is not followed.
    """
    _check(path)
    bare = path.rstrip(b"/")
    head, _, name = bare.rpartition(b"/")
    name += path[len(bare) :][:1]
    if name.rstrip(b"/") == b"..":
        os.close(open_beneath(root, path, os.O_PATH))  # fails if it leads outside
    if _by_kernel():
        return _openat2(root, head or b".", os.O_PATH | os.O_DIRECTORY, 0), name
    parent, last = _walk(root, (head or b".") + b"/.", follow=False)
    assert last == b"."
    return parent, name


def _walk(root: int, path: bytes, follow: bool, makes: bool = False) -> tuple[int, bytes]:
    """Directory and last component of `path`, which is `.` if the path ends in a directory named `.` or `..`. `makes`: a file that is
    not there is to be made."""
    todo = [part for part in reversed(path.split(b"/")) if part]
    opened = [os.dup(root)]  # the directories on the way, one for each `..` to return to
    links = 0
    makes_directory = False
    try:
        while True:
            name = todo.pop()
            if name in (b".", b".."):
                os.stat(b".", dir_fd=opened[-1])  # who may not search a directory finds these in it no more than others
            if name == b"..":
                if len(opened) == 1:
                    raise _failed(errno.EPERM)
                os.close(opened.pop())
            elif name != b".":
                if makes_directory and not todo:
                    raise _failed(errno.EISDIR)
                target = _link_target(opened[-1], name) if todo or follow else None
                if target is not None:
                    links += 1
                    if links > _MAX_LINKS:
                        raise _failed(errno.ELOOP)
                    if target.startswith(b"/"):
                        raise _failed(errno.EPERM)
                    if target.endswith(b"/") and not todo:
                        if makes and target.rstrip(b"/").rpartition(b"/")[2] not in (b".", b".."):
                            makes_directory = True
                        else:
                            todo.append(b".")
                    todo += [part for part in reversed(target.split(b"/")) if part]
                    continue
                if not todo:
                    return opened.pop(), name
                opened.append(
                    os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=opened[-1])
                )
            if not todo:
                return opened.pop(), b"."
    finally:
        for fd in opened:
            os.close(fd)


def _link_target(directory: int, name: bytes) -> bytes | None:
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return None
        raise


def set_times(fd: int, accessed: tuple[int, int], modified: tuple[int, int]) -> None:
    """Set the times of the file behind a descriptor, which may be an O_PATH one: pairs of seconds and nanoseconds (or
    UTIME_NOW, UTIME_OMIT)."""
    times = (_Timespec * 2)(_Timespec(*accessed), _Timespec(*modified))
    if _libc.utimensat(fd, b"", times, _AT_EMPTY_PATH) != 0:
        raise _failed(ctypes.get_errno())


UTIME_NOW: Final = (1 << 30) - 1
UTIME_OMIT: Final = (1 << 30) - 2
