"""WASI state: the configuration that embedders fill in, and the context of a store that the functions work on."""

from __future__ import annotations

import os
import sys
from bisect import insort
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, final

from brolga.ir.errors import ArgumentTypeError, WasmtimeError

from ..arguments import (
    bool_of,
    buffer_of,
    bytes_of,
    callable_of,
    encoded,
    instance_of,
    list_of,
    path_of,
    text_of,
)
from ..config import write_only
from ..machine.lifetime import Unique
from ..managed import Consumable
from .abi import BADF, MFILE, NFILE, WasiError
from .descriptors import Descriptor, Directory, File, InputStream, OutputStream, Sink
from .transfer import Ended

if TYPE_CHECKING:
    from .permissions import DirPerms, FilePerms

Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]


MOST_DESCRIPTORS: Final = 16384  # of a program
LEFT_TO_THE_HOST: Final = 64  # numbers of descriptors, of those that the system gives a process

# Values of DirPerms and FilePerms: the first two are bits.
_READ: Final = 1
_WRITE: Final = 2
_READ_AND_WRITE: Final = 3


class WasiConfig(Consumable, Unique):
    """What a WASI program sees: arguments, environment, standard streams, directories.

    Nothing is given unless asked for: no arguments, no environment, an empty standard input, outputs that go nowhere.
    A configuration is used up by `Store.set_wasi`.
    """

    __slots__ = ("_argv", "_env", "_outputs", "_preopens", "_stdin")

    def __init__(self) -> None:
        self._argv: list[bytes] = []
        self._env: list[tuple[bytes, bytes]] = []
        self._stdin = InputStream()
        self._outputs = {"stdout": OutputStream(), "stderr": OutputStream()}
        self._preopens: list[Directory] = []

    @write_only
    def argv(self, argv: Iterable[str | bytes]) -> None:
        """The program's arguments, its own name first."""
        self._argv = [_encoded(arg) for arg in list_of(argv, "the arguments")]

    def inherit_argv(self) -> None:
        """The arguments of this process."""
        self.ptr()
        self._argv = [os.fsencode(arg) for arg in sys.argv]

    @write_only
    def env(self, pairs: Iterable[Iterable[str]]) -> None:
        """The environment, as pairs of name and value."""
        listed = [list_of(pair, "pairs of name and value") for pair in list_of(pairs, "pairs of name and value")]
        if any(len(pair) != 2 for pair in listed):
            raise ArgumentTypeError("expected pairs of name and value")
        self._env = [(_encoded(name), _encoded(value)) for name, value in listed]

    def inherit_env(self) -> None:
        """The environment of this process."""
        self.ptr()
        self._env = list(os.environb.items())

    @write_only
    def stdin_file(self, path: Path) -> None:
        """Standard input comes from this file."""
        self._stdin = InputStream(_open_stream(path, os.O_RDONLY, "stdin"), owned=True)

    @write_only
    def stdin_bytes(self, data: bytes) -> None:
        """Standard input is these bytes."""
        with buffer_of(data) as view:
            self._stdin = InputStream(data=view.tobytes())

    def inherit_stdin(self) -> None:
        """Standard input is this process's."""
        self.ptr()
        self._stdin = InputStream(0, closed=_was_closed(0))

    @write_only
    def stdout_file(self, path: Path) -> None:
        """Standard output goes to this file, made or emptied first."""
        self._set_file("stdout", path)

    @write_only
    def stdout_custom(self, callback: Sink) -> None:
        """Standard output goes to this callable, piece by piece; it returns how many bytes it took, or None for all."""
        self._outputs["stdout"] = OutputStream(sink=callable_of(callback))

    def inherit_stdout(self) -> None:
        """Standard output is this process's."""
        self.ptr()
        self._outputs["stdout"] = OutputStream(1, closed=_was_closed(1))

    @write_only
    def stderr_file(self, path: Path) -> None:
        """Standard error goes to this file, made or emptied first."""
        self._set_file("stderr", path)

    @write_only
    def stderr_custom(self, callback: Sink) -> None:
        """Standard error goes to this callable, as `stdout_custom`."""
        self._outputs["stderr"] = OutputStream(sink=callable_of(callback))

    def inherit_stderr(self) -> None:
        """Standard error is this process's."""
        self.ptr()
        self._outputs["stderr"] = OutputStream(2, closed=_was_closed(2))

    def preopen_dir(
        self,
        path: Path,
        guest_path: str,
        dir_perms: bool | DirPerms | None = None,
        file_perms: FilePerms | None = None,
        fs_mutable: bool = True,
    ) -> None:
        """Give the program the directory `path` under the name `guest_path`.

        The third argument may be a bool, as in wasmtime 50 (`fs_mutable`: directory and files may be changed), or a
        DirPerms followed by a FilePerms, as before. By default everything is allowed.
        """
        self.ptr()
        if isinstance(dir_perms, bool):
            fs_mutable = dir_perms
            dir_perms = None
        fs_mutable = bool_of(fs_mutable, "a bool for fs_mutable")
        directory = _permissions(dir_perms, "DirPerms")
        files = _permissions(file_perms, "FilePerms")
        name = encoded(text_of(guest_path), "the name of a directory")
        host = path_of(path)
        try:
            fd = os.open(host, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            raise WasmtimeError(f"failed to add preopen dir: {error}") from error
        self._preopens.append(
            Directory(
                fd,
                name,
                readable=bool(directory & _READ),
                mutable=fs_mutable and bool(directory & _WRITE),
                files_readable=bool(files & _READ),
                files_writable=fs_mutable and bool(files & _WRITE),
            )
        )

    def _set_file(self, name: str, path: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        self._outputs[name] = OutputStream(_open_stream(path, flags, name), owned=True)

    def _context(self) -> WasiContext:
        """The context for one store; it takes over what this configuration has opened."""
        descriptors: list[Descriptor] = [self._stdin, self._outputs["stdout"], self._outputs["stderr"], *self._preopens]
        context = WasiContext(self._argv, [name + b"=" + value for name, value in self._env], descriptors)
        self.close()
        return context


def _permissions(given: DirPerms | FilePerms | None, kind: str) -> int:
    """The bits of a member of the enumeration that has this name."""
    if given is None:
        return _READ_AND_WRITE
    from .permissions import DirPerms, FilePerms  # an Enum, which few programs need

    bits: int = instance_of(DirPerms if kind == "DirPerms" else FilePerms, given, f"a {kind}").value
    return bits


def _was_closed(fd: int) -> bool:
    """Whether a standard stream is not there. If the process was started without it, something else may have its number now."""
    if (sys.__stdin__, sys.__stdout__, sys.__stderr__)[fd] is None:
        return True
    try:
        os.fstat(fd)
    except OSError:
        return True
    return False


def _never() -> bool:
    return False


def _encoded(text: str | bytes) -> bytes:
    if issubclass(type(text), bytes):
        data = bytes_of(text)
    else:
        try:
            data = text_of(text, "a str or bytes").encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise WasmtimeError(f"arguments and environment cannot be written as UTF-8: {error.reason}") from None
    if b"\0" in data:
        raise WasmtimeError("arguments and environment cannot contain a zero byte")
    return data


def _open_stream(path: Path, flags: int, name: str) -> int:
    host = path_of(path)
    try:
        return os.open(host, flags | os.O_CLOEXEC, 0o666)
    except (OSError, ValueError) as error:
        raise WasmtimeError(f"failed to set {name} file: {error}") from error


@final
class WasiContext(Unique):
    """Arguments, environment (`NAME=value`) and the table of descriptors of one program."""

    __slots__ = ("_descriptors", "_free", "args", "ended", "environ")

    def __init__(self, args: list[bytes], environ: list[bytes], descriptors: list[Descriptor]) -> None:
        self.args = args
        self.environ = environ
        self.ended: Ended = _never  # whether the call that is under way is to end
        self._descriptors: list[Descriptor | None] = list(descriptors)
        self._free: list[int] = []  # ascending: the highest is given out first

    def get(self, fd: int) -> Descriptor:
        if fd < len(self._descriptors):
            descriptor = self._descriptors[fd]
            if descriptor is not None:
                return descriptor
        raise WasiError(BADF)

    def file(self, fd: int) -> File:
        descriptor = self.get(fd)
        if not isinstance(descriptor, File):
            raise WasiError(BADF)
        return descriptor

    def directory(self, fd: int, not_one: int = BADF) -> Directory:
        """The directory to which a path is relative; `not_one` is the error if it is an open file."""
        descriptor = self.get(fd)
        if isinstance(descriptor, Directory):
            return descriptor
        raise WasiError(not_one if isinstance(descriptor, File) else BADF)

    def check_room(self) -> None:
        """Before something is opened: the program has not as many descriptors as one may have."""
        if len(self._descriptors) - len(self._free) >= MOST_DESCRIPTORS:
            raise WasiError(MFILE)

    def add(self, descriptor: Descriptor) -> int:
        """The number of a new descriptor. WasiError if that leaves the host too few."""
        self.check_room()
        if isinstance(descriptor, (File, Directory)) and descriptor.fd >= os.sysconf("SC_OPEN_MAX") - LEFT_TO_THE_HOST:
            raise WasiError(NFILE)
        if self._free:
            fd = self._free.pop()
            self._descriptors[fd] = descriptor
        else:
            fd = len(self._descriptors)
            self._descriptors.append(descriptor)
        return fd

    def remove(self, fd: int) -> Descriptor:
        """Take a descriptor out of the table; it is not closed."""
        descriptor = self.get(fd)
        self._descriptors[fd] = None
        insort(self._free, fd)
        return descriptor

    def renumber(self, source: int, target: int) -> None:
        """`target`, which must be open, is closed and stands for what `source` was; `source` is free."""
        self.get(source)
        replaced = self.get(target)
        if source != target:
            self._descriptors[target] = self.remove(source)
            replaced.close()

    def close(self) -> None:
        for descriptor in self._descriptors:
            if descriptor is not None:
                descriptor.close()
        self._descriptors.clear()
        self._free.clear()
