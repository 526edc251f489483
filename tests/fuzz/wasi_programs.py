"""Random WASI programs: a tree of files, what of it is preopened, and a list of calls with raw arguments.

All of it is data that `repr` writes and Python reads, so that a program can be cut down and kept.
"""

from __future__ import annotations

import random
import struct
from typing import Final, NamedTuple

from brolga.jit.wasm.types import I32
from brolga.runtime.wasi.abi import RIGHTS_ALL
from brolga.runtime.wasi.functions import FUNCTIONS

MEMORY_SIZE: Final = 4 * 65536  # of the guest
RESULT: Final = 0x1000  # where results go, mostly
PATHS: Final = (0x2000, 0x8000)  # where the paths of a call are, mostly
RECORDS: Final = 0x10000  # arrays of buffers and subscriptions
BUFFERS: Final = 0x20000


class Entry(NamedTuple):
    """A thing in the tree. `content` of a file, target of a link or hard link; `{base}` in it is the tree's own path."""

    path: str
    kind: str  # file, dir, link, hard, fifo, socket, null (the device)
    content: str = ""
    mode: int | None = None
    time: int | None = None  # access and modification, in nanoseconds


class Preopen(NamedTuple):
    """Permissions are those of DirPerms and FilePerms: 1 read, 2 write, 3 both."""

    path: str
    guest_path: str
    dir_perms: int = 3
    file_perms: int = 3

    @property
    def mutable(self) -> bool:
        return bool(self.dir_perms & 2)

    @property
    def files_writable(self) -> bool:
        return bool(self.file_perms & 2)

    @property
    def files_readable(self) -> bool:
        return bool(self.file_perms & 1)


class Opened(NamedTuple):
    """The descriptor number that the `back`th last successful path_open gave."""

    back: int


class Call(NamedTuple):
    """A call, and what is written to the guest's memory before it."""

    name: str
    args: tuple[int | Opened, ...]
    writes: tuple[tuple[int, bytes], ...] = ()


class Program(NamedTuple):
    """`outside` and `other` are two versions of what lies outside of the preopens: the program must not see the difference."""

    inside: list[Entry]
    outside: list[Entry]
    other: list[Entry]
    preopens: list[Preopen]
    calls: list[Call]
    as_root: bool = True
    race: bool = False
    streams: str = "none"  # none, files, custom, partial (a callable that takes part of the bytes)
    platform: str = "linux"
    by_kernel: bool = True


EDGES32: Final = [0, 1, 2, 3, 4, 7, 8, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF]
EDGES64: Final = [0, 1, 10, 4096, 1 << 31, 1 << 32, (1 << 62), (1 << 63) - 1, 1 << 63, (1 << 64) - 1]
TIMES_BEFORE: Final = [1_000_000_002, 5, 0, -1, -1_500_000_000, 20_000_000_000_000_000_000]  # of files at the start
TIMES: Final = [3, 1, 999_999_999, 1_000_000_000, 5_000_000_007, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]
MODES: Final = {"file": [0o644, 0o600, 0o444, 0o222, 0o000], "dir": [0o755, 0o755, 0o555, 0o333, 0o000]}
POINTS: Final = ["out/v0", "out/v1", "out/v2", "in/n0", "in/n1"]  # where the two versions of the outside differ
LINKS: Final = [
    *["f", "d", "d/", "d/e/..", "..", ".", "./f", "nowhere", "l", "l0", "l1", "l2", "d/e/h", "d/l", "../q/f", "../p/f"],
    *["/", "/etc/passwd", "/proc/self/fd/0", "/proc/self/cwd", "{base}/out/v1", "{base}/in/p/f", "d/e/../../..", "f/"],
    *["../../out/v0", "../../out/v0/", "../../out/v1", "../../out/v1/x", "../../out/v2", "../../out/v2/..", "../n0"],
    *[
        "../n0/",
        "../n1",
        "../n1/x",
        "../../out/dir",
        "../../out/file",
        "../../out/closed/x",
        "../../../../../../../../",
    ],
    *["d/" * 400 + "f", "d/../" * 300 + "f", "x" * 300, "../../out/secret", "../../out/fifo", "../../in/p/f"],
]
COMPONENTS: Final = [
    *["f", "g", "d", "e", "h", "l", "l0", "l1", "l2", "l3", "n1", "n2", "n3", ".", "..", "", "o", "s", "z", "p", "q"],
    *["...", "F", "ü", "x" * 255, "x" * 256, "out", "v0", "v1", "in", "n0", "file", "dir"],
]
ODD_PATHS: Final[list[bytes]] = [
    *[b"", b"\xff", b"\xc3", b"f\0", b"\0", b"d/\0/f", b"/", b"//", b"/f", b"/etc/passwd", b".", b"..", b"./", b"../"],
    *[
        b"d/" * 2000,
        b"./" * 2047 + b"f",
        b"./" * 2048 + b"f",
        b"x" * 4095,
        b"x" * 4096,
        b"x/" * 100_00,
        b"f/",
        b"f/.",
        b"f/..",
    ],
    *[
        b"d/.",
        b"d/..",
        b"d/../..",
        b"d/../../p/f",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"d//e///h",
        b" ",
        b"f\n",
        b"l/",
        b"l0/",
    ],
    *[
        b"../../out/v0",
        b"../n0",
        b"../n1/",
        b"../p/f",
        b"../q/f",
        b"../../out/dir",
        b"d/../../../out/v1",
        b"/proc/self/cwd",
    ],
]

