"""A process that moves files about while a WASI program runs: links and directories change places, directories move up and down.

It reads lines: `start DIRECTORY` and `stop`, which it answers with `stopped`.
"""

from __future__ import annotations

import ctypes
import os
import select
from typing import Final

_SYS_RENAMEAT2: Final = 316
_EXCHANGE: Final = 2
_libc: Final = ctypes.CDLL(None, use_errno=True)
# Each is done, then undone. `<>`: the two change places.
STEPS: Final = [
    ("a", "<>", "l"),
    ("a/b", ">", "b"),
    ("f", "<>", "m"),
    ("f", "<>", "d"),
    ("a/b/c", ">", "c"),
    ("d", "<>", "l"),
]


def _move(directory: int, source: str, how: str, target: str) -> None:
    flags = _EXCHANGE if how == "<>" else 0
    _libc.syscall(_SYS_RENAMEAT2, directory, source.encode(), directory, target.encode(), flags)


def _swap(path: str) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        while not select.select([0], [], [], 0)[0]:
            for source, how, target in STEPS:
                _move(directory, source, how, target)
                _move(directory, target, how, source)
    finally:
        os.close(directory)


def main() -> None:
    lines = open(0, "rb", buffering=0)  # noqa: SIM115  unbuffered: a line that was read ahead could not be waited for
    while line := lines.readline():
        command, _, path = line.decode().strip().partition(" ")
        if command == "start":
            _swap(path)
        else:
            print("stopped", flush=True)


if __name__ == "__main__":
    main()
