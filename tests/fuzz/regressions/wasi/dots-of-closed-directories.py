# walk and kernel differ: path_open: perm and acces
#     path_open(4, 1, b'd/../../../out/v1', 2, 0, 66, 0, 0x1080) -> perm
from wasi_programs import Call, Entry, Preopen, Program

PROGRAM = Program(
    inside=[
        Entry("in/p", "dir", "", None, 1000000002),
        Entry("in/q", "dir", "", None, 1000000002),
        Entry("in/q/d", "dir", "", 0, 20000000000000000000),
    ],
    outside=[Entry("in", "dir")],
    other=[Entry("in", "dir")],
    preopens=[
        Preopen("in/p", "/p", 1, 2),
        Preopen("in/q", "/q", 1),
    ],
    calls=[
        Call("path_open", (4, 1, 8192, 17, 2, 0, 66, 0, 4224), ((8192, b"d/../../../out/v1"),)),
    ],
    as_root=False,
    race=False,
    streams="none",
    platform="minimal",
    by_kernel=False,
)