# The parameters of each function. Paths, buffers and the like give two.
PARAMETERS: Final = {
    "args_get": "pointer pointer",
    "args_sizes_get": "pointer pointer",
    "environ_get": "pointer pointer",
    "environ_sizes_get": "pointer pointer",
    "clock_res_get": "clock pointer",
    "clock_time_get": "clock u64 pointer",
    "fd_advise": "fd offset offset advice",
    "fd_allocate": "fd offset offset",
    "fd_close": "fd",
    "fd_datasync": "fd",
    "fd_fdstat_get": "fd pointer",
    "fd_fdstat_set_flags": "fd fdflags",
    "fd_fdstat_set_rights": "fd rights rights",
    "fd_filestat_get": "fd pointer",
    "fd_filestat_set_size": "fd size",
    "fd_filestat_set_times": "fd time time fstflags",
    "fd_pread": "fd iovs offset pointer",
    "fd_prestat_get": "fd pointer",
    "fd_prestat_dir_name": "fd buffer",
    "fd_pwrite": "fd iovs offset pointer",
    "fd_read": "fd iovs pointer",
    "fd_readdir": "fd buffer cookie pointer",
    "fd_renumber": "fd fd",
    "fd_seek": "fd offset whence pointer",
    "fd_sync": "fd",
    "fd_tell": "fd pointer",
    "fd_write": "fd iovs pointer",
    "path_create_directory": "dir path",
    "path_filestat_get": "dir lookup path pointer",
    "path_filestat_set_times": "dir lookup path time time fstflags",
    "path_link": "dir lookup path dir path",
    "path_open": "dir lookup path oflags rights rights fdflags place",
    "path_readlink": "dir path buffer pointer",
    "path_remove_directory": "dir path",
    "path_rename": "dir path dir path",
    "path_symlink": "target dir path",
    "path_unlink_file": "dir path",
    "poll_oneoff": "subscriptions",
    "proc_exit": "u32",
    "proc_raise": "u32",
    "sched_yield": "",
    "random_get": "buffer",
    "sock_accept": "fd fdflags pointer",
    "sock_recv": "fd iovs u32 pointer pointer",
    "sock_send": "fd iovs u32 pointer",
    "sock_shutdown": "fd u32",
}
WEIGHTS: Final = {
    "path_open": 30, "path_link": 6, "path_rename": 8, "path_symlink": 6, "path_readlink": 4, "path_filestat_get": 4,
    "path_create_directory": 3, "path_remove_directory": 3, "path_unlink_file": 4, "path_filestat_set_times": 4,
    "fd_filestat_set_times": 3, "fd_filestat_set_size": 3, "fd_write": 4, "fd_pwrite": 3, "fd_readdir": 5, "fd_read": 3,
    "fd_close": 2, "fd_filestat_get": 2, "proc_exit": 0.1, "proc_raise": 0.3, "poll_oneoff": 2, "fd_renumber": 2,
    "path_": 2,
}  # fmt: skip


