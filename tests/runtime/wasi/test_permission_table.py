"""What a preopened directory does not allow is not to be had: each function that changes or reads something, by each permission.

The table says, for each function, which permission of the directory it needs: to be read, to be changed (its entries made, renamed,
removed), its files to be read, its files to be changed. Whatever is refused leaves the tree as it was. Where wasmtime 50 differs: it lets
`path_filestat_set_times` change files that may not be changed, in a directory whose entries may.
"""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from brolga import DirPerms, FilePerms, WasiConfig
from brolga.runtime.wasi import resolve
from brolga.runtime.wasi.functions import FUNCTIONS

from .guests import OurGuest

DIR_READ, DIR_CHANGE, FILE_READ, FILE_CHANGE = "directory read", "directory changed", "files read", "files changed"
_R, _W = 2, 64  # rights fd_read, fd_write
_CREAT, _DIRECTORY, _EXCL, _TRUNC = 1, 2, 4, 8
_NOW: Final = 2 | 8

Call = Callable[[OurGuest], str]


def _file(guest: OurGuest) -> int:
    """A descriptor of the file, opened in the way that is allowed; or of what stands for it."""
    for rights in (_R, _W):
        result, fd = guest.open(3, "f", rights=rights)
        if result == "success":
            return fd
    return -1


def _below(guest: OurGuest) -> int:
    """The directory in the preopened one, opened: what holds for it holds there."""
    return guest.open(3, "sub", _DIRECTORY, rights=_R)[1]


def _iov(guest: OurGuest) -> tuple[int, int]:
    guest.write(4096, b"changed")
    return guest.iovs((4096, 7))


def _opened(name: str, oflags: int = 0, rights: int = _R, lookup: int = 1) -> Call:
    return lambda guest: guest.open(3, name, oflags, rights, lookup=lookup)[0]


