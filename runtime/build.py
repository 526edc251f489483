"""What tells this build of Brolga from another of the same version, for what is kept from one process to the next."""

from __future__ import annotations

import os
from collections.abc import Iterable
from types import ModuleType

from brolga.jit import code
from brolga.jit.cache_format import digest
from brolga.jit.code import COMPILED

from .version import VERSION


def marks_of(*parts: str, modules: Iterable[ModuleType] = ()) -> str:
    """The digest of the list that an installation leaves, which has a digest of each file; name, size and time of each file in these
    directories of the package, and of these modules outside of them. Times alone do not tell: unpacked wheels may all have the
    same. Nobody edits the files of a compiled package, which are many: there the list is enough. Empty if the package is not in a
    directory: then nothing tells, and nothing may be kept.
    """
    package = os.path.dirname(os.path.dirname(code.__file__))
    listed = ""
    try:
        with open(os.path.join(f"{package}-{VERSION}.dist-info", "RECORD"), "rb") as record:
            listed = digest(record.read()).hex()
    except OSError:
        pass  # a checkout, or installed by something that leaves no list
    marks: list[tuple[str, int, int]] = []
    try:
        if COMPILED and listed:
            status = os.stat(code.__file__)
            marks.append((code.__file__[len(package) :], status.st_size, status.st_mtime_ns))
        else:
            for part in parts:
                _add_marks(os.path.join(package, part), marks)
            for module in modules:
                path = module.__file__ or ""
                status = os.stat(path)
                marks.append((os.path.basename(path), status.st_size, status.st_mtime_ns))
    except OSError:  # an archive, say
        return ""
    return f"{listed} {sorted(marks)}"


def _add_marks(directory: str, marks: list[tuple[str, int, int]]) -> None:
    with os.scandir(directory) as entries:
        for entry in entries:
            name = entry.name
            if name.endswith((".py", ".so")):
                status = entry.stat()
                marks.append((name, status.st_size, status.st_mtime_ns))
            elif "." not in name and name != "__pycache__" and entry.is_dir():
                _add_marks(entry.path, marks)
