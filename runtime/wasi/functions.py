"""The functions of `wasi_snapshot_preview1`, one row each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from brolga.jit.wasm.types import I32, I64, FuncType

from .abi import INVAL, SUCCESS, WasiError, errno_of
from .context import WasiContext
from .fd_calls import (
    fd_advise,
    fd_allocate,
    fd_close,
    fd_datasync,
    fd_fdstat_get,
    fd_fdstat_set_flags,
    fd_fdstat_set_rights,
    fd_filestat_get,
    fd_filestat_set_size,
    fd_filestat_set_times,
    fd_pread,
    fd_prestat_dir_name,
    fd_prestat_get,
    fd_pwrite,
    fd_read,
    fd_readdir,
    fd_renumber,
    fd_seek,
    fd_sync,
    fd_tell,
    fd_write,
    sock_accept,
    sock_recv,
    sock_send,
    sock_shutdown,
)
from .guest import GuestMemory
from .path_calls import (
    path_create_directory,
    path_filestat_get,
    path_filestat_set_times,
    path_link,
    path_open,
    path_readlink,
    path_remove_directory,
    path_rename,
    path_symlink,
    path_unlink_file,
)
from .poll_calls import poll_oneoff
from .process_calls import (
    args_get,
    args_sizes_get,
    clock_res_get,
    clock_time_get,
    environ_get,
    environ_sizes_get,
    proc_exit,
    proc_raise,
    random_get,
    sched_yield,
)

MODULE_NAME: Final = "wasi_snapshot_preview1"

Implementation = Callable[..., None]


@final
class WasiFunction:
    """One function: its wasm type, and what does the work: (context, memory, arguments as unsigned ints)."""

    __slots__ = ("implementation", "name", "type")

    def __init__(self, name: str, type: FuncType, implementation: Implementation) -> None:
        self.name = name
        self.type = type
        self.implementation = implementation

    def call(self, context: WasiContext, memory: GuestMemory, args: tuple[int, ...]) -> int:
        """Do the call and return the error number for the guest. Traps and exits are raised."""
        try:
            self.implementation(context, memory, *args)
        except WasiError as error:
            return error.errno
        except OSError as error:
            return errno_of(error)
        except (ValueError, OverflowError):  # a number that the host's own call cannot take
            return INVAL
        return SUCCESS


FUNCTIONS: Final[dict[str, WasiFunction]] = {}


def _row(params: str, implementation: Implementation, results: tuple[int, ...] = (I32,)) -> None:
    """`params`: `i` for i32 and `I` for i64 parameters."""
    name = implementation.__name__
    type = FuncType(tuple(I32 if letter == "i" else I64 for letter in params), results)
    FUNCTIONS[name] = WasiFunction(name, type, implementation)


_row("ii", args_get)
_row("ii", args_sizes_get)
_row("ii", environ_get)
_row("ii", environ_sizes_get)
_row("ii", clock_res_get)
_row("iIi", clock_time_get)
_row("iIIi", fd_advise)
_row("iII", fd_allocate)
_row("i", fd_close)
_row("i", fd_datasync)
_row("ii", fd_fdstat_get)
_row("ii", fd_fdstat_set_flags)
_row("iII", fd_fdstat_set_rights)
_row("ii", fd_filestat_get)
_row("iI", fd_filestat_set_size)
_row("iIIi", fd_filestat_set_times)
_row("iiiIi", fd_pread)
_row("ii", fd_prestat_get)
_row("iii", fd_prestat_dir_name)
_row("iiiIi", fd_pwrite)
_row("iiii", fd_read)
_row("iiiIi", fd_readdir)
_row("ii", fd_renumber)
_row("iIii", fd_seek)
_row("i", fd_sync)
_row("ii", fd_tell)
_row("iiii", fd_write)
_row("iii", path_create_directory)
_row("iiiii", path_filestat_get)
_row("iiiiIIi", path_filestat_set_times)
_row("iiiiiii", path_link)
_row("iiiiiIIii", path_open)
_row("iiiiii", path_readlink)
_row("iii", path_remove_directory)
_row("iiiiii", path_rename)
_row("iiiii", path_symlink)
_row("iii", path_unlink_file)
_row("iiii", poll_oneoff)
_row("i", proc_exit, ())
_row("i", proc_raise)
_row("", sched_yield)
_row("ii", random_get)
_row("iii", sock_accept)
_row("iiiiii", sock_recv)
_row("iiiii", sock_send)
_row("ii", sock_shutdown)