# (what it is, the call, what it needs)
TABLE: Final[list[tuple[str, Call, set[str]]]] = [
    ("path_open to read", _opened("f"), {FILE_READ}),
    ("path_open to write", _opened("f", rights=_W), {FILE_CHANGE}),
    ("path_open to read and write", _opened("f", rights=_R | _W), {FILE_READ, FILE_CHANGE}),
    ("path_open truncating", _opened("f", _TRUNC), {FILE_READ, FILE_CHANGE}),
    ("path_open truncating a link", _opened("link", _TRUNC), {FILE_READ, FILE_CHANGE}),
    ("path_open truncating below", _opened("sub/../sub/g", _TRUNC), {FILE_READ, FILE_CHANGE}),
    ("path_open creating", _opened("new", _CREAT, _W), {DIR_CHANGE, FILE_CHANGE}),
    ("path_open creating exclusively", _opened("new", _CREAT | _EXCL, _W), {DIR_CHANGE, FILE_CHANGE}),
    ("path_open creating what is there", _opened("f", _CREAT, _W), {DIR_CHANGE, FILE_CHANGE}),
    ("path_open creating through a link", _opened("dangling", _CREAT, _W), {DIR_CHANGE, FILE_CHANGE}),
    (
        "path_open in a directory below",
        lambda guest: guest.open(_below(guest), "g", rights=_W)[0],
        {FILE_CHANGE},
    ),
    ("path_create_directory", lambda g: g.call("path_create_directory", 3, *g.path("new")), {DIR_CHANGE}),
    (
        "path_create_directory below",
        lambda g: g.call("path_create_directory", _below(g), *g.path("new")),
        {DIR_CHANGE},
    ),
    ("path_remove_directory", lambda g: g.call("path_remove_directory", 3, *g.path("empty")), {DIR_CHANGE}),
    ("path_unlink_file", lambda g: g.call("path_unlink_file", 3, *g.path("f")), {DIR_CHANGE}),
    ("path_unlink_file of a link", lambda g: g.call("path_unlink_file", 3, *g.path("link")), {DIR_CHANGE}),
    ("path_rename", lambda g: g.call("path_rename", 3, *g.path("f"), 3, *g.path("h", 200)), {DIR_CHANGE}),
    ("path_rename over", lambda g: g.call("path_rename", 3, *g.path("f"), 3, *g.path("sub/g", 200)), {DIR_CHANGE}),
    ("path_link", lambda g: g.call("path_link", 3, 0, *g.path("f"), 3, *g.path("h", 200)), {DIR_CHANGE}),
    ("path_symlink", lambda g: g.call("path_symlink", *g.path("f"), 3, *g.path("h", 200)), {DIR_CHANGE}),
    (
        "path_filestat_set_times of a file",
        lambda g: g.call("path_filestat_set_times", 3, 1, *g.path("f"), 5, 5, 5),
        {DIR_CHANGE, FILE_CHANGE},
    ),
    (
        "path_filestat_set_times of a file, through a link",
        lambda g: g.call("path_filestat_set_times", 3, 1, *g.path("link"), 5, 5, 5),
        {DIR_CHANGE, FILE_CHANGE},
    ),
    (
        "path_filestat_set_times of a directory, to now",
        lambda g: g.call("path_filestat_set_times", 3, 1, *g.path("sub"), 5, 5, _NOW),
        {DIR_CHANGE},
    ),
    ("fd_filestat_set_times", lambda g: g.call("fd_filestat_set_times", _file(g), 5, 5, 5), {FILE_CHANGE}),
    ("fd_filestat_set_times of the preopen", lambda g: g.call("fd_filestat_set_times", 3, 5, 5, 5), {DIR_CHANGE}),
    (
        "fd_filestat_set_times of a directory below",
        lambda g: g.call("fd_filestat_set_times", _below(g), 5, 5, 5),
        {DIR_CHANGE},
    ),
    ("path_filestat_get", lambda g: g.call("path_filestat_get", 3, 1, *g.path("f"), 1024), {DIR_READ}),
    ("path_readlink", lambda g: g.call("path_readlink", 3, *g.path("link"), 1024, 100, 8), {DIR_READ}),
    ("fd_readdir", lambda g: g.call("fd_readdir", 3, 1024, 1000, 0, 8), {DIR_READ}),
    ("fd_readdir below", lambda g: g.call("fd_readdir", _below(g), 1024, 1000, 0, 8), {DIR_READ}),
]
# By descriptors of files: what they were opened for is needed as well, so these are tried on files opened in all ways.
FILE_TABLE: Final[list[tuple[str, Call, set[str]]]] = [
    ("fd_write", lambda g: g.call("fd_write", _file(g), *_iov(g), 8), {FILE_CHANGE}),
    ("fd_pwrite", lambda g: g.call("fd_pwrite", _file(g), *_iov(g), 1, 8), {FILE_CHANGE}),
    ("fd_filestat_set_size", lambda g: g.call("fd_filestat_set_size", _file(g), 1), {FILE_CHANGE}),
    ("fd_allocate", lambda g: g.call("fd_allocate", _file(g), 0, 1000), {FILE_CHANGE}),
    ("fd_write to a renumbered one", lambda g: _renumbered(g), {FILE_CHANGE}),
    ("fd_write after setting append", lambda g: _appended(g), {FILE_CHANGE}),
]


def _renumbered(guest: OurGuest) -> str:
    fd = _file(guest)
    other = guest.open(3, "sub/g", rights=_R)[1]
    guest.call("fd_renumber", fd, other)
    return guest.call("fd_write", other, *_iov(guest), 8)


def _appended(guest: OurGuest) -> str:
    fd = _file(guest)
    guest.call("fd_fdstat_set_flags", fd, 1)
    return guest.call("fd_write", fd, *_iov(guest), 8)


def _make(root: Path) -> None:
    (root / "sub").mkdir()
    (root / "empty").mkdir()
    (root / "f").write_bytes(b"contents of f")
    (root / "sub" / "g").write_bytes(b"contents of g")
    (root / "link").symlink_to("f")
    (root / "dangling").symlink_to("new")
    for path in (root / "f", root / "sub" / "g", root / "sub", root / "empty", root):
        os.utime(path, (1000, 1000))


def _snapshot(root: Path) -> dict[str, tuple[object, ...]]:
    """Everything of a tree that a program could have changed. (Times of access change by reading.)"""
    found: dict[str, tuple[object, ...]] = {}
    for path in [root, *sorted(root.rglob("*"))]:
        status = path.lstat()
        content: object = None
        if path.is_symlink():
            content = os.readlink(path)
        elif stat.S_ISREG(status.st_mode):
            content = path.read_bytes()
        found[str(path.relative_to(root))] = (
            status.st_mode,
            status.st_mtime_ns,
            status.st_size,
            status.st_nlink,
            content,
        )
    return found


