"""Configurations, standard streams, permissions; what the comparison with wasmtime does not reach."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path

import pytest

from brolga import DirPerms, FilePerms, WasiConfig, WasmtimeError

from .guests import OurGuest, make_tree

READDIR = 1 << 14


def _write(guest: OurGuest, fd: int, data: bytes) -> tuple[str, int]:
    guest.write(1000, data)
    result = guest.call("fd_write", fd, *guest.iovs((1000, len(data))), 8)
    return result, guest.u32(8)


def test_nothing_is_given_unasked() -> None:
    guest = OurGuest(WasiConfig())
    guest.call("args_sizes_get", 0, 4)
    assert guest.read(0, 8) == bytes(8)
    guest.call("environ_sizes_get", 0, 4)
    assert guest.read(0, 8) == bytes(8)
    assert guest.call("fd_prestat_get", 3, 0) == "badf"
    assert guest.call("fd_read", 0, *guest.iovs((1000, 10)), 8) == "success" and guest.u32(8) == 0
    assert _write(guest, 1, b"lost") == ("success", 4)


def test_streams_from_and_to_files(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"input")
    (tmp_path / "out").write_bytes(b"old content")
    config = WasiConfig()
    config.stdin_file = tmp_path / "in"
    config.stdout_file = str(tmp_path / "out")
    config.stderr_file = os.fsencode(tmp_path / "err")
    guest = OurGuest(config)
    assert guest.call("fd_read", 0, *guest.iovs((1000, 3), (2000, 100)), 8) == "success"
    assert guest.u32(8) == 5 and guest.read(1000, 3) + guest.read(2000, 2) == b"input"
    assert _write(guest, 1, b"one") == ("success", 3)
    assert _write(guest, 2, b"two") == ("success", 3)
    assert (tmp_path / "out").read_bytes() == b"one" and (tmp_path / "err").read_bytes() == b"two"
    config = WasiConfig()
    with pytest.raises(WasmtimeError, match="failed to set stdin file"):
        config.stdin_file = tmp_path / "missing"
    with pytest.raises(WasmtimeError, match="failed to set stdout file"):
        config.stdout_file = tmp_path / "no" / "where"


def test_streams_from_bytes_and_to_callables() -> None:
    written: list[bytes] = []
    config = WasiConfig()
    config.stdin_bytes = b"0123456789"
    config.stdout_custom = written.append
    config.stderr_custom = lambda data: 2
    guest = OurGuest(config)
    for expected in (b"0123", b"4567", b"89", b""):
        assert guest.call("fd_read", 0, *guest.iovs((1000, 1), (1001, 3)), 8) == "success"
        assert guest.read(1000, guest.u32(8)) == expected
    guest.write(1000, b"abcdef")
    assert guest.call("fd_write", 1, *guest.iovs((1000, 2), (0, 0), (1004, 2)), 8) == "success"
    assert guest.u32(8) == 4 and written == [b"abef"]
    assert _write(guest, 2, b"long") == ("success", 2)
    config = WasiConfig()
    config.stdout_custom = lambda data: -5
    assert _write(OurGuest(config), 1, b"x")[0] == "io"


def test_inheriting(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["me", "arg"])
    monkeypatch.setenv("BROLGA_TEST_VARIABLE", "ü")
    config = WasiConfig()
    config.inherit_argv()
    config.inherit_env()
    config.inherit_stdout()
    config.inherit_stderr()
    context = config._context()
    assert context.args == [b"me", b"arg"]
    assert "BROLGA_TEST_VARIABLE=ü".encode() in context.environ
    config = WasiConfig()
    config.inherit_stdout()
    config.inherit_stderr()
    guest = OurGuest(config)
    assert _write(guest, 1, b"to stdout") == ("success", 9)
    assert _write(guest, 2, b"to stderr") == ("success", 9)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("to stdout", "to stderr")


def test_zero_bytes_in_arguments_are_refused() -> None:
    config = WasiConfig()
    with pytest.raises(WasmtimeError, match="zero byte"):
        config.argv = ["a\0b"]
    with pytest.raises(WasmtimeError, match="zero byte"):
        config.env = [("a", "b\0")]


def test_a_configuration_is_used_once(tmp_path: Path) -> None:
    config = WasiConfig()
    config.preopen_dir(tmp_path, "/")
    config._context()
    with pytest.raises(ValueError, match="already closed"):
        config._context()
    with pytest.raises(WasmtimeError, match="failed to add preopen dir"):
        WasiConfig().preopen_dir(tmp_path / "nothing", "/")


def _changes(guest: OurGuest) -> dict[str, str]:
    """What each call that changes something says."""
    path = guest.path
    return {
        "create": guest.open(3, "new", 1)[0],
        "write": guest.open(3, "f", rights=2 | 64)[0],
        "truncate": guest.open(3, "f", 8)[0],
        "mkdir": guest.call("path_create_directory", 3, *path("dir")),
        "rmdir": guest.call("path_remove_directory", 3, *path("sub/inner")),
        "unlink": guest.call("path_unlink_file", 3, *path("sub/a")),
        "rename": guest.call("path_rename", 3, *path("ls"), 3, *path("ls2", 200)),
        "link": guest.call("path_link", 3, 0, *path("f"), 3, *path("f2", 200)),
        "symlink": guest.call("path_symlink", *path("f"), 3, *path("f3", 200)),
        "times": guest.call("path_filestat_set_times", 3, 1, *path("f"), 5, 5, 5),
    }


def test_permissions(tmp_path: Path) -> None:
    make_tree(tmp_path)

    def guest(*permissions: bool | DirPerms | FilePerms) -> OurGuest:
        config = WasiConfig()
        config.preopen_dir(tmp_path, "/", *permissions)  # type: ignore[arg-type]
        return OurGuest(config)

    for permissions in ((False,), (DirPerms.READ_ONLY, FilePerms.READ_ONLY)):
        limited = guest(*permissions)
        assert set(_changes(limited).values()) == {"perm"}
        assert limited.open(3, "f", rights=2)[0] == "success"
        below = limited.open(3, "sub", rights=READDIR)[1]
        assert limited.open(below, "a", rights=64)[0] == "perm", "limits pass on"
        assert limited.call("fd_readdir", 3, 1000, 100, 0, 8) == "success"
    limited = guest(DirPerms.READ_WRITE, FilePerms.READ_ONLY)
    changes = _changes(limited)
    assert changes["write"] == changes["truncate"] == changes["create"] == changes["times"] == "perm"
    assert changes["mkdir"] == changes["link"] == "success"
    assert limited.call("path_filestat_set_times", 3, 1, *limited.path("sub"), 5, 5, 5) == "success", "no file"
    limited = guest(DirPerms.WRITE_ONLY, FilePerms.WRITE_ONLY)
    assert limited.call("fd_readdir", 3, 1000, 100, 0, 8) == "perm"
    assert limited.open(3, "f", rights=2)[0] == "perm"
    assert limited.open(3, "f", rights=64)[0] == "success"


def test_polling_waits_for_a_pipe() -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    config = WasiConfig()
    config.stdin_file = f"/proc/self/fd/{reader}"
    guest = OurGuest(config)
    subscription = struct.pack("<QBxxxxxxxI28x", 5, 1, 0)
    clock = struct.pack("<QBxxxxxxxIxxxxQQHxxxxxx", 6, 0, 1, 30_000_000, 0, 0)

    def poll() -> list[tuple[int, ...]]:
        guest.write(1000, subscription + clock)
        assert guest.call("poll_oneoff", 1000, 2000, 2, 8) == "success"
        return [struct.unpack("<QHBxxxxxQHxxxxxx", guest.read(2000 + 32 * n, 32)) for n in range(guest.u32(8))]

    started = time.monotonic()
    assert poll() == [(6, 0, 0, 0, 0)]
    assert time.monotonic() - started >= 0.03
    os.write(writer, b"x")
    assert poll() == [(5, 0, 1, 1, 0)]
    os.read(reader, 1)
    os.close(writer)
    assert poll() == [(5, 0, 1, 1, 1)], "hung up"
    os.close(reader)