def _entries(choose: random.Random, root: str, special: bool) -> list[Entry]:
    """A tree below the preopened directory `root`."""

    def time() -> int | None:
        return choose.choice([None, None, *TIMES_BEFORE])

    def mode(kind: str) -> int | None:
        return choose.choice(MODES[kind]) if choose.random() < 0.25 else None

    def file(name: str) -> Entry:
        return Entry(f"{root}/{name}", "file", f"HIDDEN {root}/{name}", mode("file"), time())

    entries = [
        Entry(root, "dir", "", None, 1_000_000_002),
        file("f"),
        Entry(f"{root}/d", "dir", "", mode("dir"), time()),
    ]
    entries += [Entry(f"{root}/d/e", "dir"), file("d/g"), file("d/e/h"), file("g")]
    outside = [target for target in LINKS if any(point[-2:] in target for point in POINTS)]
    for name in ("l", "l0", "l1", "l2", "l3"):
        if choose.random() < 0.7:
            entries.append(Entry(f"{root}/{name}", "link", choose.choice(choose.choice([LINKS, outside]))))
    for name in ("d/l", "d/e/l"):
        if choose.random() < 0.5:
            up = "../" * name.count("/")
            entries.append(Entry(f"{root}/{name}", "link", choose.choice(["", up]) + choose.choice(LINKS)))
    if choose.random() < 0.3:
        entries.append(Entry(f"{root}/n1", "hard", choose.choice(["in/p/f", "in/q/f", f"{root}/d/g"])))
    if special:
        entries += [Entry(f"{root}/o", "fifo"), Entry(f"{root}/s", "socket"), Entry(f"{root}/z", "null")]
    if choose.random() < 0.2:
        entries.append(Entry(f"{root}/n2", "dir", "", mode("dir")))
    return entries


def _outside(choose: random.Random) -> list[Entry]:
    """What must not be reached, with something random at each of the points."""
    old = 100_000_000_000
    entries = [
        Entry("out", "dir", time=old),
        Entry("out/file", "file", "SENTINEL", time=old),
        Entry("out/secret", "file", "SENTINEL secret", 0, old),
        Entry("out/fifo", "fifo"),
        Entry("out/dir", "dir", time=old),
        Entry("out/dir/SENTINEL", "file", "SENTINEL in it", time=old),
        Entry("out/dir/f", "file", "SENTINEL f", time=old),
        Entry("out/dir/d", "dir", time=old),
        Entry("out/closed", "dir", "", 0, old),
        Entry("out/link", "link", "file"),
    ]
    for point in POINTS:
        kind = choose.choice(
            ["", "file", "secret", "dir", "full", "closed", "link", "dangling", "loop", "fifo", "socket"]
        )
        if kind in ("file", "secret"):
            entries.append(Entry(point, "file", "SENTINEL", 0 if kind == "secret" else None, old))
        elif kind in ("dir", "full", "closed"):
            entries.append(Entry(point, "dir", "", 0 if kind == "closed" else None, old))
            if kind == "full":
                entries += [
                    Entry(f"{point}/x", "file", "SENTINEL x", time=old),
                    Entry(f"{point}/f", "file", "SENTINEL"),
                ]
        elif kind in ("link", "dangling", "loop"):
            base = point.rpartition("/")[2]
            target = {"link": "../out/file", "dangling": "../out/none", "loop": base}[kind]
            entries.append(Entry(point, "link", target))
        elif kind:
            entries.append(Entry(point, kind))
    return entries


def _racing(root: str) -> list[Entry]:
    """What `wasi_swapper.py` moves about."""
    where = f"{root}/race"
    return [
        Entry(where, "dir"),
        Entry(f"{where}/a", "dir"),
        Entry(f"{where}/a/b", "dir"),
        Entry(f"{where}/a/b/c", "dir"),
        Entry(f"{where}/a/f", "file", f"HIDDEN {where}"),
        Entry(f"{where}/l", "link", "../../../out/dir"),
        Entry(f"{where}/f", "file", f"HIDDEN {where}/f"),
        Entry(f"{where}/m", "link", "../../../out/file"),
        Entry(f"{where}/d", "dir"),
    ]


