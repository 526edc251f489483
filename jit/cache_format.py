"""The binary form of compiled code: what `Module.serialize`, `brolga compile` and the cache on disk write.

    head          magic (8), version of Brolga (24, ASCII, zero-padded), format (u32), reserved (u32), bytes from here to the tables
                  (u64), their BLAKE2b-256 digest (32), bytes of tables (u64), their digest (32)
    counts        functions, bytes of code, words of open relocations, bytes of the settings' text, of the features' text, of
                  wasm (6 x u64), BLAKE2b-256 digest of the source (32)
    functions     function index, place in the code, size, size without constants, place of the tables: five arrays of u32
    open          place in the code, kind, target, addend of each relocation that is not settled: i32
    code          the functions' code, each aligned to 64 bytes
    texts         settings and features as text, padded to 8 bytes
    wasm          the module's bytes; none where whoever reads has them
    tables        for each function the lengths of its tables, then these: i32

All numbers are little-endian. Calls among the functions are settled in the code already, for they do not depend on where it
will lie; what is open are calls to functions that are not there and to the trap routine. So loading is one copy and a
patch for each pad. The side tables, more than half of an image, are read function by function when they are asked for, and may be
checked then only: most programs that find their code in the cache never need them.

Reading is strict: whatever is wrong raises CodeFormatError, which says what it is. That guards against damage. It does not
make the bytes of a stranger safe to run: they are machine code, and the digest is no signature.
"""

from __future__ import annotations

import struct
from array import array
from typing import Final, final

from brolga.ir.errors import CodeFormatError

from .code import RELOC_FUNC, CompiledFunction, Relocation

try:  # of hashlib the part that is needed; the whole loads OpenSSL
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

MAGIC: Final = b"\x89bwasm\r\n"
FORMAT: Final = 5
DIGEST_SIZE: Final = 32

_HEAD: Final = struct.Struct("<8s24sIIQ32sQ32s")
_COUNTS: Final = struct.Struct("<6Q32s")
_REL32: Final = struct.Struct("<i")
_LENGTHS: Final = struct.Struct("<5i")
_ALIGN: Final = 64
_OPEN_WORDS: Final = 4  # of an open relocation
_RELOCATION_WORDS: Final = 4
_INT3: Final = b"\xcc"


def digest(data: bytes | bytearray | memoryview) -> bytes:
    """The digest that the format uses."""
    return blake2b(data, digest_size=DIGEST_SIZE).digest()


@final
class CodeImage:
    """Compiled functions of one module, linked with each other.

    version, settings, features   of the compiler that made them (`Settings.describe`, `Settings.describe_features`)
    source          digest of the module's source
    wasm            the module's bytes, empty if they are not there
    code            the code of all functions, in the bytes that were read
    funcs           function indices, ascending
    starts, sizes   place of each in `code`
    open            four numbers for each relocation not settled: place in `code`, kind, target, addend
    """

    __slots__ = (
        "version",
        "settings",
        "features",
        "source",
        "wasm",
        "code",
        "funcs",
        "starts",
        "sizes",
        "open",
        "_code_sizes",
        "_table_starts",
        "_tables",
        "_tables_digest",
        "_tables_checked",
    )

    def __init__(self, version: str) -> None:
        self.version = version
        self.settings = ""
        self.features = ""
        self.source = b""
        self.wasm = b""
        self.code = memoryview(b"")
        self.funcs: list[int] = []
        self.starts: list[int] = []
        self.sizes: list[int] = []
        self.open: list[int] = []
        self._code_sizes: list[int] = []
        self._table_starts: list[int] = []
        self._tables = memoryview(b"")
        self._tables_digest = b""
        self._tables_checked = False

    def check_tables(self) -> None:
        """Raise CodeFormatError if the tables are damaged."""
        if not self._tables_checked:
            if digest(self._tables) != self._tables_digest:
                raise _wrong("the integrity check of the tables fails")
            self._tables_checked = True

    def function(self, place: int) -> CompiledFunction:
        """Function `funcs[place]` with its tables. Its relocations are all there, the settled ones too. Raises CodeFormatError
        if the tables are damaged."""
        self.check_tables()
        start = self.starts[place]
        function = CompiledFunction(
            self.funcs[place], bytes(self.code[start : start + self.sizes[place]]), self._code_sizes[place]
        )
        begin, end = self._table_starts[place], self._table_starts[place + 1]
        if end - begin < _LENGTHS.size:
            raise _wrong(f"the tables of function {function.index} are missing")
        lengths: tuple[int, int, int, int, int] = _LENGTHS.unpack_from(self._tables, begin)
        relocations, traps, sources, inlines, frames = lengths
        total = _LENGTHS.size + 4 * (_RELOCATION_WORDS * relocations + 2 * (traps + sources + frames) + 3 * inlines)
        if min(lengths) < 0 or begin + total != end:
            raise _wrong(f"the tables of function {function.index} have wrong lengths")
        words = _words(self._tables[begin + _LENGTHS.size : end])
        position = _RELOCATION_WORDS * relocations
        for i in range(0, position, _RELOCATION_WORDS):
            function.relocations.append(Relocation(words[i], words[i + 1], words[i + 2], words[i + 3]))
        function.trap_offsets = words[position : position + traps]
        position += traps
        function.trap_codes = words[position : position + traps]
        position += traps
        function.source_offsets = words[position : position + sources]
        position += sources
        function.source_locs = words[position : position + sources]
        position += sources
        function.inline_offsets = words[position : position + inlines]
        position += inlines
        function.inline_calls = words[position : position + inlines]
        position += inlines
        function.inline_funcs = words[position : position + inlines]
        position += inlines
        function.frame_offsets = words[position : position + frames]
        position += frames
        function.frame_sizes = words[position : position + frames]
        return function


