"""Nothing outside of a directory is reached: by paths, links, `..`, or renames that race with the look-up."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from brolga.runtime.wasi import resolve


@pytest.fixture(params=["openat2", "walk"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    if request.param == "openat2" and not resolve.kernel_resolves():
        pytest.skip("this kernel has no openat2")
    monkeypatch.setattr(resolve, "use_openat2", request.param == "openat2")
    (tmp_path / "secret").write_text("secret")
    inside = tmp_path / "root"
    (inside / "a" / "b").mkdir(parents=True)
    (inside / "file").write_text("inside")
    (inside / "a" / "b" / "deep").write_text("deep")
    (inside / "up").symlink_to("..")
    (inside / "a" / "out").symlink_to("../../secret")
    (inside / "a" / "in").symlink_to("../file")
    (inside / "absolute").symlink_to(tmp_path / "secret")
    (inside / "chain").symlink_to("a/b/../in")
    (inside / "around").symlink_to("a/../../root/file")
    fd = os.open(inside, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def _read(root: int, path: bytes) -> str:
    fd = resolve.open_beneath(root, path, os.O_RDONLY)
    try:
        return os.read(fd, 100).decode()
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("file", "inside"),
        ("a/b/deep", "deep"),
        ("a/../file", "inside"),
        ("./a/./b/.././b/deep", "deep"),
        ("a/in", "inside"),
        ("chain", "inside"),
        ("a//b///deep", "deep"),
    ],
)
def test_paths_inside(root: int, path: str, content: str) -> None:
    assert _read(root, path.encode()) == content


@pytest.mark.parametrize(
    "path",
    [
        "..", "../secret", "a/../../secret", "/etc/passwd", "/", "up", "up/secret", "up/root/file", "a/out", "absolute",
        "around", "a/b/../../../secret", "a/../..", "up/..",
    ],
)  # fmt: skip
def test_paths_outside(root: int, path: str) -> None:
    for flags in (os.O_RDONLY, os.O_PATH, os.O_WRONLY | os.O_CREAT, os.O_RDONLY | os.O_DIRECTORY):
        with pytest.raises(PermissionError) as caught:
            os.close(resolve.open_beneath(root, path.encode(), flags, 0o644))
        assert caught.value.errno == errno.EPERM


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("", errno.ENOENT),
        ("nothing", errno.ENOENT),
        ("nothing/..", errno.ENOENT),
        ("file/x", errno.ENOTDIR),
        ("file/", errno.ENOTDIR),
        ("x" * 256, errno.ENAMETOOLONG),
        ("x/" * 2100, errno.ENAMETOOLONG),
        ("a\0b", errno.EINVAL),
    ],
)
def test_errors(root: int, path: str, number: int) -> None:
    with pytest.raises(OSError) as caught:
        resolve.open_beneath(root, path.encode(), os.O_RDONLY)
    assert caught.value.errno == number


def test_links_that_are_not_followed(root: int) -> None:
    for path in (b"up", b"a/out", b"absolute"):
        with pytest.raises(OSError) as caught:
            resolve.open_beneath(root, path, os.O_RDONLY | os.O_NOFOLLOW)
        assert caught.value.errno == errno.ELOOP
        fd = resolve.open_beneath(root, path, os.O_PATH | os.O_NOFOLLOW)
        assert os.readlink(b"", dir_fd=fd)
        os.close(fd)


def test_creating_through_a_link(root: int) -> None:
    os.symlink("a/new", "to_new", dir_fd=root)
    os.close(resolve.open_beneath(root, b"to_new", os.O_WRONLY | os.O_CREAT, 0o600))
    status = os.stat("a/new", dir_fd=root)
    assert status.st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        resolve.open_beneath(root, b"to_new", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


def test_parents(root: int) -> None:
    for path, expected in ((b"a/b/deep", b"deep"), (b"a/b/", b"b/"), (b"file", b"file"), (b"chain/..//x/", b"x/")):
        if path.startswith(b"chain"):
            with pytest.raises(NotADirectoryError):
                resolve.open_parent(root, path)
            continue
        parent, name = resolve.open_parent(root, path)
        assert name == expected
        assert os.stat(name, dir_fd=parent)
        os.close(parent)
    for path in (b"..", b"a/../..", b"up/x", b"../x"):
        with pytest.raises(PermissionError):
            resolve.open_parent(root, path)


_EXCHANGE = """
import os
while True:
    os.rename("swap", "kept")
    os.rename("link", "swap")
    os.rename("swap", "link")
    os.rename("kept", "swap")