class _Arguments:
    """Makes the arguments of one call, and what they point to."""

    def __init__(self, choose: random.Random, program: Program, paths: list[str], alone: bool) -> None:
        self._choose = choose
        self._program = program
        self._paths = paths
        self._alone = alone  # not compared with wasmtime
        self._number_of_paths = 0
        self.writes: list[tuple[int, bytes]] = []

    def make(self, words: str) -> tuple[int | Opened, ...]:
        args: list[int | Opened] = []
        for word in words.split():
            made = getattr(self, word)()
            args += made if isinstance(made, tuple) and not isinstance(made, Opened) else (made,)
        return tuple(args)

    def u32(self) -> int:
        return self._choose.choice(EDGES32)

    def u64(self) -> int:
        return self._choose.choice(EDGES64)

    def pointer(self) -> int:
        choose = self._choose
        if choose.random() < 0.93:
            return RESULT + 64 * choose.randrange(4)
        return choose.choice(
            [
                RESULT + 1,
                RESULT + 4,
                MEMORY_SIZE - 4,
                MEMORY_SIZE - 8,
                MEMORY_SIZE - 1,
                MEMORY_SIZE,
                0xFFFF_FFF8,
                0xFFFF_FFFF,
            ]
        )

    def place(self) -> int:
        """As `pointer`, but good if wasmtime is asked, too: it keeps what it has opened although the number has no place to go."""
        return self.pointer() if self._alone else RESULT

    def dir(self) -> int | Opened:
        choose = self._choose
        chance = choose.random()
        if chance < 0.65:
            return 3 + choose.randrange(len(self._program.preopens))
        return Opened(choose.randrange(4)) if chance < 0.92 else self._odd_fd()

    def fd(self) -> int | Opened:
        choose = self._choose
        chance = choose.random()
        if chance < 0.7:
            return Opened(choose.randrange(5))
        if chance < 0.8:
            return 3 + choose.randrange(len(self._program.preopens))
        return choose.randrange(3) if chance < 0.9 else self._odd_fd()

    def _odd_fd(self) -> int:
        return self._choose.choice([0, 1, 2, 3, 4, 5, 6, 7, 8, 50, 0x7FFF_FFFF, 0xFFFF_FFFF])

    def lookup(self) -> int:
        return self._choose.choice([0, 0, 0, 1, 1, 1, 1, 2] if self._choose.random() < 0.2 else [0, 1])

    def oflags(self) -> int:
        choose = self._choose
        return choose.choice([0, 0, 0, 0, 1, 1, 2, 2, 4, 5, 8, 9]) if choose.random() < 0.9 else choose.randrange(20)

    def rights(self) -> int:
        choose = self._choose
        return (
            choose.choice([0, 2, 2, 64, 66, 66, 1 << 14, RIGHTS_ALL, RIGHTS_ALL, RIGHTS_ALL])
            if choose.random() < 0.97
            else choose.choice([1 << 30, 1 << 63, (1 << 64) - 1])
        )

    def fdflags(self) -> int:
        choose = self._choose
        return (
            choose.choice([0, 0, 0, 1, 4, 5])
            if choose.random() < 0.9
            else choose.choice([2, 8, 16, 32, 0xFFFF, 0x10000])
        )

    def fstflags(self) -> int:
        return self._choose.choice([1, 4, 5, 5, 5, 2, 8, 10, 6, 9, 3, 12, 0, 15, 16])

    def time(self) -> int:
        return self._choose.choice(TIMES)

    def offset(self) -> int:
        choose = self._choose
        return choose.randrange(12) if choose.random() < 0.7 else choose.choice([*EDGES64, (1 << 64) - 3])

    def size(self) -> int:
        choose = self._choose
        return choose.randrange(12) if choose.random() < 0.8 else choose.choice(EDGES64)

    def cookie(self) -> int:
        choose = self._choose
        return choose.choice([0, 0, 0, 1, 2, 3, 4]) if choose.random() < 0.9 else choose.choice(EDGES64)

    def whence(self) -> int:
        return self._choose.choice([0, 1, 2, 0, 1, 2, 3, 255])

    def advice(self) -> int:
        return self._choose.choice([0, 1, 2, 3, 4, 5, 6, 0xFFFF_FFFF])

    def clock(self) -> int:
        return self._choose.choice([0, 1, 0, 1, 2, 3, 4, 0xFFFF_FFFF])

    def buffer(self) -> tuple[int, int]:
        choose = self._choose
        if choose.random() < 0.9:
            return BUFFERS + choose.randrange(3), choose.choice([0, 1, 3, 24, 29, 60, 200, 4000, 4000])
        return choose.choice(
            [
                (MEMORY_SIZE - 10, 10),
                (MEMORY_SIZE - 10, 11),
                (MEMORY_SIZE, 0),
                (0xFFFF_FFFF, 0xFFFF_FFFF),
                (MEMORY_SIZE + 1, 0),
            ]
        )

    def path_bytes(self) -> bytes:
        choose = self._choose
        chance = choose.random()
        if chance < 0.1:
            return choose.choice(ODD_PATHS)
        if chance < 0.6:
            path = choose.choice(self._paths)
            if choose.random() < 0.3:
                path += choose.choice(
                    ["/", "/", "/", "/.", "/..", "//", "/x", "/../f", "/f", "/../..", "/../../out/v0"]
                )
            if choose.random() < 0.1:
                path = choose.choice(["./", "d/../", "l/", "l0/", "l1/../", "d/e/../../", "d/l/", "//"]) + path
            return path.encode()
        parts = choose.choices(COMPONENTS, k=choose.choice([1, 1, 1, 2, 2, 3, 5]))
        return "/".join(parts).encode()

    def _string(self, data: bytes) -> tuple[int, int]:
        choose = self._choose
        if choose.random() < 0.01:
            return choose.choice(
                [(MEMORY_SIZE, 1), (MEMORY_SIZE - 1, 2), (0xFFFF_FFFF, 2), (0xFFFF_FFFF, 0), (8, 0xFFFF_FFFF)]
            )
        address = PATHS[self._number_of_paths % 2]
        self._number_of_paths += 1
        self.writes.append((address, data))
        return address, len(data)

    def path(self) -> tuple[int, int]:
        return self._string(self.path_bytes())

    def target(self) -> tuple[int, int]:
        if self._choose.random() < 0.5:
            return self._string(self._choose.choice(LINKS).encode())
        return self.path()

    def iovs(self) -> tuple[int, int]:
        choose = self._choose
        if choose.random() < 0.04:
            return choose.choice(
                [
                    (RECORDS + 1, 1),
                    (MEMORY_SIZE - 4, 1),
                    (RECORDS, 0xFFFF_FFFF),
                    (RECORDS, 0x1000_0000),
                    (MEMORY_SIZE, 0),
                    (RECORDS, 100_000),
                ]
            )
        pairs = []
        for _ in range(choose.choice([0, 1, 2, 5] if self._alone else [0, 1, 1, 1, 1])):  # wasmtime takes one
            odd = choose.random() < 0.05
            pairs.append(
                choose.choice(
                    [(0, 0xFFFF_FFFF), (MEMORY_SIZE - 2, 3), (MEMORY_SIZE, 0), (0xFFFF_FFFF, 0), (MEMORY_SIZE + 8, 0)]
                )
                if odd
                else (BUFFERS + 100 * choose.randrange(4), choose.choice([0, 1, 5, 20, 300]))
            )
        self.writes.append((RECORDS, b"".join(struct.pack("<II", *pair) for pair in pairs)))
        self.writes.append((BUFFERS + 10, b"written by the guest"))
        return RECORDS, len(pairs)

    def subscriptions(self) -> tuple[int | Opened, ...]:
        choose = self._choose
        count = choose.choice([0, 1, 1, 2, 3])
        records = b""
        for number in range(count):
            kind = choose.choice([0, 0, 1, 2, 1, 2, 3])
            if kind == 0:
                timeouts = [0, 1, 1000, 1 << 62] if number else [0, 0, 0, 1]
                clock, flags = choose.choice([0, 1, 1, 1, 2, 3, 7]), choose.choice([0, 0, 0, 1, 2, 0xFFFF])
                records += struct.pack("<QBxxxxxxxIxxxxQQHxxxxxx", number, 0, clock, choose.choice(timeouts), 0, flags)
            else:
                fd = choose.choice([0, 1, 2, 3, 4, 5, 6, 7, 8, 0xFFFF_FFFF])
                records += struct.pack("<QBxxxxxxxI28x", number + 7, kind, fd)
        self.writes.append((RECORDS, records))
        if choose.random() < 0.03:
            count = choose.choice([0xFFFF_FFFF, 0x0600_0000, 100_000])
        return RECORDS, self.pointer() + 0x100, count, self.pointer()


