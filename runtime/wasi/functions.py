"""The functions of `wasi_snapshot_preview1`, one row each."""

from __future__ import annotations

from typing import Final

from brolga.jit.wasm.types import I32, I64, FuncType

from .function import WasiFunction

MODULE_NAME: Final = "wasi_snapshot_preview1"
FUNCTIONS: Final[dict[str, WasiFunction]] = {}


def _row(module: str, params: str, name: str, results: tuple[int, ...] = (I32,)) -> None:
    """`module`: where the function of this name is. `params`: `i` for i32 and `I` for i64 parameters."""
    type = FuncType(tuple([I32 if letter == "i" else I64 for letter in params]), results)
    FUNCTIONS[name] = WasiFunction(name, type, module)


_row("process_calls", "ii", "args_get")
_row("process_calls", "ii", "args_sizes_get")
_row("process_calls", "ii", "environ_get")
_row("process_calls", "ii", "environ_sizes_get")
_row("process_calls", "ii", "clock_res_get")
_row("process_calls", "iIi", "clock_time_get")
_row("fd_calls", "iIIi", "fd_advise")
_row("fd_calls", "iII", "fd_allocate")
_row("fd_calls", "i", "fd_close")
_row("fd_calls", "i", "fd_datasync")
_row("fd_calls", "ii", "fd_fdstat_get")
_row("fd_calls", "ii", "fd_fdstat_set_flags")
_row("fd_calls", "iII", "fd_fdstat_set_rights")
_row("fd_calls", "ii", "fd_filestat_get")
_row("fd_calls", "iI", "fd_filestat_set_size")
_row("time_calls", "iIIi", "fd_filestat_set_times")
_row("fd_calls", "iiiIi", "fd_pread")
_row("fd_calls", "ii", "fd_prestat_get")
_row("fd_calls", "iii", "fd_prestat_dir_name")
_row("fd_calls", "iiiIi", "fd_pwrite")
_row("fd_calls", "iiii", "fd_read")
_row("fd_calls", "iiiIi", "fd_readdir")
_row("fd_calls", "ii", "fd_renumber")
_row("fd_calls", "iIii", "fd_seek")
_row("fd_calls", "i", "fd_sync")
_row("fd_calls", "ii", "fd_tell")
_row("fd_calls", "iiii", "fd_write")
_row("path_calls", "iii", "path_create_directory")
_row("path_calls", "iiiii", "path_filestat_get")
_row("path_calls", "iiiiIIi", "path_filestat_set_times")
_row("path_calls", "iiiiiii", "path_link")
_row("path_calls", "iiiiiIIii", "path_open")
_row("path_calls", "iiiiii", "path_readlink")
_row("path_calls", "iii", "path_remove_directory")
_row("path_calls", "iiiiii", "path_rename")
_row("path_calls", "iiiii", "path_symlink")
_row("path_calls", "iii", "path_unlink_file")
_row("poll_calls", "iiii", "poll_oneoff")
_row("process_calls", "i", "proc_exit", ())
_row("process_calls", "i", "proc_raise")
_row("process_calls", "", "sched_yield")
_row("process_calls", "ii", "random_get")
_row("fd_calls", "iii", "sock_accept")
_row("fd_calls", "iiiiii", "sock_recv")
_row("fd_calls", "iiiii", "sock_send")
_row("fd_calls", "ii", "sock_shutdown")