"""


def test_a_link_swapped_in_during_the_look_up_does_not_lead_out(root: int, tmp_path: Path) -> None:
    """Another process (a thread would keep step by the GIL) keeps exchanging a directory for a link to the outside while the
    path is opened: until the directory, the link and nothing have been met."""
    inside = tmp_path / "root"
    (inside / "swap").mkdir()
    (inside / "swap" / "secret").write_text("harmless")
    (inside / "link").symlink_to("..")
    seen: set[str | int | None] = set()
    with subprocess.Popen([sys.executable, "-c", _EXCHANGE], cwd=inside) as exchanging:
        try:
            count = 0
            while count < 2000 or not seen >= {"harmless", errno.EPERM, errno.ENOENT}:
                assert exchanging.poll() is None
                count += 1
                try:
                    seen.add(_read(root, b"swap/secret"))
                except OSError as error:
                    seen.add(error.errno)
                assert seen <= {"harmless", errno.ENOENT, errno.EPERM, errno.ELOOP, errno.ENOTDIR}
        finally:
            exchanging.kill()


@pytest.mark.parametrize(("path", "looks"), [("swap/secret", 1), ("a/swap/secret", 2), ("a/file", 2)])
def test_a_link_swapped_in_behind_the_look_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, looks: int
) -> None:
    """The walk looked and saw no link; before it opens the name, a link to the outside takes the name's place."""
    inside = tmp_path / "root"
    (inside / "a").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    name = inside.joinpath(*path.split("/")[:looks])
    if name.name == "swap":
        name.mkdir()
        (name / "secret").write_text("harmless")
    else:
        name.write_text("harmless")
    target = tmp_path if name.is_dir() else tmp_path / "secret"
    look = resolve._link_target
    seen: list[bytes] = []

    def look_and_swap(directory: int, component: bytes) -> bytes | None:
        found = look(directory, component)
        seen.append(component)
        if len(seen) == looks:
            name.rename(tmp_path / "kept")
            name.symlink_to(target)
        return found

    monkeypatch.setattr(resolve, "use_openat2", False)
    root = os.open(inside, os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert _read(root, path.encode()) == "harmless"
        monkeypatch.setattr(resolve, "_link_target", look_and_swap)
        with pytest.raises(OSError) as caught:
            _read(root, path.encode())
        assert caught.value.errno in (errno.ENOTDIR, errno.ELOOP)
        assert name.is_symlink()
    finally:
        os.close(root)


def test_a_directory_moved_out_during_the_look_up_does_not_lead_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`..` from a directory that has been moved returns to where the walk came from, not to the new parent."""
    inside = tmp_path / "root"
    (inside / "a" / "b").mkdir(parents=True)
    (inside / "a" / "secret").write_text("harmless")
    (tmp_path / "secret").write_text("secret")
    look = resolve._link_target

    def look_and_move(directory: int, component: bytes) -> bytes | None:
        found = look(directory, component)
        if component == b"c":
            (inside / "a" / "b").rename(tmp_path / "b")
        return found

    (inside / "a" / "b" / "c").mkdir()
    monkeypatch.setattr(resolve, "use_openat2", False)
    monkeypatch.setattr(resolve, "_link_target", look_and_move)
    root = os.open(inside, os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert _read(root, b"a/b/c/../../secret") == "harmless"
        assert (tmp_path / "b").is_dir()
    finally:
        os.close(root)


def test_descriptors_are_closed(root: int) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for path in (b"a/b/deep", b"nothing/x", b"up/x", b"chain", b"a/out", b"file/x", b"a/b/../../.."):
        for _ in range(3):
            try:
                os.close(resolve.open_beneath(root, path, os.O_RDONLY))
            except OSError:
                pass
            try:
                os.close(resolve.open_parent(root, path)[0])
            except OSError:
                pass
    assert len(os.listdir("/proc/self/fd")) == before


def test_times_through_a_path_descriptor(root: int) -> None:
    fd = resolve.open_beneath(root, b"absolute", os.O_PATH | os.O_NOFOLLOW)
    resolve.set_times(fd, (1, 2), (3, 4))
    status = os.stat("absolute", dir_fd=root, follow_symlinks=False)
    assert (status.st_atime_ns, status.st_mtime_ns) == (1_000_000_002, 3_000_000_004)
    resolve.set_times(fd, (0, resolve.UTIME_OMIT), (9, 0))
    status = os.stat("absolute", dir_fd=root, follow_symlinks=False)
    assert (status.st_atime_ns, status.st_mtime_ns) == (1_000_000_002, 9_000_000_000)
    os.close(fd)
    with pytest.raises(OSError):
        resolve.set_times(fd, (1, 2), (3, 4))


@pytest.mark.parametrize("path", [b"closed/.", b"closed/..", b"closed/../file", b"through", b"closed/b"])
def test_directories_that_may_not_be_searched(root: int, tmp_path: Path, path: bytes) -> None:
    """Not even `.` and `..` are found in them."""
    (tmp_path / "root" / "closed").mkdir(mode=0o600)
    (tmp_path / "root" / "through").symlink_to("closed/../file")
    is_root = os.geteuid() == 0
    if is_root:  # who may search everything
        os.chmod(tmp_path / "root", 0o755)
        os.seteuid(65534)
    try:
        with pytest.raises(PermissionError) as raised:
            os.close(resolve.open_beneath(root, path, os.O_PATH))
        assert raised.value.errno == errno.EACCES
    finally:
        if is_root:
            os.seteuid(0)


def test_a_slash_after_what_is_to_be_made(root: int, tmp_path: Path) -> None:
    """It fails before links are followed, which may lead outside."""
    for name, target in (("new", "nothing/"), ("onto", "up/"), ("twice", "new"), ("dots", "a/b/../../b//")):
        (tmp_path / "root" / name).symlink_to(target)
    for path in (b"up/", b"absolute//", b"chain/", b"nothing/", b"a/", b"new", b"onto", b"twice", b"dots"):
        with pytest.raises(IsADirectoryError):
            resolve.open_beneath(root, path, os.O_WRONLY | os.O_CREAT, 0o666)
