# kernel and walk differ: path_open: isdir and notdir
#     path_open(3, 1, b'l1', 1, 0x3fffffff, 0x3fffffff, 0, 0x1000) -> isdir
from wasi_programs import Call, Entry, Preopen, Program

PROGRAM = Program(
    inside=[
        Entry("in/p", "dir", "", None, 1000000002),
        Entry("in/p/f", "file", "HIDDEN in/p/f", 420, -1),
        Entry("in/p/l1", "link", "f/"),
        Entry("in/q", "dir", "", None, 1000000002),
    ],
    outside=[Entry("in", "dir")],
    other=[Entry("in", "dir")],
    preopens=[
        Preopen("in/p", "/p"),
        Preopen("in/q", "/q", 1, 1),
    ],
    calls=[
        Call("path_open", (3, 1, 8192, 2, 1, 1073741823, 1073741823, 0, 4096), ((8192, b"l1"),)),
    ],
    as_root=True,
    race=False,
    streams="custom",
    platform="minimal",
    by_kernel=True,
)
