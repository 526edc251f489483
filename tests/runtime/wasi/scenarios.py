"""What is done on both guests: each scenario takes a guest whose descriptor 3 is the tree of `make_tree` and yields what
it saw, without what may differ (inode numbers, times that are not set)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from .guests import Guest

Seen = Iterator[object]
READ, WRITE, READDIR = 2, 64, 1 << 14
NAMES: list[str | bytes] = [
    *(
        ["f", "lf", "ls", "abs", "esc", "esc/x", "loop", "dang", "dang/x", "..", ".", "./", "/", "/f", "sub", "sub/", "sub/..", "sub/../..", "sub/../f", "sub/up", "sub/up/x", "ls/a"]
    ),
    *(
        ["ls/../f", "ls/..", "./f", "f/", "f/x", "f/.", "lf/", "nope", "nope/x", "nope/..", "sub/inner/../../f", "sub//a", ".//f", "...", "sub/inner/../../.."]
    ),
    *["", b"\xff", b"a\0b", "x" * 300, "x/" * 3000, "y" * 255],
]


def every_descriptor_function(guest: Guest) -> Seen:
    calls: dict[str, tuple[int, ...]] = {
        "fd_advise": (0, 0, 0),
        "fd_allocate": (0, 10),
        "fd_datasync": (),
        "fd_fdstat_get": (0,),
        "fd_fdstat_set_flags": (1,),
        "fd_fdstat_set_rights": (0, 0),
        "fd_filestat_get": (0,),
        "fd_filestat_set_size": (3,),
        "fd_filestat_set_times": (0, 0, 0),
        "fd_pread": (0, 0, 0, 0),
        "fd_prestat_get": (0,),
        "fd_prestat_dir_name": (0, 9),
        "fd_pwrite": (0, 0, 0, 0),
        "fd_read": (0, 0, 0),
        "fd_readdir": (0, 100, 0, 0),
        "fd_seek": (0, 0, 0),
        "fd_sync": (),
        "fd_tell": (0,),
        "fd_write": (0, 0, 0),
        "sock_accept": (0, 0),
        "sock_recv": (0, 0, 0, 0, 0),
        "sock_send": (0, 0, 0, 0),
        "sock_shutdown": (1,),
    }
    opened = [guest.open(3, "f")[1], guest.open(3, "f", rights=READ)[1], guest.open(3, "f", rights=WRITE)[1]]
    opened.append(guest.open(3, "sub", rights=READDIR)[1])
    for fd in [0, 1, 2, 3, *opened, 99, -1]:
        for name, args in calls.items():
            yield fd, name, guest.call(name, fd, *args)
        if name != "fd_readdir":
            guest.write(0, bytes(100))


def stats(guest: Guest) -> Seen:
    files = [guest.open(3, "f", rights=rights)[1] for rights in (0, READ, WRITE, READ | WRITE)]
    directory = guest.open(3, "sub", rights=READDIR)[1]
    for fd in [0, 1, 2, 3, *files, directory]:
        guest.write(0, bytes(100))
        yield fd, guest.call("fd_fdstat_get", fd, 0), struct.unpack("<BxHxxxxQQ", guest.read(0, 24))
        yield fd, guest.call("fd_filestat_get", fd, 0)
        _, _, filetype, links, size = struct.unpack("<QQBxxxxxxxQQ", guest.read(0, 40))
        yield filetype, links, size if filetype == 4 else None
    for name in ("f", "lf", "sub", "ls", "sub/up"):
        for lookup in (0, 1):
            yield name, lookup, guest.call("path_filestat_get", 3, lookup, *guest.path(name), 0), guest.read(16, 1)


def names_read(guest: Guest) -> Seen:
    for name in NAMES:
        yield name, guest.open(3, name)[0], guest.open(3, name, lookup=0)[0]
        yield name, guest.open(3, name, 2)[0], guest.open(3, name, 2, rights=READDIR)[0], guest.open(3, name, 4)[0]
        yield name, guest.open(3, name, rights=READDIR)[0], guest.open(3, name, rights=READDIR, lookup=0)[0]
        for lookup in (0, 1):
            yield name, guest.call("path_filestat_get", 3, lookup, *guest.path(name), 0)
        yield name, guest.call("path_readlink", 3, *guest.path(name), 20000, 100, 8)


def names_create(guest: Guest) -> Seen:
    for name in NAMES:
        yield name, guest.open(3, name, 5)[0], guest.open(3, name, 1)[0], guest.open(3, name, 1, lookup=0)[0]
        yield name, guest.call("path_unlink_file", 3, *guest.path(name))


def names_directories(guest: Guest) -> Seen:
    for name in NAMES:
        yield name, guest.call("path_create_directory", 3, *guest.path(name))
        if name not in ("sub/", "ls/"):  # wasmtime calls a slash at the end invalid
            yield name, guest.call("path_remove_directory", 3, *guest.path(name))


def names_times(guest: Guest) -> Seen:
    for name in NAMES:
        for lookup in (0, 1):
            yield name, guest.call("path_filestat_set_times", 3, lookup, *guest.path(name), 5, 9, 5)
            guest.call("path_filestat_get", 3, lookup, *guest.path(name), 0)
            yield guest.read(40, 16) if guest.read(16, 1) == b"\4" else None
        yield name, guest.call("path_filestat_set_times", 3, 1, *guest.path(name), 5, 9, 3)
        yield name, guest.call("path_filestat_set_times", 3, 1, *guest.path(name), 5, 9, 16)
        yield name, guest.call("path_filestat_set_times", 3, 2, *guest.path(name), 5, 9, 0)


def links(guest: Guest) -> Seen:
    for old, new in [
        ("f", "l1"), ("lf", "l2"), ("sub", "l4"), ("nope", "l5"), ("f", "lf"), ("f", "../x"), ("../x", "y"), ("f/", "y"),
        ("f", "y/"), ("sub/../f", "sub/inner/n"), ("esc/x", "n1"), ("f", "esc/x"), ("abs", "n2"), ("ls/a", "n3"), ("", "n4"),
    ]:  # fmt: skip
        for lookup in (0, 1, 2):
            result = guest.call("path_link", 3, lookup, *guest.path(old), 3, *guest.path(new, 9000))
            yield (
                old,
                new,
                lookup,
                result,
                guest.call("path_filestat_get", 3, 0, *guest.path(new), 0),
                guest.read(16, 1),
            )


def symlinks(guest: Guest) -> Seen:
    for content, name in [
        ("f", "s1"), ("/abs", "s2"), ("../../x", "s3"), ("", "s4"), ("f", "s5/"), ("f", "f"), ("f", "../s"), ("f", "nope/s"),
        ("sub/", "s6"), (b"\xff", "s7"), (b"a\0b", "s8"), ("f", b"s\0"), ("f", "esc/s"), ("./sub/../f", "s9"),
    ]:  # fmt: skip
        yield content, name, guest.call("path_symlink", *guest.path(content), 3, *guest.path(name, 9000))
        yield guest.open(3, name)[0], guest.open(3, name, rights=READDIR)[0]
        yield guest.call("path_readlink", 3, *guest.path(name), 20000, 3, 8), guest.read(20000, 4), guest.u32(8)


def renames(guest: Guest) -> Seen:
    for old, new in [
        ("f", "f2"), ("f2", "f"), ("f", "sub"), ("sub", "f"), ("sub", "sub/x"), ("nope", "a"), ("f", "../a"), ("../a", "f"),
        (".", "q"), ("q", "."), ("f", "q/"), ("lf", "lf2"), ("sub/", "sub3/"), ("sub3", "sub"), ("sub/..", "q"), ("", "q"),
        ("abs", "abs2"), ("f", "esc/a"), ("esc/etc", "f"), ("f", "sub/inner/f"), ("ls/inner/f", "f"), ("f", "f"), ("f", ""),
    ]:  # fmt: skip
        yield old, new, guest.call("path_rename", 3, *guest.path(old), 3, *guest.path(new, 9000))


def open_flags(guest: Guest) -> Seen:
    for fdflags in (1, 2, 4, 8, 16, 32, 5, 3):
        yield fdflags, guest.open(3, "f", fdflags=fdflags)[0]
    for oflags in range(17):
        for rights in (0, READ, WRITE, READ | WRITE):
            for name in ("f", f"new{oflags}-{rights}", "sub"):
                result, fd = guest.open(3, name, oflags, rights)
                yield oflags, rights, name, result
                if result == "success":
                    yield guest.call("fd_fdstat_get", fd, 0), guest.read(0, 24)
                    yield guest.call("fd_read", fd, 0, 0, 40), guest.call("fd_write", fd, 0, 0, 40)
                    yield guest.call("fd_filestat_set_size", fd, 3), guest.call("fd_close", fd)
    yield guest.open(3, "f", lookup=2)[0], guest.open(3, "f", rights=1 << 40)[0], guest.open(3, "f", rights=-1)[0]
    yield guest.open(1, "f")[0], guest.open(guest.open(3, "f")[1], "f")[0], guest.open(99, "f")[0]


def descriptor_numbers(guest: Guest) -> Seen:
    fds = [guest.open(3, "f")[1] for _ in range(5)]
    yield fds
    for fd in (fds[3], fds[1], fds[1], fds[2]):
        yield guest.call("fd_close", fd)
    yield [guest.open(3, "f")[1] for _ in range(5)]
    yield guest.call("fd_renumber", fds[0], fds[0]), guest.call("fd_renumber", fds[0], 99)
    yield (
        guest.call("fd_renumber", 99, fds[0]),
        guest.call("fd_renumber", fds[0], fds[1]),
        guest.call("fd_tell", fds[0], 8),
    )
    yield guest.call("fd_renumber", fds[1], 1), guest.call("fd_tell", 1, 8), guest.call("fd_renumber", 2, 1)
    yield [guest.open(3, "f")[1] for _ in range(4)]
    yield guest.call("fd_close", 3), guest.open(3, "f")[0], guest.call("fd_close", 0), guest.call("fd_close", 0)


def seeks(guest: Guest) -> Seen:
    fd = guest.open(3, "f")[1]
    for whence in (0, 1, 2, 3, 5, -1):
        for delta in (5, -3, -100, 0, 1 << 40, -(1 << 63)):
            yield (
                whence,
                delta,
                guest.call("fd_seek", fd, delta, whence, 8),
                guest.call("fd_tell", fd, 16),
                guest.u64(16),
            )
    yield guest.call("fd_tell", fd, 9), guest.call("fd_tell", fd, 4 * 65536), guest.call("fd_tell", fd, -8)


def reads_and_writes(guest: Guest) -> Seen:
    fd = guest.open(3, "f")[1]
    for offset in (0, 5, 100, 1 << 62, -1, -(1 << 63)):
        iovs = guest.iovs((1000, 3))
        yield offset, guest.call("fd_pread", fd, *iovs, offset, 8), guest.u32(8), guest.read(1000, 4)
    yield guest.call("fd_pwrite", fd, *guest.iovs((1000, 3)), 4, 8), guest.u32(8)
    yield guest.call("fd_pwrite", fd, *guest.iovs((1000, 3)), -1, 8)
    yield guest.call("fd_read", fd, *guest.iovs((2000, 100)), 8), guest.u32(8), guest.read(2000, 12)
    yield guest.call("fd_read", fd, *guest.iovs((2000, 100)), 8), guest.u32(8)
    yield (
        guest.call("fd_write", fd, *guest.iovs((2000, 4)), 8),
        guest.u32(8),
        guest.call("fd_tell", fd, 8),
        guest.u64(8),
    )
    yield guest.call("fd_read", fd, *guest.iovs((4 * 65536 - 2, 4)), 8)
    yield guest.call("fd_read", fd, 4 * 65536 - 4, 3, 8), guest.call("fd_read", fd, 17, 1, 8)
    yield (
        guest.call("fd_read", fd, *guest.iovs((100, 1)), 9),
        guest.call("fd_write", fd, *guest.iovs((100, 1)), 4 * 65536),
    )
    append = guest.open(3, "f", fdflags=1)[1]
    yield guest.call("fd_write", append, *guest.iovs((2000, 4)), 8), guest.u32(8)
    yield guest.call("fd_fdstat_set_flags", append, 0), guest.call("fd_seek", append, 0, 0, 8)
    yield guest.call("fd_write", append, *guest.iovs((2000, 2)), 8), guest.call("fd_seek", append, 0, 0, 8)
    yield guest.call("fd_read", append, *guest.iovs((3000, 50)), 8), guest.read(3000, guest.u32(8))


def sizes_times_flags(guest: Guest) -> Seen:
    fd, read_only, directory = (
        guest.open(3, "f")[1],
        guest.open(3, "f", rights=READ)[1],
        guest.open(3, "sub", rights=READDIR)[1],
    )
    for size in (0, 20, 1 << 62, (1 << 63) - 1, -1):
        yield size, [guest.call("fd_filestat_set_size", x, size) for x in (fd, read_only, directory, 1)]
    for flags in range(17):
        yield flags, [guest.call("fd_filestat_set_times", x, 1, 2, flags) for x in (fd, read_only, directory, 3, 1)]
        yield flags, guest.call("fd_filestat_get", fd, 0), guest.read(40, 16) if flags == 5 else None
    for flags in (0, 1, 2, 4, 5, 8, 16, 32, 64):
        yield flags, [guest.call("fd_fdstat_set_flags", x, flags) for x in (fd, directory, 1)]
        yield guest.call("fd_fdstat_get", fd, 0), guest.read(0, 24)
    for advice in range(8):
        yield advice, [guest.call("fd_advise", x, 0, 10, advice) for x in (fd, directory, 1, 99)]


def preopens(guest: Guest) -> Seen:
    yield guest.call("fd_prestat_get", 3, 64), guest.u32(68), guest.read(64, 1)
    yield [guest.call("fd_prestat_dir_name", 3, 8, size) for size in (0, 1, 4, 5, 100)], guest.read(8, 5)
    yield (
        guest.call("fd_prestat_get", 4, 64),
        guest.call("fd_prestat_get", 3, 62),
        guest.call("fd_prestat_dir_name", 3, -1, 10),
    )


def directories(guest: Guest) -> Seen:
    for fd in (3, guest.open(3, "sub", rights=READDIR)[1]):
        entries = []
        cookie = 0
        while True:  # one entry at a time
            guest.write(2000, bytes(300))
            yield guest.call("fd_readdir", fd, 2000, 24 + 5, cookie, 8), guest.u32(8) > 24
            if guest.u32(8) == 0:
                break
            following, _, size, filetype = struct.unpack("<QQIBxxx", guest.read(2000, 24))
            yield following == cookie + 1
            cookie = following
            entries.append((guest.read(2024, size)[:5], size, filetype))
        yield entries[:2], sorted(entries[2:])
        yield (
            guest.call("fd_readdir", fd, 2000, 5000, 0, 8),
            guest.u32(8),
            guest.call("fd_readdir", fd, 2000, 5000, 2, 8),
            guest.u32(8),
        )
        yield (
            guest.call("fd_readdir", fd, 2000, 30, 0, 8),
            guest.u32(8),
            guest.call("fd_readdir", fd, 2000, 0, 0, 8),
            guest.u32(8),
        )
        for cookie in (100, -1):
            yield guest.call("fd_readdir", fd, 2000, 400, cookie, 8), guest.u32(8)
        yield guest.call("fd_readdir", fd, 4 * 65536 - 10, 400, 0, 8)


def process(guest: Guest) -> Seen:
    for clock in range(5):
        yield clock, guest.call("clock_res_get", clock, 8), guest.u64(8) if clock < 2 else None
        yield clock, guest.call("clock_time_get", clock, 0, 8), guest.u64(8) > 0
    yield (
        guest.call("random_get", 8, 8),
        guest.call("random_get", 4 * 65536 - 1, 2),
        guest.call("random_get", 4 * 65536, 0),
    )
    for kind in ("args", "environ"):
        yield (
            guest.call(f"{kind}_sizes_get", 0, 4),
            guest.read(0, 8),
            guest.call(f"{kind}_get", 0, 100),
            guest.read(0, 12),
        )
        yield (
            guest.read(100, guest.u32(4)),
            guest.call(f"{kind}_sizes_get", 1, 4),
            guest.call(f"{kind}_get", 0, 4 * 65536 - 1),
        )
    yield guest.call("sched_yield"), guest.call("proc_raise", 1)
    yield [guest.call("proc_exit", status) for status in (0, 3, 125, 126, 255, -1)]


def polls(guest: Guest) -> Seen:
    def clock(userdata: int, id: int, timeout: int, flags: int = 0) -> bytes:
        return struct.pack("<QBxxxxxxxIxxxxQQHxxxxxx", userdata, 0, id, timeout, 0, flags)

    def descriptor(userdata: int, kind: int, fd: int) -> bytes:
        return struct.pack("<QBxxxxxxxI28x", userdata, kind, fd & 0xFFFFFFFF)

    def poll(*subscriptions: bytes) -> object:
        guest.write(1000, b"".join(subscriptions))
        result = guest.call("poll_oneoff", 1000, 5000, len(subscriptions), 8)
        events = range(guest.u32(8)) if result == "success" else ()
        return result, [struct.unpack("<QHBxxxxxQHxxxxxx", guest.read(5000 + 32 * n, 32)) for n in events]

    fd, directory = guest.open(3, "f")[1], guest.open(3, "sub", rights=READDIR)[1]
    yield poll(), poll(clock(1, 0, 5_000_000)), poll(clock(1, 1, 10**14), clock(2, 1, 20_000), clock(3, 1, 20_000))
    yield (
        [poll(clock(1, id, 5)) for id in (0, 1, 2, 3, 9)],
        [poll(clock(1, id, 5, 1)) for id in (0, 1)],
        poll(clock(1, 1, 5, 7)),
    )
    for number in (fd, directory, 3, 99, 1, 2, -1):
        yield number, poll(descriptor(7, 1, number)), poll(descriptor(8, 2, number))
    yield poll(clock(1, 1, 10**14), descriptor(8, 2, fd)), poll(struct.pack("<QB39x", 1, 9))
    yield guest.call("poll_oneoff", 1000, 4 * 65536 - 8, 1, 8), guest.call("poll_oneoff", 4 * 65536, 0, 1, 8)


SCENARIOS = [
    every_descriptor_function, stats, names_read, names_create, names_directories, names_times, links, symlinks, renames,
    open_flags, descriptor_numbers, seeks, reads_and_writes, sizes_times_flags, preopens, directories, process, polls,
]  # fmt: skip
