"""The cache of compiled code: what is found there is not compiled, and whatever is wrong with it is a miss."""

from __future__ import annotations

import os
import random
import stat
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from brolga import Config, Engine, Instance, Module, Store, Trap, WasmtimeError, wat2wasm
from brolga.jit import code
from brolga.jit.cache_format import MAGIC, digest
from brolga.runtime import build
from brolga.runtime import cache as cache_module
from brolga.runtime import module as module_module
from brolga.runtime.cache import (
    CodeCache,
    default_directory,
    key_of,
    parse_size,
    read_configuration,
    read_plain_table,
)

_TEXT = """(module
    (func $add (param i32 i32) (result i32) (loop) (i32.add (local.get 0) (local.get 1)))
    (func (export "one") (result i32) (call $add (i32.const 0) (i32.const 1)))
    (func (export "two") (result i32) (call $add (i32.const 1) (i32.const 1)))
    (func (export "trap") (drop (i32.div_s (i32.const 1) (call $add (i32.const 0) (i32.const 0))))))"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory that the cache will be in."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for knob in ("BROLGA_DUMP", "BROLGA_TIME", "BROLGA_VERIFY"):
        monkeypatch.delenv(knob, raising=False)
    return tmp_path / "brolga"


def _engine(platform: str = "linux", eager: bool = False) -> Engine:
    config = Config()
    config.platform = platform
    config.cache = True
    config.eager = eager
    return Engine(config)


def _call(engine: Engine, name: str, source: str | bytes = _TEXT) -> object:
    module = Module(engine, source)
    store = Store(engine)
    return Instance(store, module, []).exports(store)[name](store)  # type: ignore[operator]


def _entries(home: Path) -> list[Path]:
    return sorted(home.glob("*.code"))


@pytest.mark.parametrize("platform", ["linux", "minimal"])
@pytest.mark.parametrize("source", [_TEXT, bytes(wat2wasm(_TEXT))])
def test_functions_are_compiled_once(home: Path, compiled: list[int], platform: str, source: str | bytes) -> None:
    engine = _engine(platform)
    assert _call(engine, "one", source) == 1
    assert sorted(compiled) == [0, 1]
    assert _call(engine, "one", source) == 1
    assert sorted(compiled) == [0, 1]
    assert _call(engine, "two", source) == 2
    assert sorted(compiled) == [0, 1, 2]
    assert _call(engine, "one", source) == 1 and _call(engine, "two", source) == 2
    assert sorted(compiled) == [0, 1, 2]
    with pytest.raises(Exception, match="divide by zero"):
        _call(engine, "trap", source)
    compiled.clear()
    with pytest.raises(Exception, match=r"wasm function 3>(.|\n)*divide by zero"):
        _call(engine, "trap", source)
    assert compiled == []
    assert len(_entries(home)) == 1


def test_nothing_is_written_without_being_asked(home: Path, compiled: list[int]) -> None:
    assert _call(Engine(), "one") == 1
    assert not home.exists()


def test_text_is_assembled_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _call(_engine(), "one")

    def refuse(wasm: object) -> bytes:
        raise AssertionError("assembled again")

    monkeypatch.setattr(module_module, "to_binary", refuse)
    assert _call(_engine(), "one") == 1


def test_eager_modules_come_whole(home: Path, compiled: list[int]) -> None:
    _call(_engine(), "one")
    compiled.clear()
    _call(_engine(eager=True), "one")
    assert compiled == [2, 3]
    _call(_engine(eager=True), "one")
    assert compiled == [2, 3]


def test_code_depends_on_what_it_was_compiled_with(home: Path, compiled: list[int]) -> None:
    _call(_engine(), "one")
    _call(_engine("minimal"), "one")
    assert sorted(compiled) == [0, 0, 1, 1]
    assert len(_entries(home)) == 2


def test_keys(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Engine().settings
    key = key_of(digest(b"a"), settings)
    assert key == key_of(digest(b"a"), settings)
    others = {key_of(digest(b"b"), settings)}
    for name, value in (("VERSION", "0.0.0"), ("_build", lambda: "another"), ("FORMAT", 0)):
        with monkeypatch.context() as patch:
            patch.setattr(cache_module, name, value)
            others.add(key_of(digest(b"a"), settings))
    with monkeypatch.context() as patch:
        patch.setenv("BROLGA_OPT", "0")
        others.add(key_of(digest(b"a"), settings))
    features = settings.features
    settings.features = frozenset(("avx512",))
    others.add(key_of(digest(b"a"), settings))
    settings.features = features
    assert len({key, *others}) == 7


def test_builds_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By each file of the compiler; an installed one that is compiled by the list of its files, which is quicker."""
    package = tmp_path / "brolga"
    files = [package / "ir" / "rules" / "fold.py", package / "jit" / "code.py", package / "regalloc" / "spill.py"]
    for file in files:
        file.parent.mkdir(parents=True)
        file.write_text("a = 1\n")
    monkeypatch.setattr(code, "__file__", str(files[1]))

    def marks() -> str:
        return build.marks_of("ir", "jit", "regalloc")

    def builds(change: Path) -> bool:
        """Whether the build is another after a change that leaves the size as it is."""
        before = marks()
        assert before == marks()
        os.utime(change, ns=(1, change.stat().st_mtime_ns + 1))
        return marks() != before

    for compiled in (False, True):
        monkeypatch.setattr(build, "COMPILED", compiled)
        assert all(builds(file) for file in files)
    record = tmp_path / f"brolga-{build.VERSION}.dist-info" / "RECORD"
    record.parent.mkdir()
    record.write_text("brolga/ir/rules/fold.py,sha256=A,6\n")
    assert builds(files[1]) and not builds(files[0])
    for compiled in (False, True):  # another build whose files have the same sizes and times, as in unpacked wheels
        monkeypatch.setattr(build, "COMPILED", compiled)
        before, times = marks(), record.stat()
        record.write_text(record.read_text().translate(str.maketrans("AB", "BA")))
        os.utime(record, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert marks() != before


def test_nothing_is_kept_if_nothing_tells_the_build(
    home: Path, compiled: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an archive: the entry might be that of another compiler of the same version."""
    with monkeypatch.context() as patch:
        patch.setattr(cache_module, "_build", str)
        _call(_engine(), "one")
        _call(_engine(), "one")
    assert sorted(compiled) == [0, 0, 1, 1]
    assert not home.exists() or not _entries(home)


def test_the_compiler_runs_when_it_is_watched(home: Path, compiled: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    _call(_engine(), "one")
    monkeypatch.setenv("BROLGA_VERIFY", "0")
    _call(_engine(), "one")
    assert sorted(compiled) == [0, 1]
    monkeypatch.setenv("BROLGA_VERIFY", "1")
    _call(_engine(), "one")
    assert sorted(compiled) == [0, 0, 1, 1]


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _replace_by_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _replace_by_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def _replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _open_to_others(path: Path) -> None:
    path.chmod(0o666)


def _open_directory(path: Path) -> None:
    path.parent.chmod(0o777)


def _of_another_module(path: Path) -> None:
    """Complete and right, under a wrong name."""
    before = set(path.parent.iterdir())
    _call(_engine(), "f", '(module (func (export "f") (result i32) (i32.const 9)) (func) (func) (func))')
    (other,) = set(path.parent.iterdir()) - before
    other.replace(path)


@pytest.mark.parametrize(
    "damage",
    [
        _truncate,
        _flip,
        _empty,
        _replace_by_directory,
        _replace_by_link,
        _replace_by_pipe,
        _open_to_others,
        _open_directory,
        _of_another_module,
    ],
)
def test_a_bad_entry_is_a_miss(home: Path, compiled: list[int], damage: Callable[[Path], None]) -> None:
    _call(_engine(), "one")
    (entry,) = _entries(home)
    damage(entry)
    compiled.clear()
    assert _call(_engine(), "one") == 1
    assert sorted(compiled) == [0, 1]


def test_a_damaged_entry_is_replaced(home: Path, compiled: list[int]) -> None:
    _call(_engine(), "one")
    _flip(_entries(home)[0])
    _call(_engine(), "one")
    compiled.clear()
    _call(_engine(), "one")
    assert compiled == []


_TRAP: Final = '(module (func $f (export "f") (call $g)) (func $g (loop) unreachable) (func (export "h") (call $g)))'


def test_damaged_tables_are_made_again(home: Path, compiled: list[int]) -> None:
    """They are looked at when something is to be told about the code, which is whole."""
    for _ in range(2):
        with pytest.raises(Trap) as caught:
            _call(_engine(), "f", _TRAP)
        backtrace = str(caught.value)
    assert sorted(compiled) == [0, 1]
    (entry,) = _entries(home)
    data = bytearray(entry.read_bytes())
    data[-3] ^= 1
    entry.write_bytes(data)
    compiled.clear()
    with pytest.raises(Trap) as caught:
        _call(_engine(), "f", _TRAP)
    assert str(caught.value) == backtrace and sorted(compiled) == [0, 1]
    # Where functions are added, what is damaged goes.
    with pytest.raises(Trap):
        _call(_engine(), "h", _TRAP)
    compiled.clear()
    with pytest.raises(Trap):
        _call(_engine(), "h", _TRAP)
    with pytest.raises(Trap) as caught:
        _call(_engine(), "f", _TRAP)
    assert str(caught.value) == backtrace


def test_directory_and_entries_are_private(home: Path) -> None:
    before = os.umask(0)
    try:
        _call(_engine(), "one")
    finally:
        os.umask(before)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in home.iterdir()] == [0o600]


def test_no_place_for_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    for place in (str(blocked), "/proc/nowhere", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", place)
        monkeypatch.setenv("HOME", str(blocked))
        assert _call(_engine(), "one") == 1
    assert blocked.read_text() == ""


def test_a_full_disk_leaves_nothing_behind(home: Path) -> None:
    script = f"""
        import resource, signal
        from brolga import *
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        config = Config()
        config.cache = True
        engine = Engine(config)
        module = Module(engine, {bytes(wat2wasm(_TEXT))!r})
        store = Store(engine)
        print(Instance(store, module, []).exports(store)["one"](store))
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("1\n", "", 0)
    assert home.is_dir() and list(home.iterdir()) == []


def test_code_is_kept_at_the_end_of_the_process(home: Path, compiled: list[int]) -> None:
    script = f"""
        from brolga import *
        config = Config()
        config.cache = True
        engine = Engine(config)
        module = Module(engine, {_TEXT!r})
        store = Store(engine)
        Instance(store, module, []).exports(store)["two"](store)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=100)
    assert _call(_engine(), "two") == 2
    assert compiled == []


def test_writers_add_to_what_others_wrote(home: Path, compiled: list[int]) -> None:
    engine = _engine()
    modules = [Module(engine, _TEXT) for _ in range(2)]
    for module, name in zip(modules, ("one", "two"), strict=True):
        store = Store(engine)
        Instance(store, module, []).exports(store)[name](store)  # type: ignore[operator]
    del module, store
    while modules:
        modules.pop()
    compiled.clear()
    assert _call(engine, "one") == 1 and _call(engine, "two") == 2
    assert compiled == []


def test_readers_and_writers_at_once(tmp_path: Path) -> None:
    cache = CodeCache(str(tmp_path / "c"))
    values = [bytes([i]) * 100_000 for i in range(8)]
    key = _key("key")
    cache.write(key, values[0])

    def work(value: bytes) -> bool:
        good = True
        for _ in range(30):
            good &= cache.write(key, value) and cache.read(key) in values
        return good

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, values))
    assert [Path(entry.path).name for entry in cache.entries()] == [f"{key}.code"]
    assert len(os.listdir(cache.directory)) == 1


def _key(word: str) -> str:
    """As those that the cache gives."""
    return word.encode().hex().rjust(32, "0")


def test_the_size_is_bounded_and_the_oldest_go(tmp_path: Path) -> None:
    cache = CodeCache(str(tmp_path / "c"), limit=1000)
    words = {_key(word): word for word in ("new", "large", *(f"k{i}" for i in range(10)))}
    data = MAGIC + bytes(100 - len(MAGIC))

    def left() -> list[str]:
        return [words[Path(entry.path).stem] for entry in cache.entries()]

    for i in range(10):
        assert cache.write(_key(f"k{i}"), data)
        os.utime(tmp_path / "c" / f"{_key(f'k{i}')}.code", (i, i))
    assert len(left()) == 10
    assert cache.read(_key("k0")) == data  # is now the one used last
    assert cache.write(_key("new"), data)
    assert left() in ([*pair, "k9", "k8", "k7", "k6", "k5"] for pair in (("new", "k0"), ("k0", "new")))
    assert not cache.write(_key("large"), bytes(1001))
    assert cache.prune(300) == 5
    assert set(left()) == {"new", "k0"}
    assert cache.clear() == 2 and cache.entries() == []


def test_only_what_the_cache_made_is_removed(tmp_path: Path) -> None:
    """Abandoned files go, and entries; neither names that are like theirs, nor other contents under such names."""
    directory = tmp_path / "c"
    cache = CodeCache(str(directory))
    cache.write(_key("a"), MAGIC + b"a")
    old, fresh = "writing-1-0123456789abcdef", "writing-2-0123456789abcdef"
    entry_named = [f"{_key(word)}.code" for word in ("other", "directory", "link", "pipe", "empty")]
    foreign = [
        "thesis.txt",
        "morse.code",
        "writing-thesis.txt",
        "writing-1-x",
        f"{old}.txt",
        f"x{_key('a')}.code",
        *entry_named,
    ]
    for name in (old, fresh, *foreign[:6], entry_named[0]):
        (directory / name).write_text("years")
    (directory / entry_named[1]).mkdir()
    (directory / entry_named[2]).symlink_to(tmp_path / "target")
    (tmp_path / "target").write_bytes(MAGIC)
    os.mkfifo(directory / entry_named[3])
    (directory / entry_named[4]).touch()
    for name in (old, *foreign[:6]):
        os.utime(directory / name, (0, 0))
    assert cache.prune(1 << 20) == 0
    assert set(os.listdir(directory)) == {f"{_key('a')}.code", fresh, *foreign}
    cache.remove(_key("other"))
    assert cache.prune(0) == 1
    assert set(os.listdir(directory)) == {fresh, *foreign}
    cache.write(_key("a"), MAGIC + b"a")
    assert cache.clear() == 1
    assert set(os.listdir(directory)) == set(foreign)
    assert (tmp_path / "target").read_bytes() == MAGIC


def test_configuration_files(tmp_path: Path, compiled: list[int]) -> None:
    path = tmp_path / "cache.toml"
    path.write_text(
        f'[cache]\ndirectory = "{tmp_path}/own"\nfiles-total-size-soft-limit = "2Mi"\nworker-event-queue-size = "8"'
    )
    cache = read_configuration(str(path))
    assert cache is not None and (cache.directory, cache.limit) == (f"{tmp_path}/own", 2 << 20)
    config = Config()
    config.cache = str(path)
    engine = Engine(config)
    assert _call(engine, "one") == 1
    assert len(list((tmp_path / "own").iterdir())) == 1
    path.write_text("[cache]\nenabled = false")
    assert read_configuration(str(path)) is None
    path.write_text("")
    cache = read_configuration(str(path))
    assert cache is not None and cache.directory == default_directory()
    for wrong in ('[cache]\ndirectory = "relative"', "[cache", '[cache]\nfiles-total-size-soft-limit = "many"'):
        path.write_text(wrong)
        with pytest.raises(WasmtimeError):
            config = Config()
            config.cache = str(path)
    with pytest.raises(WasmtimeError, match="failed to read"):
        read_configuration(str(tmp_path / "missing"))


PLAIN_LINES: Final = (
    "[cache]",
    "",
    "  # a comment, é",
    "enabled = true",
    "\tenabled=false ",
    'directory = "/a b/é=#"',
    'files-total-size-soft-limit = "1Gi"',
    "1-2 = 17",
    "files-total-size-soft-limit = 1000000",
)
OTHER_LINES: Final = (
    "[cache] # comment",
    "[other]",
    "[[cache]]",
    "# control \x01",
    "enabled = true # comment",
    "enabled = True",
    "enabled = ",
    "= true",
    "enabled",
    "enabled = true\r",
    'directory = "a\\\\b"',
    'directory = "a\tb"',
    'directory = "a" "b"',
    'directory = "a',
    'directory = """"',
    'directory = ""',
    "directory = 'a'",
    "a.b = 1",
    '"a" = 1',
    "é = 1",
    "number = 007",
    "number = 0",
    "number = 1_000",
    "number = -1",
    "number = 1.5",
    "number = ٣",
    "list = [1]",
    "a b = 1",
    "\x0benabled = true",
)


def test_plain_configurations_mean_what_they_mean_in_toml() -> None:
    read = 0
    rng = random.Random(1)
    for _ in range(3000):
        lines = rng.sample(PLAIN_LINES, rng.randrange(len(PLAIN_LINES)))
        if rng.random() < 0.7:
            lines.insert(rng.randrange(len(lines) + 1), rng.choice(OTHER_LINES))
        text = "\n".join(lines if rng.random() < 0.2 else ["[cache]", *lines])
        plain = read_plain_table(text)
        if plain is not None:
            assert tomllib.loads(text).get("cache", {}) == plain, text
            read += 1
    assert 300 < read < 2000
    assert read_plain_table("\n".join(PLAIN_LINES[:4])) == {"enabled": True}
    for line in OTHER_LINES:
        if line != 'directory = ""':
            assert read_plain_table(f"[cache]\n{line}") is None, line


def test_sizes() -> None:
    sizes = {"7": 7, "3K": 3000, "3Ki": 3072, "1M": 10**6, "2Gi": 2 << 30, "5 Mi": 5 << 20, "1KiB": 1024}
    assert {text: parse_size(text) for text in sizes} == sizes
    assert parse_size(12) == 12
    for wrong in ("", "K", "-1", "1.5M", "1T", "x"):
        with pytest.raises(WasmtimeError, match="not a size"):
            parse_size(wrong)