def _permissions() -> list[tuple[DirPerms, FilePerms, bool]]:
    return list(itertools.product(DirPerms, FilePerms, [True, False]))


def _granted(directory: DirPerms, files: FilePerms, mutable: bool) -> set[str]:
    granted = set()
    if directory.value & 1:
        granted.add(DIR_READ)
    if directory.value & 2 and mutable:
        granted.add(DIR_CHANGE)
    if files.value & 1:
        granted.add(FILE_READ)
    if files.value & 2 and mutable:
        granted.add(FILE_CHANGE)
    return granted


def _guest(root: Path, *permissions: object) -> OurGuest:
    config = WasiConfig()
    config.preopen_dir(root, "/", *permissions)  # type: ignore[arg-type]
    return OurGuest(config)


@pytest.mark.parametrize("by_kernel", [True, False], ids=["openat2", "walk"])
@pytest.mark.parametrize("row", TABLE, ids=[row[0] for row in TABLE])
def test_permissions(
    row: tuple[str, Call, set[str]], by_kernel: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolve, "use_openat2", by_kernel and resolve.kernel_resolves())
    _, call, needed = row
    for number, permissions in enumerate(_permissions()):
        root = tmp_path / str(number)
        root.mkdir()
        _make(root)
        before = _snapshot(root)
        outcome = call(_guest(root, *permissions))
        missing = needed - _granted(*permissions)
        if missing:
            assert outcome in ("perm", "badf"), (permissions, missing)
            assert _snapshot(root) == before, permissions
        else:
            assert outcome == "success", permissions


@pytest.mark.parametrize("row", FILE_TABLE, ids=[row[0] for row in FILE_TABLE])
def test_files_that_may_not_be_changed(row: tuple[str, Call, set[str]], tmp_path: Path) -> None:
    _, call, needed = row
    for number, permissions in enumerate(_permissions()):
        root = tmp_path / str(number)
        root.mkdir()
        _make(root)
        before = _snapshot(root)
        outcome = call(_guest(root, *permissions))
        if needed - _granted(*permissions):
            assert outcome in ("perm", "badf", "notsup"), permissions
            assert _snapshot(root) == before, permissions


@pytest.mark.parametrize("name", ["path_link", "path_rename"])
def test_files_do_not_get_other_permissions_elsewhere(name: str, tmp_path: Path) -> None:
    """Between preopens, and directories opened in them, whose permissions differ in anything."""
    every = _permissions()
    for number, (first, second) in enumerate(itertools.product(every, every)):
        if _granted(*first) == _granted(*second) or DIR_CHANGE not in _granted(*first) & _granted(*second):
            continue
        roots = [tmp_path / f"{number}-{side}" for side in (0, 1)]
        config = WasiConfig()
        for root, permissions in zip(roots, (first, second)):
            root.mkdir()
            _make(root)
            config.preopen_dir(root, root.name, *permissions)  # type: ignore[arg-type]
        guest = OurGuest(config)
        before = [_snapshot(root) for root in roots]
        flags = (0,) if name == "path_link" else ()
        assert guest.call(name, 3, *flags, *guest.path("f"), 4, *guest.path("h", 200)) == "perm"
        assert guest.call(name, 3, *flags, *guest.path("f"), 4, *guest.path("sub/h", 200)) == "perm"
        below = guest.open(4, "sub", _DIRECTORY, rights=_R)[1]
        assert guest.call(name, 3, *flags, *guest.path("f"), below, *guest.path("h", 200)) == "perm"
        assert [_snapshot(root) for root in roots] == before


def test_files_go_between_directories_of_the_same_permissions(tmp_path: Path) -> None:
    config = WasiConfig()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        _make(tmp_path / name)
        config.preopen_dir(tmp_path / name, name, DirPerms.READ_WRITE, FilePerms.READ_ONLY)
    guest = OurGuest(config)
    assert guest.call("path_link", 3, 0, *guest.path("f"), 4, *guest.path("h", 200)) == "success"
    assert guest.call("path_rename", 3, *guest.path("f"), 4, *guest.path("i", 200)) == "success"
    assert guest.open(4, "i", rights=_W)[0] == "perm"


