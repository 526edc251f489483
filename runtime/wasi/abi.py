"""Numbers and record layouts of WASI preview 1 (`wasi_snapshot_preview1`, witx types.witx)."""

from __future__ import annotations

import errno as host_errno
import stat
from struct import Struct
from typing import Final

from brolga.ir.errors import WasmtimeError

# Error numbers by position.
ERRNO_NAMES: Final[list[str]] = [
    "success",
    "2big",
    "acces",
    "addrinuse",
    "addrnotavail",
    "afnosupport",
    "again",
    "already",
    "badf",
    "badmsg",
    "busy",
    "canceled",
    "child",
    "connaborted",
    "connrefused",
    "connreset",
    "deadlk",
    "destaddrreq",
    "dom",
    "dquot",
    "exist",
    "fault",
    "fbig",
    "hostunreach",
    "idrm",
    "ilseq",
    "inprogress",
    "intr",
    "inval",
    "io",
    "isconn",
    "isdir",
    "loop",
    "mfile",
    "mlink",
    "msgsize",
    "multihop",
    "nametoolong",
    "netdown",
    "netreset",
    "netunreach",
    "nfile",
    "nobufs",
    "nodev",
    "noent",
    "noexec",
    "nolck",
    "nolink",
    "nomem",
    "nomsg",
    "noprotoopt",
    "nospc",
    "nosys",
    "notconn",
    "notdir",
    "notempty",
    "notrecoverable",
    "notsock",
    "notsup",
    "notty",
    "nxio",
    "overflow",
    "ownerdead",
    "perm",
    "pipe",
    "proto",
    "protonosupport",
    "prototype",
    "range",
    "rofs",
    "spipe",
    "srch",
    "stale",
    "timedout",
    "txtbsy",
    "xdev",
    "notcapable",
]
ERRNO: Final[dict[str, int]] = {name: number for number, name in enumerate(ERRNO_NAMES)}

SUCCESS: Final = 0
BADF: Final = ERRNO["badf"]
EXIST: Final = ERRNO["exist"]
FAULT: Final = ERRNO["fault"]
ILSEQ: Final = ERRNO["ilseq"]
INVAL: Final = ERRNO["inval"]
IO: Final = ERRNO["io"]
ISDIR: Final = ERRNO["isdir"]
NAMETOOLONG: Final = ERRNO["nametoolong"]
NOENT: Final = ERRNO["noent"]
NOTDIR: Final = ERRNO["notdir"]
NOTSOCK: Final = ERRNO["notsock"]
NOTSUP: Final = ERRNO["notsup"]
OVERFLOW: Final = ERRNO["overflow"]
PERM: Final = ERRNO["perm"]
SPIPE: Final = ERRNO["spipe"]
MFILE: Final = ERRNO["mfile"]
INTR: Final = ERRNO["intr"]
NFILE: Final = ERRNO["nfile"]
NOMEM: Final = ERRNO["nomem"]

_FROM_HOST: Final[dict[int, int]] = {
    number: ERRNO[name[1:].lower()] for number, name in host_errno.errorcode.items() if name[1:].lower() in ERRNO
}
_FROM_HOST[host_errno.EOPNOTSUPP] = NOTSUP


class WasiError(WasmtimeError):
    """A WASI function failed with error number `errno`; the guest gets it as the result of its call."""

    def __init__(self, errno: int) -> None:
        self.errno = errno
        super().__init__(ERRNO_NAMES[errno])


def errno_of(error: OSError) -> int:
    """The WASI number of a failed system call."""
    return _FROM_HOST.get(error.errno or 0, IO)


FILETYPE_UNKNOWN: Final = 0
FILETYPE_BLOCK_DEVICE: Final = 1
FILETYPE_CHARACTER_DEVICE: Final = 2
FILETYPE_DIRECTORY: Final = 3
FILETYPE_REGULAR_FILE: Final = 4
FILETYPE_SOCKET_STREAM: Final = 6
FILETYPE_SYMBOLIC_LINK: Final = 7

_FILETYPES: Final[dict[int, int]] = {
    stat.S_IFBLK: FILETYPE_BLOCK_DEVICE,
    stat.S_IFCHR: FILETYPE_CHARACTER_DEVICE,
    stat.S_IFDIR: FILETYPE_DIRECTORY,
    stat.S_IFREG: FILETYPE_REGULAR_FILE,
    stat.S_IFLNK: FILETYPE_SYMBOLIC_LINK,
    stat.S_IFSOCK: FILETYPE_SOCKET_STREAM,
}


def filetype_of_mode(mode: int) -> int:
    """The filetype for a host's `st_mode`."""
    return _FILETYPES.get(stat.S_IFMT(mode), FILETYPE_UNKNOWN)


