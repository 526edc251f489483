"""The tree of a WASI program on disk, and what must hold of it afterwards.

What no preopen covers must be as it was, to the access times. What is covered by read-only preopens alone must have kept
its entries, contents and times.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple

from wasi_programs import Entry, Preopen, Program

import brolga

UNPRIVILEGED: Final = 65534
_KINDS: Final = {
    stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "link", stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "null",
}  # fmt: skip
_RECENT: Final = 86_400_000_000_000  # nanoseconds
MEMORY_FILES: Final = "/dev/shm" if os.path.isdir("/dev/shm") else None  # where syncing costs nothing


def _others_can_import() -> bool:
    """Whether a user with no rights of its own reaches the package, parts of which are imported when they are first used."""
    directory = Path(brolga.__file__).resolve().parent
    return all(place.stat().st_mode & 0o001 for place in (directory, *directory.parents))


class Seen(NamedTuple):
    """What there is to know about a file. Directories have the names in them as content."""

    kind: str
    mode: int
    content: bytes
    links: int
    inode: int
    times: tuple[int, int, int]  # access, modification, change


class Privileges:
    """Within it the process has those of an ordinary user, unless `as_root`; only root can give up any."""

    def __init__(self, as_root: bool) -> None:
        self._drop = not as_root and os.geteuid() == 0 and _others_can_import()

    def __enter__(self) -> None:
        if self._drop:
            os.setegid(UNPRIVILEGED)
            os.seteuid(UNPRIVILEGED)

    def __exit__(self, *_: object) -> None:
        if self._drop:
            os.seteuid(0)
            os.setegid(0)


def look(path: str) -> Seen:
    """A file as it is, without touching its times where that is possible."""
    status = os.lstat(path)
    kind = _KINDS.get(stat.S_IFMT(status.st_mode), "other")
    content = b""
    if kind == "file":
        content = _bytes_of(path)
    elif kind == "link":
        content = os.fsencode(os.readlink(path))
    elif kind == "dir":
        content = b"/".join(sorted(_names_in(path)))
    status = os.lstat(path)  # reading a link changes its access time
    times = (status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns)
    return Seen(kind, stat.S_IMODE(status.st_mode), content, status.st_nlink, status.st_ino, times)


def _names_in(path: str) -> list[bytes]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOATIME | os.O_NOFOLLOW)
    except PermissionError:
        return []
    try:
        return [os.fsencode(name) for name in os.listdir(fd)]
    finally:
        os.close(fd)


def _bytes_of(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOATIME | os.O_NOFOLLOW)
    except PermissionError:  # not root
        return b"?"
    with open(fd, "rb") as file:
        size = os.fstat(fd).st_size
        return file.read(1 << 20) + (b"" if size <= 1 << 20 else b"... %d" % size)


class World:
    """A program's tree below `base`, in the version `entries` of what is outside."""

    def __init__(self, program: Program, outside: list[Entry]) -> None:
        self.program = program
        self.base = tempfile.mkdtemp(prefix="wasi-", dir=MEMORY_FILES)
        os.chmod(self.base, 0o755)
        os.mkdir(f"{self.base}/std", 0o777)
        os.chmod(f"{self.base}/std", 0o777)
        Path(f"{self.base}/std/in").write_text("standard input")
        if not program.as_root and os.geteuid() == 0 and _others_can_import():
            os.chown(self.base, UNPRIVILEGED, UNPRIVILEGED)
        made = []
        for entry in [*outside, *program.inside]:
            try:
                with Privileges(program.as_root):
                    self._make(entry)
                made.append(entry)
            except (FileNotFoundError, FileExistsError, NotADirectoryError, PermissionError):
                pass  # its directory was cut out of the program, or this user may make no such thing
        for entry in reversed(made):
            path = f"{self.base}/{entry.path}"
            if entry.mode is not None and all(entry.path != preopen.path for preopen in program.preopens):
                os.chmod(path, entry.mode)
            if entry.time is not None:
                os.utime(path, ns=(entry.time, entry.time), follow_symlinks=False)
        self.before = self._all()
        self.now = time.time_ns()

    def _make(self, entry: Entry) -> None:
        path = f"{self.base}/{entry.path}"
        content = entry.content.replace("{base}", self.base)
        if entry.kind == "dir":
            os.mkdir(path)
        elif entry.kind == "file":
            with open(path, "x") as file:
                file.write(content)
        elif entry.kind == "link":
            os.symlink(content, path)
        elif entry.kind == "hard":
            os.link(f"{self.base}/{content}", path)
        elif entry.kind == "fifo":
            os.mkfifo(path)
        elif entry.kind == "socket":
            with socket.socket(socket.AF_UNIX) as unix:
                unix.bind(path)
        else:
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))

    def _all(self) -> dict[str, Seen]:
        seen: dict[str, Seen] = {}
        todo = [name for name in ("in", "out") if os.path.lexists(f"{self.base}/{name}")]
        while todo:
            name = todo.pop()
            seen[name] = one = look(f"{self.base}/{name}")
            if one.kind == "dir" and one.content:
                todo += [f"{name}/{os.fsdecode(part)}" for part in one.content.split(b"/")]
        return seen

    def covering(self, path: str) -> list[Preopen]:
        """The preopens through which `path` can be reached."""
        return [preopen for preopen in self.program.preopens if f"{path}/".startswith(f"{preopen.path}/")]

    def inodes_outside(self) -> set[int]:
        return {seen.inode for path, seen in self.before.items() if not self.covering(path)}

    def secrets(self) -> list[bytes]:
        """What no answer may contain: contents outside, and those of files that no preopen lets a program read."""
        found = [b"SENTINEL"]
        by_inode: dict[int, list[str]] = {}
        for path, seen in self.before.items():
            if seen.kind == "file":
                by_inode.setdefault(seen.inode, []).append(path)
        for paths in by_inode.values():
            content = self.before[paths[0]].content
            if content and not any(preopen.files_readable for path in paths for preopen in self.covering(path)):
                found.append(content)
        return found

    def tree(self) -> dict[str, object]:
        """The preopened directories as they are now, for comparison: what the clock says is left out."""
        result: dict[str, object] = {}
        for path, seen in self._all().items():
            if self.covering(path):
                content = seen.content.replace(self.base.encode(), b"{base}")
                modified = "now" if abs(seen.times[1] - self.now) < _RECENT else seen.times[1]
                result[path] = (seen.kind, oct(seen.mode), seen.links, content, modified)
        return result

    def changes(self) -> list[str]:
        """What has changed that must not."""
        after = self._all()
        found = []
        now_at = {seen.inode: path for path, seen in after.items()}
        by_inode: dict[int, list[str]] = {}
        for path, seen in self.before.items():
            by_inode.setdefault(seen.inode, []).append(path)
        for path, old in self.before.items():
            if self.program.race and "/race" in path:
                continue
            covering = [preopen for other in by_inode[old.inode] for preopen in self.covering(other)]
            new = after.get(path)
            if not covering:
                if new != old:
                    found.append(f"outside changed: {path}\n  was {old}\n  is {new}")
                continue
            mutable = any(preopen.mutable for preopen in covering)
            writable = any(preopen.files_writable for preopen in covering)
            if not mutable and (new is None or (new.kind, new.inode, new.mode) != (old.kind, old.inode, old.mode)):
                found.append(f"read-only changed: {path}\n  was {old}\n  is {new}")
            elif old.kind == "dir":
                if not mutable and new is not None and (new.content, new.times[1]) != (old.content, old.times[1]):
                    found.append(f"read-only changed: directory {path}\n  was {old}\n  is {new}")
            elif not writable:
                moved = now_at.get(old.inode)
                new = after[moved] if moved else None
                if new is not None and new.kind == old.kind:
                    if new.content != old.content:
                        found.append(f"read-only changed: the contents of {path}\n  was {old}\n  is {new}, {moved}")
                    elif not mutable and new.times[1] != old.times[1]:
                        found.append(f"read-only changed: the time of {path}\n  was {old}\n  is {new}, {moved}")
        return found

    def wake(self) -> None:
        """Let go whoever waits at a FIFO of the tree."""
        for path, seen in self._all().items():
            if seen.kind == "fifo":
                fd = os.open(f"{self.base}/{path}", os.O_RDWR | os.O_NONBLOCK)
                try:
                    os.write(fd, b"x" * 100)
                except BlockingIOError:
                    pass
                time.sleep(0.01)
                os.close(fd)

    def remove(self) -> None:
        for directory, names, _ in os.walk(self.base):
            for name in names:
                if not os.path.islink(f"{directory}/{name}"):
                    os.chmod(f"{directory}/{name}", 0o700)
        shutil.rmtree(self.base, ignore_errors=True)