def _call(choose: random.Random, program: Program, paths: list[str], alone: bool) -> Call:
    names = list(FUNCTIONS)
    weights = [WEIGHTS.get(name, 1.0) for name in names]
    name = choose.choices(names, weights)[0]
    arguments = _Arguments(choose, program, paths, alone)
    words = PARAMETERS.get(name) or " ".join("u32" if type == I32 else "u64" for type in FUNCTIONS[name].type.params)
    args = arguments.make(words)
    return Call(name, args, tuple(arguments.writes))


def _opening(choose: random.Random, program: Program, paths: list[str]) -> Call:
    """One that is likely to succeed."""
    path = choose.choice(paths).encode()
    fd = 3 + choose.randrange(len(program.preopens))
    rights = choose.choice([2, 2, 64, 66, RIGHTS_ALL])
    args = (
        fd,
        1,
        PATHS[0],
        len(path),
        choose.choice([0, 0, 0, 1]),
        rights,
        RIGHTS_ALL,
        choose.choice([0, 0, 0, 1]),
        RESULT,
    )
    return Call("path_open", args, ((PATHS[0], path),))


def _named(name: str, before: tuple[int, ...], path: bytes, after: tuple[int | Opened, ...]) -> Call:
    return Call(name, (*before, PATHS[0], len(path), *after), ((PATHS[0], path),))


