"""The cache of compiled code on disk: one file an entry, each an image of `brolga.jit.cache_format`.

The name of an entry is a digest of all that its code depends on: the module's source, version and build of the compiler,
settings, CPU features. Files appear under their names complete (written aside, then renamed), so that readers and writers
need no locks, and whoever comes last wins. Whatever is wrong with an entry, with the directory or with the disk makes a miss.

Code from the cache is run, so that only what nobody else can write is read: directory and file belong to this user and are
writable for no one else.
"""

from __future__ import annotations

import functools
import math
import os
import re
import stat
import time
from typing import Final, final

from brolga.ir.errors import CodeFormatError, WasmtimeError
from brolga.jit.cache_format import FORMAT, MAGIC, CodeImage, digest, is_image, read_image, write_image
from brolga.jit.code import CompiledFunction
from brolga.jit.settings import Settings

from .build import marks_of
from .version import VERSION

DEFAULT_LIMIT: Final = 512 << 20
_SUFFIX: Final = ".code"
_TEMPORARY: Final = "writing-"
# The names that the cache gives. The directory may have other files, which are none of its business.
_ENTRY_NAME: Final = re.compile(rf"[0-9a-f]{{32}}\{_SUFFIX}")
_TEMPORARY_NAME: Final = re.compile(rf"{_TEMPORARY}[0-9]+-[0-9a-f]{{16}}")
_ABANDONED: Final = 3600.0  # seconds after which nobody writes a temporary file any more
_USE_NOTED: Final = 600.0  # seconds within which a second use of an entry leaves its time as it is
_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
# With these the compiler has to run, to show what it does.
_KNOBS: Final = ("BROLGA_DUMP", "BROLGA_TIME", "BROLGA_VERIFY")


def default_directory() -> str:
    """$XDG_CACHE_HOME/brolga, or ~/.cache/brolga; empty if there is no home."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.expanduser("~/.cache")
    return os.path.join(base, "brolga") if os.path.isabs(base) else ""


@functools.cache
def _build() -> str:
    """Empty if nothing tells this build from others."""
    return marks_of("ir", "jit", "regalloc")


def key_of(source: bytes, settings: Settings) -> str:
    """The name of the entry for the module whose source has this digest."""
    parts = [
        str(FORMAT),
        VERSION,
        _build(),
        settings.describe(),
        settings.describe_features(),
        os.environ.get("BROLGA_OPT", ""),
        source.hex(),
    ]
    return digest("\0".join(parts).encode())[:16].hex()


@final
class Entry:
    """A file of the cache. `used`: when it was written or last read, within some minutes."""

    __slots__ = ("path", "size", "used")

    def __init__(self, path: str, size: int, used: float) -> None:
        self.path = path
        self.size = size
        self.used = used


@final
class CodeCache:
    """Compiled code in files of a directory, which is made when there is something to write. `limit`: of its size in bytes;
    what was not used for the longest time goes first."""

    __slots__ = ("directory", "limit")

    def __init__(self, directory: str, limit: int = DEFAULT_LIMIT) -> None:
        self.directory = directory
        self.limit = limit

    def _path(self, key: str) -> str:
        return os.path.join(self.directory, key + _SUFFIX)

    def _is_ours(self) -> bool:
        """Whether the directory is there, ours, and closed to others."""
        try:
            status = os.stat(self.directory)
        except OSError:
            return False
        return stat.S_ISDIR(status.st_mode) and _is_private(status)

    def read(self, key: str) -> bytes | None:
        """The bytes of an entry; None if there are none that can be trusted."""
        if not self._is_ours():
            return None
        try:
            with open(self._path(key), "rb", opener=_open_no_link) as file:
                status = os.fstat(file.fileno())
                if not (stat.S_ISREG(status.st_mode) and _is_private(status)):
                    return None
                data = file.read()
                if time.time() - status.st_mtime > _USE_NOTED:
                    os.utime(file.fileno())
        except (OSError, MemoryError):
            return None
        return data

    def write(self, key: str, data: bytes) -> bool:
        """Make `data` the entry's bytes. Returns whether that was possible."""
        if len(data) > self.limit or not self.directory:
            return False
        temporary = os.path.join(self.directory, f"{_TEMPORARY}{os.getpid()}-{os.urandom(8).hex()}")
        try:
            os.makedirs(os.path.dirname(self.directory), exist_ok=True)
            try:
                os.mkdir(self.directory, 0o700)
            except FileExistsError:
                pass
            if not self._is_ours():
                return False
            try:
                with open(temporary, "xb", opener=_open_private) as file:
                    file.write(data)
                os.rename(temporary, self._path(key))
            except BaseException:
                _remove(temporary)
                raise
        except OSError:
            return False
        self.prune(self.limit)
        return True

    def remove(self, key: str) -> None:
        """Drop an entry."""
        _remove_entry(self._path(key))

    def entries(self) -> list[Entry]:
        """What is there, the entry used last first."""
        return sorted(self._listing(_ENTRY_NAME), key=lambda entry: entry.used, reverse=True)

    def _listing(self, names: re.Pattern[str]) -> list[Entry]:
        """The regular files whose names match."""
        found: list[Entry] = []
        try:
            with os.scandir(self.directory) as listing:
                for file in listing:
                    if names.fullmatch(file.name):
                        try:
                            status = file.stat(follow_symlinks=False)
                        except OSError:  # somebody else removed it
                            continue
                        if stat.S_ISREG(status.st_mode):
                            found.append(Entry(file.path, status.st_size, status.st_mtime))
        except OSError:
            pass
        return found

    def prune(self, limit: int) -> int:
        """Remove what was not used for the longest time if there is more than `limit` bytes, until a quarter is free again; and
        temporary files that were left behind. Returns the number of entries removed."""
        self._remove_temporary(time.time() - _ABANDONED)
        entries = self.entries()
        total = sum(entry.size for entry in entries)
        if total <= limit:
            return 0
        removed = 0
        while entries and total > limit - limit // 4:
            entry = entries.pop()
            if _remove_entry(entry.path):
                removed += 1
                total -= entry.size
        return removed

    def clear(self) -> int:
        """Remove all entries, and temporary files. Returns the number of entries removed."""
        self._remove_temporary(math.inf)
        return sum(_remove_entry(entry.path) for entry in self.entries())

    def _remove_temporary(self, before: float) -> None:
        """Those files that nobody has written to since."""
        for entry in self._listing(_TEMPORARY_NAME):
            if entry.used < before:
                _remove(entry.path)


