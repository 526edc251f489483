# walk and kernel differ: path_open: success and acces
#     path_open(4, 1, b'l2', 0, 66, 0x3fffffff, 0, 0x1000) -> success
from wasi_programs import Call, Entry, Preopen, Program

PROGRAM = Program(
    inside=[
        Entry("in/p", "dir", "", None, 1000000002),
        Entry("in/q", "dir", "", None, 1000000002),
        Entry("in/q/f", "file", "HIDDEN in/q/f", None, 5),
        Entry("in/q/d", "dir", "", 0),
        Entry("in/q/l2", "link", "d/../f"),
    ],
    outside=[Entry("in", "dir")],
    other=[Entry("in", "dir")],
    preopens=[
        Preopen("in/p", "/p"),
        Preopen("in/q", "/q"),
    ],
    calls=[
        Call("path_open", (4, 1, 8192, 2, 0, 66, 1073741823, 0, 4096), ((8192, b"l2"),)),
    ],
    as_root=False,
    race=False,
    streams="custom",
    platform="minimal",
    by_kernel=False,
)