def _two_names(name: str, fds: tuple[int, int], old: bytes, new: bytes) -> Call:
    args = (fds[0], *((0,) if name == "path_link" else ()), PATHS[0], len(old), fds[1], PATHS[1], len(new))
    return Call(name, args, ((PATHS[0], old), (PATHS[1], new)))


def _moved(choose: random.Random, program: Program) -> list[Call]:
    """A file goes from one preopened directory to another, and is changed and read there."""
    fds = (3 + choose.randrange(len(program.preopens)), 3 + choose.randrange(len(program.preopens)))
    old, new = choose.choice([b"f", b"g", b"d/g", b"d/e/h", b"d", b"d/e"]), choose.choice([b"n1", b"n3", b"d/n3"])
    inner = new + choose.choice([b"", b"", b"/g", b"/h"])
    buffer = ((RECORDS, struct.pack("<II", BUFFERS, 20)),)
    return [
        _two_names(choose.choice(["path_rename", "path_link"]), fds, old, new),
        _named("path_open", (fds[1], 1), inner, (choose.choice([0, 8]), choose.choice([2, 64, 66]), 0, 0, RESULT)),
        Call(choose.choice(["fd_pwrite", "fd_pread"]), (Opened(0), RECORDS, 1, 0, RESULT), buffer),
        Call("fd_filestat_set_size", (Opened(0), 3)),
        Call("fd_filestat_set_times", (Opened(0), 3, 3, 5)),
    ]


