"""Where Brolga and wasmtime are known to answer differently, and why. Everything else that differs is a fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from wasi_programs import PARAMETERS, PATHS, RECORDS, Program
from wasi_runs import Answer

from brolga.runtime.wasi.abi import EVENTTYPE_CLOCK, OFLAGS_DIRECTORY, SUBSCRIPTION


class Difference(NamedTuple):
    """`functions`: names, or parts of names that end in `*`. `ours`, `theirs`: results, empty for any."""

    functions: str
    ours: str
    theirs: str
    reason: str
    when: Callable[[Program, Answer], bool] | None = None


def _paths(answer: Answer) -> list[bytes]:
    return [data for address, data in answer.call.writes if address in PATHS]


def _long_path(program: Program, answer: Answer) -> bool:
    return any(len(path) >= 4096 or max(map(len, path.split(b"/"))) > 255 for path in _paths(answer))


def _slash(program: Program, answer: Answer) -> bool:
    return any(path.endswith(b"/") for path in _paths(answer))


def _empty_buffer(program: Program, answer: Answer) -> bool:
    words = PARAMETERS[answer.call.name].split()
    at = sum(2 if word in ("path", "iovs", "buffer") else 1 for word in words[: words.index("buffer")])
    return answer.call.args[at + 1] == 0


def _as_directory(program: Program, answer: Answer) -> bool:
    oflags = answer.call.args[4]
    return isinstance(oflags, int) and bool(oflags & OFLAGS_DIRECTORY)


def _no_times(program: Program, answer: Answer) -> bool:
    return answer.call.args[-1] == 0


def _clocks(program: Program, answer: Answer) -> bool:
    records = dict(answer.call.writes).get(RECORDS, b"")
    return any(records[at + 8] == EVENTTYPE_CLOCK for at in range(0, len(records), SUBSCRIPTION.size))


def _far(program: Program, answer: Answer) -> bool:
    return any(isinstance(arg, int) and arg >= 1 << 62 for arg in answer.call.args)


def _sockets(program: Program, answer: Answer) -> bool:
    return any(entry.kind == "socket" for entry in program.inside)


def _appends(program: Program, answer: Answer) -> bool:
    offset = answer.call.args[3]
    return isinstance(offset, int) and offset >= 1 << 63


_TRANSFERS: Final = "fd_read fd_write fd_pread fd_pwrite"
DIFFERENCES: Final = [
    Difference("fd_seek", "inval", "success", "a position beyond all files is refused at once"),
    Difference("path_*", "nametoolong", "success", "names of 4096 bytes are refused as the kernel does", _long_path),
    Difference("*", "trap", "trap", "what a call has written before it traps is open"),
    Difference("poll_oneoff", "success", "success", "what has come true by then is a matter of time", _clocks),
    Difference(_TRANSFERS, "trap", "success", "all buffers must lie in memory, though wasmtime looks at the first"),
    Difference("fd_read fd_write", "badf", "spipe", "of two reasons either may be told"),
    Difference("fd_advise", "inval", "success", "a range beyond all files is refused", _far),
    Difference("fd_filestat_get path_filestat_get", "success", "overflow", "times before 1970 are told as 0"),
    Difference("fd_filestat_get path_filestat_get", "trap", "overflow", "of two reasons either may be told"),
    Difference("fd_seek fd_tell", "spipe", "success", "pipes have no position"),
    Difference("fd_read fd_write", "success", "spipe", "pipes have no position, and need none"),
    Difference("path_filestat_get fd_readdir", "success", "success", "wasmtime has no word for sockets", _sockets),
    Difference("fd_sync fd_datasync", "success", "inval", "a pipe that is only read has nothing to write out"),
    Difference("fd_read", "success", "intr", "reading nothing from standard input is no failure"),
    Difference(_TRANSFERS, "trap", "badf", "of two wrong arguments either may be told"),
    Difference(_TRANSFERS, "badf", "trap", "of two wrong arguments either may be told"),
    Difference(
        "fd_* path_* random_get", "badf", "nomem", "wasmtime limits what a call copies, before it looks at the rest"
    ),
    Difference(
        "fd_* path_* random_get", "trap", "nomem", "wasmtime limits what a call copies, before it looks at addresses"
    ),
    Difference("poll_oneoff", "", "nomem", "wasmtime limits what a call copies, before it looks at addresses"),
    Difference("poll_oneoff", "trap", "badf", "all subscriptions must be in memory, though the first one is wrong"),
    Difference("poll_oneoff", "trap", "inval", "all subscriptions must be in memory, though the first one is wrong"),
    Difference(
        "fd_readdir path_readlink random_get",
        "trap",
        "success",
        "an empty buffer, too, must lie in memory",
        _empty_buffer,
    ),
    Difference("path_open", "nxio", "io", "sockets cannot be opened; wasmtime has no name for that"),
    Difference("path_open", "notdir", "", "what is no directory is refused before anything else", _as_directory),
    Difference(
        "path_*",
        "",
        "",
        "long names are refused as the kernel does, wasmtime goes through their components",
        _long_path,
    ),
    Difference(
        "path_remove_directory path_unlink_file path_symlink path_link path_rename",
        "",
        "",
        "of two reasons either may be told",
        _slash,
    ),
    Difference(
        "path_filestat_set_times",
        "",
        "success",
        "wasmtime does not look at the path if no time is to be set",
        _no_times,
    ),
    Difference(
        "fd_pwrite", "inval", "success", "an offset beyond all files is refused, though appending ignores it", _appends
    ),
]


def known(program: Program, ours: Answer, theirs: Answer) -> Difference | None:
    """The row about two different answers."""
    for row in DIFFERENCES:
        if (
            (ours.result != "success" or row.ours == "success")
            and any(_named(pattern, ours.call.name) for pattern in row.functions.split())
            and row.ours in ("", ours.result)
            and row.theirs in ("", theirs.result)
            and (theirs.result != "success" or row.theirs == "success")
            and (row.when is None or row.when(program, ours))
        ):
            return row
    return None


def _named(pattern: str, name: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
