"""The binary form of compiled code: what goes in comes out, and nothing that is wrong comes in."""

from __future__ import annotations

import random
import struct

import pytest

from brolga.ir.errors import CodeFormatError
from brolga.jit.cache_format import (
    DIGEST_SIZE,
    MAGIC,
    CodeImage,
    digest,
    is_image,
    read_image,
    read_version,
    write_image,
)
from brolga.jit.code import RELOC_FUNC, RELOC_TRAP, CompiledFunction, Relocation
from brolga.jit.settings import BOUNDS_EXPLICIT, MEMORY_BASE_REGISTER, Settings
from brolga.jit.transformations import mask_of, names_of

_VERSION = "1.2.3"
_SOURCE = bytes(range(DIGEST_SIZE))
_HEAD_SIZE = 120
_COUNTS_SIZE = 80


def _function(rng: random.Random, index: int, count: int) -> CompiledFunction:
    size = rng.choice((4, 31, 32, 33, 200))
    function = CompiledFunction(index, rng.randbytes(size), size - rng.choice((0, 4)))
    for _ in range(rng.randrange(4)):
        kind = rng.choice((RELOC_FUNC, RELOC_TRAP))
        function.relocations.append(Relocation(rng.randrange(size - 3), kind, rng.randrange(count), -4))
    tables: list[list[int]] = []
    for low in (0, -1, 8):
        count = rng.randrange(5)
        tables.append([rng.randrange(size) for _ in range(count)])
        tables.append([rng.randrange(low, 1 << 20) for _ in range(count)])
    function.trap_offsets, function.trap_codes = tables[0:2]
    function.source_offsets, function.source_locs = tables[2:4]
    function.frame_offsets, function.frame_sizes = tables[4:6]
    count = rng.randrange(3)
    function.inline_offsets = [rng.randrange(size) for _ in range(count)]
    function.inline_calls = [rng.randrange(-1, 1 << 20) for _ in range(count)]
    function.inline_funcs = [rng.randrange(-1, 1 << 20) for _ in range(count)]
    return function


def _tables(function: CompiledFunction) -> list[object]:
    relocations = [(r.offset, r.kind, r.target, r.addend) for r in function.relocations]
    return [
        function.index,
        len(function.code),
        function.code_size,
        relocations,
        list(function.trap_offsets),
        list(function.trap_codes),
        list(function.source_offsets),
        list(function.source_locs),
        list(function.inline_offsets),
        list(function.inline_calls),
        list(function.inline_funcs),
        list(function.frame_offsets),
        list(function.frame_sizes),
    ]


def _write(functions: list[CompiledFunction], wasm: bytes = b"") -> bytes:
    return write_image(functions, _VERSION, "settings é", "avx,fma", _SOURCE, wasm)


def _small() -> bytes:
    rng = random.Random(1)
    return _write([_function(rng, index, 6) for index in (2, 3, 5)], b"\0asm" + bytes(9))


def _forged(data: bytes, offset: int, new: bytes) -> bytes:
    """The image with some bytes of its body or, behind that, its tables replaced and the digests made right."""
    (length,) = struct.unpack_from("<Q", data, 40)
    rest = bytearray(data[_HEAD_SIZE:])
    rest[offset : offset + len(new)] = new
    body, tables = bytes(rest[:length]), bytes(rest[length:])
    return data[:48] + digest(body) + data[80:88] + digest(tables) + body + tables


def test_what_goes_in_comes_out() -> None:
    for seed in range(50):
        rng = random.Random(seed)
        chosen = rng.sample(range(3, 40), rng.randrange(20))
        functions = [_function(rng, index, 40) for index in chosen]
        wasm = rng.randbytes(rng.randrange(30))
        image = read_image(_write(functions, wasm), _VERSION)
        assert (image.version, image.settings, image.features) == (_VERSION, "settings é", "avx,fma")
        assert (image.source, image.wasm, image.funcs) == (_SOURCE, wasm, sorted(chosen))
        for function in functions:
            place = image.funcs.index(function.index)
            assert _tables(image.function(place)) == _tables(function)
        again = [image.function(place) for place in range(len(image.funcs))]
        assert _write(again, wasm) == _write(functions, wasm)


def _call(index: int, target: int, size: int = 40) -> CompiledFunction:
    function = CompiledFunction(index, bytes(size), size)
    function.relocations.append(Relocation(7, RELOC_FUNC, target))
    return function


def test_calls_among_the_functions_are_settled() -> None:
    image = read_image(_write([_call(7, 9), _call(9, 8, 70), _call(8, 8), _call(10, 30)]), _VERSION)
    assert image.starts == [0, 64, 128, 256]
    for start, callee in ((0, 128), (64, 64), (128, 64)):
        assert start + 7 + 4 + struct.unpack_from("<i", image.code, start + 7)[0] == callee
    assert image.open == [256 + 7, RELOC_FUNC, 30, -4]


def test_trap_calls_stay_open() -> None:
    function = CompiledFunction(0, bytes(8), 8)
    function.relocations.append(Relocation(1, RELOC_TRAP, 0))
    assert read_image(_write([function]), _VERSION).open == [1, RELOC_TRAP, 0, -4]


def test_every_damaged_byte_is_noticed() -> None:
    data = _small()
    for place in range(len(data)):
        for bit in (1, 128):
            damaged = bytearray(data)
            damaged[place] ^= bit
            with pytest.raises(CodeFormatError):
                read_image(bytes(damaged), _VERSION)