def test_all_functions_that_change_something_are_in_the_table() -> None:
    tried = {row[0].split()[0] for row in (*TABLE, *FILE_TABLE)} | {"fd_renumber", "fd_fdstat_set_flags"}
    harmless = {
        "args_get", "args_sizes_get", "environ_get", "environ_sizes_get", "clock_res_get", "clock_time_get", "proc_exit", "proc_raise",
        "sched_yield", "random_get", "sock_accept", "sock_recv", "sock_send", "sock_shutdown", "poll_oneoff", "fd_advise", "fd_close",
        "fd_datasync", "fd_sync", "fd_fdstat_get", "fd_fdstat_set_rights", "fd_filestat_get", "fd_prestat_get", "fd_prestat_dir_name",
        "fd_seek", "fd_tell", "fd_read", "fd_pread",
    }  # fmt: skip
    assert set(FUNCTIONS) == tried | harmless


# What is outside: its name is the same, it is not.
_OUTSIDE: Final[dict[str, Callable[[Path], object]]] = {
    "file": lambda path: path.write_bytes(b"secret"),
    "directory": lambda path: path.mkdir(),
    "directory with a file": lambda path: (path.mkdir(), (path / "f").write_bytes(b"secret")),
    "link": lambda path: path.symlink_to("/etc/passwd"),
    "pipe": lambda path: os.mkfifo(path),
    "nothing": lambda path: None,
}
_PATHS: Final = [
    "out", "out/", "out//", "out/.", "out/..", "out/f", "out/f/", "./out/", "sub/../out/", "sub/out2", "sub/out2/", "../outside",
    "../outside/", "../outside/f", "..", "../", "../.", "sub/../../outside", "absolute", "absolute/", "absolute/f", "twice", "twice/",
    "sub/up/outside", "sub/up/outside/", "sub/up", "sub/up/",
]  # fmt: skip


def _answers(root: Path, path: str) -> list[object]:
    """All that the functions say of a path."""
    answers: list[object] = []
    for lookup in (0, 1):
        for oflags in (0, _CREAT, _CREAT | _EXCL, _DIRECTORY, _TRUNC):
            guest = _guest(root)
            answers.append(guest.open(3, path, oflags, _R, lookup=lookup)[0])
        guest = _guest(root)
        answers.append(guest.call("path_filestat_get", 3, lookup, *guest.path(path), 1024))
        answers.append(guest.call("path_filestat_set_times", 3, lookup, *guest.path(path), 5, 5, 5))
        answers.append(guest.call("path_link", 3, lookup, *guest.path(path), 3, *guest.path("new1", 300)))
    guest = _guest(root)
    answers.append((guest.call("path_readlink", 3, *guest.path(path), 1024, 100, 8), guest.read(1024, 100)))
    answers.append(guest.call("path_create_directory", 3, *guest.path(path)))
    answers.append(guest.call("path_symlink", *guest.path("f"), 3, *guest.path(path, 300)))
    answers.append(guest.call("path_link", 3, 0, *guest.path("f"), 3, *guest.path(path, 300)))
    answers.append(guest.call("path_rename", 3, *guest.path("f"), 3, *guest.path(path, 300)))
    answers.append(guest.call("path_rename", 3, *guest.path(path), 3, *guest.path("new2", 300)))
    answers.append(guest.call("path_unlink_file", 3, *guest.path(path)))
    answers.append(guest.call("path_remove_directory", 3, *guest.path(path)))
    return answers


@pytest.mark.parametrize("by_kernel", [True, False], ids=["openat2", "walk"])
@pytest.mark.parametrize("path", _PATHS)
def test_nothing_outside_can_be_told_apart(
    path: str, by_kernel: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answers are the same whatever a link, or `..`, leads to."""
    monkeypatch.setattr(resolve, "use_openat2", by_kernel and resolve.kernel_resolves())
    answers: dict[str, list[object]] = {}
    for kind, make in _OUTSIDE.items():
        place = tmp_path / kind
        root = place / "root"
        root.mkdir(parents=True)
        _make(root)
        make(place / "outside")
        (root / "out").symlink_to("../outside")
        (root / "sub" / "out2").symlink_to("../../outside")
        (root / "sub" / "up").symlink_to("../..")
        (root / "absolute").symlink_to("/etc")
        (root / "twice").symlink_to("out")
        before = _snapshot(place / "outside") if (place / "outside").is_dir() else None
        answers[kind] = _answers(root, path)
        if before is not None:
            assert _snapshot(place / "outside") == before
        if kind == "file":
            assert (place / "outside").read_bytes() == b"secret"
    assert all(answer == answers["nothing"] for answer in answers.values())