def _words(data: memoryview) -> array[int]:
    words = array("i")
    words.frombytes(data)
    return words


def _wrong(reason: str) -> CodeFormatError:
    return CodeFormatError(f"not usable as compiled code: {reason}")


def write_image(
    functions: list[CompiledFunction], version: str, settings: str, features: str, source: bytes, wasm: bytes = b""
) -> bytes:
    """The binary form of these functions of one module.

    `source` is the digest of the source that they were compiled from, `wasm` the module's bytes if they shall travel along.
    """
    functions = sorted(functions, key=_index_of)
    place = 0
    starts: dict[int, int] = {}
    for function in functions:
        starts[function.index] = place
        place += -(-len(function.code) // _ALIGN) * _ALIGN
    code = bytearray(_INT3 * place)
    tables = bytearray()
    table_starts: list[int] = []
    still_open: list[int] = []
    for function in functions:
        start = starts[function.index]
        code[start : start + len(function.code)] = function.code
        words: list[int] = []
        for relocation in function.relocations:
            offset, kind, target, addend = relocation.offset, relocation.kind, relocation.target, relocation.addend
            words += (offset, kind, target, addend)
            callee = starts.get(target, -1) if kind == RELOC_FUNC else -1
            if callee >= 0:
                _REL32.pack_into(code, start + offset, callee + addend - (start + offset))
            else:
                still_open += (start + offset, kind, target, addend)
        table_starts.append(len(tables))
        tables += _LENGTHS.pack(
            len(function.relocations),
            len(function.trap_offsets),
            len(function.source_offsets),
            len(function.inline_offsets),
            len(function.frame_offsets),
        )
        words += function.trap_offsets
        words += function.trap_codes
        words += function.source_offsets
        words += function.source_locs
        words += function.inline_offsets
        words += function.inline_calls
        words += function.inline_funcs
        words += function.frame_offsets
        words += function.frame_sizes
        tables += array("i", words).tobytes()
    table_starts.append(len(tables))

    settings_text, features_text = settings.encode(), features.encode()
    texts = settings_text + features_text
    body = b"".join(
        [
            _COUNTS.pack(
                len(functions),
                len(code),
                len(still_open),
                len(settings_text),
                len(features_text),
                len(wasm),
                source,
            ),
            array("I", [function.index for function in functions]).tobytes(),
            array("I", [starts[function.index] for function in functions]).tobytes(),
            array("I", [len(function.code) for function in functions]).tobytes(),
            array("I", [function.code_size for function in functions]).tobytes(),
            array("I", table_starts).tobytes(),
            array("i", still_open).tobytes(),
            code,
            texts + bytes(-len(texts) % 8),
            wasm,
        ]
    )
    head = _HEAD.pack(MAGIC, version.encode(), FORMAT, 0, len(body), digest(body), len(tables), digest(tables))
    return b"".join([head, body, tables])


def _index_of(function: CompiledFunction) -> int:
    return function.index


def is_image(data: bytes) -> bool:
    """Whether these bytes claim to be compiled code: all that begins like it."""
    return data[: len(MAGIC)] == MAGIC


def read_version(data: bytes) -> str:
    """The version of Brolga that wrote the image, which may be one whose format is unknown here."""
    if not is_image(data):
        raise _wrong("it does not begin like it")
    if len(data) < _HEAD.size:
        raise _wrong("it is truncated")
    name = data[len(MAGIC) : len(MAGIC) + 24].rstrip(b"\0")
    if not name.isascii():
        raise _wrong("the version is no text")
    return name.decode("ascii")


def read_image(data: bytes, version: str, tables_later: bool = False) -> CodeImage:
    """The image in `data`, which must be of this version of Brolga. Whether settings and CPU fit is for the caller to see.

    With `tables_later` whether the tables are damaged is seen when they are wanted: `CodeImage.function` may raise then.
    """
    found = read_version(data)
    if found != version:
        raise _wrong(f"it was compiled by Brolga {found}, this is Brolga {version}")
    head: tuple[bytes, bytes, int, int, int, bytes, int, bytes] = _HEAD.unpack_from(data)
    _, _, format, reserved, length, expected, tables_length, tables_digest = head
    if format != FORMAT or reserved:
        raise _wrong(f"its format is {format}, and not {FORMAT}")
    end = _HEAD.size + length + tables_length
    if len(data) != end:
        raise _wrong("it is truncated" if len(data) < end else "there are bytes behind its end")
    view = memoryview(data)[_HEAD.size : _HEAD.size + length]
    if digest(view) != expected:
        raise _wrong("the integrity check fails")
    if length < _COUNTS.size:
        raise _wrong("the counts are missing")

    counts: tuple[int, int, int, int, int, int, bytes] = _COUNTS.unpack_from(view)
    count, code_length, open_words, settings_length, features_length, wasm_length, source = counts
    texts_length = -(-(settings_length + features_length) // 8) * 8
    total = _COUNTS.size + 4 * (5 * count + 1) + 4 * open_words + code_length + texts_length + wasm_length
    if total != length or open_words % _OPEN_WORDS:
        raise _wrong("the counts do not fit its length")

    image = CodeImage(found)
    image.source = source
    position = _COUNTS.size
    arrays: list[list[int]] = []
    for size in (count, count, count, count, count + 1):
        numbers = array("I")
        numbers.frombytes(view[position : position + 4 * size])
        arrays.append(numbers.tolist())
        position += 4 * size
    image.funcs, image.starts, image.sizes, image._code_sizes, image._table_starts = arrays
    image.open = _words(view[position : position + 4 * open_words]).tolist()
    position += 4 * open_words
    image.code = view[position : position + code_length]
    position += code_length
    settings, features = position, position + settings_length
    try:
        image.settings = bytes(view[settings:features]).decode()
        image.features = bytes(view[features : features + features_length]).decode()
    except UnicodeDecodeError as error:
        raise _wrong("the settings are no text") from error
    position += texts_length
    image.wasm = bytes(view[position:])
    image._tables = memoryview(data)[_HEAD.size + length :]
    image._tables_digest = tables_digest
    if not tables_later:
        image.check_tables()
    _check(image)
    return image


def _check(image: CodeImage) -> None:
    """Everything is where it may be."""
    end, last = 0, -1
    for func, start, size, code_size in zip(image.funcs, image.starts, image.sizes, image._code_sizes, strict=True):
        if func <= last:
            raise _wrong("the functions are not in order")
        if start < end or start % _ALIGN or code_size > size:
            raise _wrong(f"the code of function {func} is out of place")
        end, last = start + size, func
    if end > len(image.code):
        raise _wrong(f"the code of function {last} is out of place")
    before = 0
    for start in image._table_starts:
        if start < before or start % 4:
            raise _wrong("the tables are out of place")
        before = start
    if before != len(image._tables):
        raise _wrong("the tables are out of place")
    limit = len(image.code) - _REL32.size
    for i in range(0, len(image.open), _OPEN_WORDS):
        if not 0 <= image.open[i] <= limit:
            raise _wrong("a relocation is out of place")