def _is_private(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid() and not status.st_mode & _WRITABLE_BY_OTHERS


def _open_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _remove(path: str) -> bool:
    """Whether it was there, and is gone."""
    try:
        os.unlink(path)
    except OSError:
        return False
    return True


def _remove_entry(path: str) -> bool:
    """Remove a file that has the name of an entry, if it is one, whole or not. Whether that was so."""
    try:
        with open(path, "rb", opener=_open_no_link) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode) or not is_image(file.read(len(MAGIC))):
                return False
    except OSError:
        return False
    return _remove(path)


@final
class CacheEntry:
    """The place in a cache of one module's code, for one engine. `source`: what the module was made of, binary or text."""

    __slots__ = ("_cache", "_features", "_key", "_settings", "_source", "known")

    def __init__(self, cache: CodeCache, source: bytes, settings: Settings) -> None:
        self._cache = cache
        self._source = digest(source)
        self._settings = settings.describe()
        self._features = settings.describe_features()
        self._key = key_of(self._source, settings)
        self.known: frozenset[int] = frozenset()  # the functions that are in it

    def load(self, tables_later: bool = True) -> CodeImage | None:
        """The code that is there. An entry that cannot be used is removed. `tables_later`: see `read_image`."""
        if not _build():  # it might be that of another compiler
            return None
        data = self._cache.read(self._key)
        if data is None:
            return None
        try:
            image = read_image(data, VERSION, tables_later)
        except CodeFormatError:
            self._cache.remove(self._key)
            return None
        if (image.source, image.settings, image.features) != (self._source, self._settings, self._features):
            return None
        self.known = frozenset(image.funcs)
        return image

    def save(self, functions: list[CompiledFunction], wasm: bytes) -> None:
        """Add functions to what is there, which others may have added to in the meantime. `wasm`: the module's bytes if the
        source is text."""
        own = {function.index for function in functions}
        if own <= self.known or not _build():
            return
        present = self.load(tables_later=False)
        if present is not None:
            if own <= self.known:
                return
            functions = functions + [
                present.function(place) for place, func in enumerate(present.funcs) if func not in own
            ]
        data = write_image(functions, VERSION, self._settings, self._features, self._source, wasm)
        if self._cache.write(self._key, data):
            self.known = frozenset(function.index for function in functions)


def wants_compiler() -> bool:
    """Whether the environment asks to see the compiler at work, so that its results must not come from a cache."""
    return any(os.environ.get(name, "") not in ("", "0") for name in _KNOBS)


def read_configuration(path: str) -> CodeCache | None:
    """The cache that a TOML file describes: in its table `cache`, `enabled`, `directory` and `files-total-size-soft-limit`, as
    Wasmtime has them. Other keys concern what is not done here."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            text = file.read()
        table: object = read_plain_table(text)
        if table is None:
            import tomllib  # takes milliseconds, and few files need it

            table = tomllib.loads(text).get("cache", {})
    except (OSError, ValueError) as error:
        raise WasmtimeError(f"failed to read the cache configuration {path}: {error}") from error
    if not isinstance(table, dict) or table.get("enabled", True) is False:
        return None
    directory = table.get("directory", default_directory())
    if not isinstance(directory, str) or not os.path.isabs(directory):
        raise WasmtimeError(f"the cache directory is not an absolute path: {directory}")
    return CodeCache(directory, parse_size(table.get("files-total-size-soft-limit", DEFAULT_LIMIT)))


def read_plain_table(text: str) -> dict[str, object] | None:
    """The table `cache` of a TOML text that has nothing but that, with plain values. None if there is anything that takes more
    to read, or to refuse."""
    table: dict[str, object] = {}
    begun = False
    for line in text.split("\n"):
        line = line.strip(" \t")
        if not line or line[0] == "#" and line.isprintable():
            continue
        name, separator, value = (part.strip(" \t") for part in line.partition("="))
        if not begun and line == "[cache]":
            begun = True
        elif not (begun and separator and name.isascii() and name.replace("-", "").isalnum()) or name in table:
            return None
        elif value in ("true", "false"):
            table[name] = value == "true"
        elif value.isascii() and value.isdecimal() and value[0] != "0":
            table[name] = int(value)
        elif len(value) > 1 and value[0] == value[-1] == '"' and _is_plain(value[1:-1]):
            table[name] = value[1:-1]
        else:
            return None
    return table


def _is_plain(text: str) -> bool:
    return text.isprintable() and '"' not in text and "\\" not in text


_UNITS: Final = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


def parse_size(text: object) -> int:
    """A number of bytes: an int, or text with a unit (K, Ki, M, Mi, G, Gi)."""
    digits = str(text).strip().removesuffix("B")
    unit = digits.lstrip("0123456789")
    number = digits.removesuffix(unit)
    if not number or unit.strip() not in _UNITS:
        raise WasmtimeError(f"not a size: {text}")
    return int(number) * _UNITS[unit.strip()]
