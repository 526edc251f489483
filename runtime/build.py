"""What tells this build of Brolga from another of the same version, for what is kept from one process to the next."""

from __future__ import annotations

import os

from brolga.jit import code
from brolga.jit.code import COMPILED

from .version import VERSION


def marks_of(*parts: str) -> str:
    """Name, size and time of each file in these directories of the package. Of a compiled package nobody edits the files, which are
    many: size and time of the list that its installation has left are enough. Empty if the package is not in a directory."""
    package = os.path.dirname(os.path.dirname(code.__file__))
    marks: list[tuple[str, int, int]] = []
    if COMPILED:
        try:
            for path in (os.path.join(f"{package}-{VERSION}.dist-info", "RECORD"), code.__file__):
                status = os.stat(path)
                marks.append((path[len(package) :], status.st_size, status.st_mtime_ns))
            return str(marks)
        except OSError:  # installed by something that leaves no list
            marks.clear()
    try:
        for part in parts:
            _add_marks(os.path.join(package, part), marks)
    except OSError:  # an archive, say
        return ""
    return str(sorted(marks))


def _add_marks(directory: str, marks: list[tuple[str, int, int]]) -> None:
    with os.scandir(directory) as entries:
        for entry in entries:
            name = entry.name
            if name.endswith((".py", ".so")):
                status = entry.stat()
                marks.append((name, status.st_size, status.st_mtime_ns))
            elif "." not in name and name != "__pycache__" and entry.is_dir():
                _add_marks(entry.path, marks)