FDFLAGS_APPEND: Final = 1
FDFLAGS_DSYNC: Final = 2
FDFLAGS_NONBLOCK: Final = 4
FDFLAGS_RSYNC: Final = 8
FDFLAGS_SYNC: Final = 16
FDFLAGS_ALL: Final = 31

RIFLAGS_ALL: Final = 3
SIFLAGS_ALL: Final = 0xFFFF  # none is defined, but the number has 16 bits
SDFLAGS_ALL: Final = 3

OFLAGS_CREAT: Final = 1
OFLAGS_DIRECTORY: Final = 2
OFLAGS_EXCL: Final = 4
OFLAGS_TRUNC: Final = 8

LOOKUP_SYMLINK_FOLLOW: Final = 1

FSTFLAGS_ATIM: Final = 1
FSTFLAGS_ATIM_NOW: Final = 2
FSTFLAGS_MTIM: Final = 4
FSTFLAGS_MTIM_NOW: Final = 8
FSTFLAGS_ALL: Final = 15

WHENCE_SET: Final = 0
WHENCE_CUR: Final = 1
WHENCE_END: Final = 2

CLOCK_REALTIME: Final = 0
CLOCK_MONOTONIC: Final = 1
CLOCK_PROCESS_CPUTIME: Final = 2
CLOCK_THREAD_CPUTIME: Final = 3

EVENTTYPE_CLOCK: Final = 0
EVENTTYPE_FD_READ: Final = 1
EVENTTYPE_FD_WRITE: Final = 2
SUBCLOCK_ABSTIME: Final = 1
EVENT_HANGUP: Final = 1

# Rights by bit number.
_RIGHT_NAMES: Final[list[str]] = [
    "fd_datasync",
    "fd_read",
    "fd_seek",
    "fd_fdstat_set_flags",
    "fd_sync",
    "fd_tell",
    "fd_write",
    "fd_advise",
    "fd_allocate",
    "path_create_directory",
    "path_create_file",
    "path_link_source",
    "path_link_target",
    "path_open",
    "fd_readdir",
    "path_readlink",
    "path_rename_source",
    "path_rename_target",
    "path_filestat_get",
    "path_filestat_set_size",
    "path_filestat_set_times",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "path_symlink",
    "path_remove_directory",
    "path_unlink_file",
    "poll_fd_readwrite",
    "sock_shutdown",
    "sock_accept",
]


def rights(names: str) -> int:
    """The set of the rights named."""
    result = 0
    for name in names.split():
        result |= 1 << _RIGHT_NAMES.index(name)
    return result


RIGHTS_ALL: Final = (1 << len(_RIGHT_NAMES)) - 1
RIGHT_FD_READ: Final = rights("fd_read")
RIGHT_FD_WRITE: Final = rights("fd_write")
RIGHT_FD_READDIR: Final = rights("fd_readdir")
RIGHTS_NOT_DIRECTORY: Final = rights("fd_seek fd_filestat_set_size path_filestat_set_size")
# What a preopened directory reports; C libraries compare with these.
RIGHTS_PREOPEN: Final = rights(
    "path_create_directory path_create_file path_link_source path_link_target path_open fd_readdir path_readlink "
    "path_rename_source path_rename_target path_symlink path_remove_directory path_unlink_file path_filestat_get "
    "path_filestat_set_times fd_filestat_get fd_filestat_set_times"
)
RIGHTS_PREOPEN_INHERITING: Final = RIGHTS_PREOPEN | rights(
    "fd_datasync fd_read fd_seek fd_fdstat_set_flags fd_sync fd_tell fd_write fd_advise fd_allocate fd_filestat_get "
    "fd_filestat_set_size fd_filestat_set_times poll_fd_readwrite"
)

# Records, little-endian, with C's padding.
FDSTAT: Final = Struct("<BxHxxxxQQ")  # filetype, flags, rights base, rights inheriting
FILESTAT: Final = Struct("<QQBxxxxxxxQQQQQ")  # dev, ino, filetype, nlink, size, atim, mtim, ctim
DIRENT: Final = Struct("<QQIBxxx")  # next cookie, ino, length of the name, filetype
PRESTAT: Final = Struct("<BxxxI")  # tag 0: directory, length of the name
SUBSCRIPTION: Final = Struct("<QBxxxxxxx32s")  # userdata, event type, its own part
SUBSCRIPTION_CLOCK: Final = Struct("<IxxxxQQHxxxxxx")  # clock, timeout, precision, flags
EVENT: Final = Struct("<QHBxxxxxQHxxxxxx")  # userdata, error, type, bytes ready, flags