def _led_outside(choose: random.Random, program: Program) -> list[Call]:
    """A link that leads outside, and all that can be asked about it."""
    fd = 3 + choose.randrange(len(program.preopens))
    target, name = f"../../{choose.choice(POINTS)}{choose.choice(['', '', '/', '/x'])}".encode(), b"n3"
    made = Call(
        "path_symlink", (PATHS[1], len(target), fd, PATHS[0], len(name)), ((PATHS[1], target), (PATHS[0], name))
    )
    calls = [made]
    for _ in range(4):
        path = choose.choice([name, b"l", b"l0", b"l1"]) + choose.choice([b"", b"/", b"/", b"//", b"/.", b"/..", b"/x"])
        lookup = choose.randrange(2)
        calls.append(
            choose.choice(
                [
                    _named("path_readlink", (fd,), path, (BUFFERS, 100, RESULT)),
                    _named("path_filestat_get", (fd, lookup), path, (RESULT,)),
                    _named("path_filestat_set_times", (fd, lookup), path, (3, 3, 5)),
                    _named("path_open", (fd, lookup), path, (choose.choice([0, 1, 2, 5, 8]), 66, 0, 4, RESULT)),
                    _named("path_create_directory", (fd,), path, ()),
                    _named("path_remove_directory", (fd,), path, ()),
                    _named("path_unlink_file", (fd,), path, ()),
                    _two_names("path_link", (fd, fd), path, b"n2"),
                    _two_names("path_link", (fd, fd), b"f", path),
                    _two_names("path_rename", (fd, fd), path, b"n2"),
                    _two_names("path_rename", (fd, fd), choose.choice([b"f", b"d"]), path),
                ]
            )
        )
    return calls


def _preopens(choose: random.Random) -> list[Preopen]:
    simple = choose.random() < 0.7  # what wasmtime's own package can say, too

    def permissions() -> tuple[int, int]:
        if simple:
            return choose.choice([(3, 3), (3, 3), (1, 1)])
        return choose.choice([1, 2, 3]), choose.choice([1, 2, 3])

    preopens = [Preopen("in/p", "/p", *permissions()), Preopen("in/q", "/q", *permissions())]
    extra = choose.random()
    if extra < 0.15:
        preopens.append(Preopen("in/p", ".", *permissions()))
    elif extra < 0.3:
        preopens.append(Preopen("in/p/d", "/p/d", *permissions()))
    if choose.random() < 0.2:
        choose.shuffle(preopens)
    return preopens


def generate(seed: int, race: bool | None = None) -> Program:
    """The program of a seed."""
    choose = random.Random(f"wasi {seed}")
    if race is None:
        race = choose.random() < 0.1
    special = choose.random() < 0.12
    inside = _entries(choose, "in/p", special) + _entries(choose, "in/q", special)
    if race:
        inside += _racing("in/p")
    program = Program(
        inside=inside,
        outside=[Entry("in", "dir"), *_outside(choose)],
        other=[Entry("in", "dir"), *_outside(choose)],
        preopens=_preopens(choose),
        calls=[],
        as_root=choose.random() < 0.5,
        race=race,
        streams=choose.choice(["none", "files", "custom"]),
        platform=choose.choice(["linux", "linux", "minimal"]),
        by_kernel=choose.random() < 0.5,
    )
    roots = ("in/p/race/", "in/p/race/a/", "in/p/") if race else ("in/p/", "in/q/", "in/p/d/")
    paths = [entry.path[len(root) :] for entry in inside for root in roots if entry.path.startswith(root)]
    if race:
        paths = [f"race/{tail}" for tail in _RACE_PATHS] * 3 + paths
    simple = all((preopen.dir_perms, preopen.file_perms) in ((3, 3), (1, 1)) for preopen in program.preopens)
    if not simple and program.streams == "custom":
        program = program._replace(streams="partial")
    for _ in range(choose.randrange(5)):
        program.calls.append(_opening(choose, program, paths))
    for _ in range(choose.choice([4, 12, 30])):
        if choose.random() < 0.12:
            program.calls.extend(choose.choice([_moved, _led_outside])(choose, program))
        program.calls.append(_call(choose, program, paths, not simple))
    return program


_RACE_PATHS: Final = [
    *["a", "a/", "a/b", "a/b/c", "a/f", "l", "f", "m", "d", "a/b/c/../../..", "a/b/c/../../../../../..", "a/b/../../f"],
    *[
        "a/d",
        "a/new",
        "l/new",
        "f/new",
        "d/new",
        "a/b/../b/../f",
        "a/..",
        "a/../..",
        "a/../../f",
        "a/b/c/../../../../f",
        "b",
        "b/c/../../f",
    ],
]