def test_every_truncation_is_noticed() -> None:
    data = _small()
    for length in range(len(data)):
        with pytest.raises(CodeFormatError):
            read_image(data[:length], _VERSION)
    with pytest.raises(CodeFormatError, match="bytes behind its end"):
        read_image(data + b"\0", _VERSION)


def test_the_reason_is_named() -> None:
    data = _small()
    with pytest.raises(CodeFormatError, match="does not begin like it"):
        read_image(b"\0asm\1\0\0\0" + data[8:], _VERSION)
    with pytest.raises(CodeFormatError, match="truncated"):
        read_image(data[:-1], _VERSION)
    with pytest.raises(CodeFormatError, match=r"compiled by Brolga 1\.2\.3, this is Brolga 1\.2\.4"):
        read_image(data, "1.2.4")
    with pytest.raises(CodeFormatError, match="its format is 77"):
        read_image(data[:32] + struct.pack("<I", 77) + data[36:], _VERSION)
    with pytest.raises(CodeFormatError, match="integrity"):
        read_image(data[:-1] + b"!", _VERSION)
    assert is_image(data) and is_image(MAGIC) and not is_image(b"\0asm") and not is_image(MAGIC[:-1])
    assert read_version(data) == _VERSION


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [
        (0, struct.pack("<Q", 4), "counts do not fit"),
        (0, struct.pack("<Q", (1 << 64) - 1), "counts do not fit"),
        (8, struct.pack("<Q", 5), "counts do not fit"),
        (16, struct.pack("<Q", 5), "counts do not fit"),
        (_COUNTS_SIZE, struct.pack("<I", 3), "not in order"),
        (_COUNTS_SIZE + 12 + 4, struct.pack("<I", 0), "code of function 3 is out of place"),
        (_COUNTS_SIZE + 12 + 8, struct.pack("<I", 1 << 30), "code of function 5 is out of place"),
        (_COUNTS_SIZE + 24, struct.pack("<I", 1 << 30), "code of function 3 is out of place"),
        (_COUNTS_SIZE + 36, struct.pack("<I", 1 << 30), "code of function 2 is out of place"),
        (_COUNTS_SIZE + 48 + 4, struct.pack("<I", 1 << 30), "tables are out of place"),
        (_COUNTS_SIZE + 48 + 12, struct.pack("<I", 1 << 30), "tables are out of place"),
        (_COUNTS_SIZE + 64, struct.pack("<i", -1), "relocation is out of place"),
        (_COUNTS_SIZE + 64, struct.pack("<i", 1 << 30), "relocation is out of place"),
    ],
)
def test_forged_numbers_are_refused(offset: int, value: bytes, reason: str) -> None:
    with pytest.raises(CodeFormatError, match=reason):
        read_image(_forged(_small(), offset, value), _VERSION)


def test_forged_tables_are_refused_when_they_are_read() -> None:
    data = _small()
    image = read_image(data, _VERSION)
    place = data.index(bytes(image._tables), _HEAD_SIZE) - _HEAD_SIZE
    for value in (-1, 1 << 29):
        forged = read_image(_forged(data, place, struct.pack("<i", value)), _VERSION)
        with pytest.raises(CodeFormatError, match="wrong lengths"):
            forged.function(0)
        assert isinstance(forged, CodeImage) and forged.function(1).index == 3


def test_damaged_tables_may_be_noticed_later() -> None:
    data = _small()
    tables = len(read_image(data, _VERSION)._tables)
    for place in (len(data) - tables, len(data) - 1, 80, _HEAD_SIZE - 1):  # tables, their length, their digest
        damaged = bytearray(data)
        damaged[place] ^= 1
        with pytest.raises(CodeFormatError):
            read_image(bytes(damaged), _VERSION).function(0)
    for place in (len(data) - tables, len(data) - 1, _HEAD_SIZE - 1):
        damaged = bytearray(data)
        damaged[place] ^= 1
        image = read_image(bytes(damaged), _VERSION, tables_later=True)
        assert bytes(image.code) == bytes(read_image(data, _VERSION).code)
        for _ in range(2):
            with pytest.raises(CodeFormatError, match="check of the tables fails"):
                image.function(0)
    image = read_image(data, _VERSION, tables_later=True)
    assert _tables(image.function(0)) == _tables(read_image(data, _VERSION).function(0))
    for place in range(_HEAD_SIZE, len(data) - tables):
        damaged = bytearray(data)
        damaged[place] ^= 128
        with pytest.raises(CodeFormatError):
            read_image(bytes(damaged), _VERSION, tables_later=True)


def test_settings_that_differ_read_differently() -> None:
    base = Settings()
    variants = {
        "memory_base": MEMORY_BASE_REGISTER,
        "bounds": BOUNDS_EXPLICIT,
        "signals": False,
        "stack_guard": False,
        "poll": True,
        "opt_level": 1,
        "fuel": True,
        "stack_limit": True,
        "off": mask_of(["gvn"]),
        "check_facts": True,
    }
    names = {name for name in dir(base) if not name.startswith(("_", "describe")) and name not in ("parse", "beside_guard")}
    assert names == {*variants, "features"}, "a new setting has to be part of `describe`"
    texts = {base.describe()} | {Settings(**{name: value}).describe() for name, value in variants.items()}  # type: ignore[arg-type]
    assert len(texts) == 1 + len(variants)
    parsed = Settings.parse(Settings(off=mask_of(["gvn", "lea"])).describe(), "")
    assert names_of(parsed.off) == ["gvn", "lea"]
    assert Settings(features=frozenset(("fma", "avx"))).describe_features() == "avx,fma"
    assert Settings(features=frozenset(("avx",))).describe() == base.describe()
