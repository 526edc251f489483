"""Every operation of the public surface refuses wrong arguments with errors of the documented classes, and goes on working."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

import brolga
from brolga import ArgumentTypeError, Engine, Func, FuncType, Module, Store, Val, ValType, WasmtimeError
from tests.fuzz.surface.operations import surface

ROOT: Final = Path(__file__).resolve().parents[3]
# Exceptions are made by the package; what is in an Enum does not change.
CLASSES: Final = [
    name
    for name, cls in surface().items()
    if not issubclass(cls, BaseException) and name not in ("TrapCode", "DirPerms", "FilePerms")
]
ONCE: Final = {
    "Config",
    "FuncType",
    "Val",
    "ValType",
    "WasiConfig",
    "TagType",
    "MemoryType",
    "",
}  # the same on each platform


@pytest.mark.parametrize("owner", ["", *CLASSES])
@pytest.mark.parametrize("platform", ["linux", "minimal"])
def test_wrong_arguments(platform: str, owner: str) -> None:
    if platform == "minimal" and owner in ONCE:
        pytest.skip("no machine is involved")
    done = subprocess.run(
        [sys.executable, "-m", "tests.runtime.api.argument_table", platform, owner],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-1000:]
    assert done.stdout == ""


def test_numbers_are_no_paths(tmp_path: Path) -> None:
    """A number would be a descriptor that belongs to somebody: it would be read, and closed."""
    engine = Engine()
    fd = os.open(os.devnull, os.O_RDONLY)
    for number in (fd, True, -1, 1 << 70):
        for call in (brolga.load, lambda n: Module.from_file(engine, n), lambda n: Module.deserialize_file(engine, n)):
            with pytest.raises(ArgumentTypeError):
                call(number)  # type: ignore[operator]
    os.fstat(fd)
    os.close(fd)
    with pytest.raises(WasmtimeError):
        brolga.load("a\0b")
    with pytest.raises(OSError):
        brolga.load(tmp_path / "missing")


@pytest.mark.parametrize(
    "text", [";; a comment\n(module)", "  \n;; a\n;; b\n(module)", "(; a (; b ;) ;)(module)", ";;\n(func)"]
)
def test_module_text_may_begin_with_comments(text: str) -> None:
    assert len(brolga.load(text)) == 0


def test_the_store_may_be_named() -> None:
    store = Store()
    exports = brolga.Instance(
        store, Module(store.engine, '(module (func (export "f")) (func (export "g") (param i32)))'), []
    ).exports(store)
    func, other = exports["f"], exports["g"]
    assert isinstance(func, Func) and isinstance(other, Func)
    for _ in range(5):
        func(store=store)
        func(store=store, timeout=5)
        with pytest.raises(WasmtimeError, match="too few parameters"):
            other(store=store)
        with pytest.raises(ArgumentTypeError, match=r"Func.__call__\(\) got multiple values for argument 'store'"):
            other(5, store=store)
        with pytest.raises(ArgumentTypeError, match=r"Func.__call__\(\) got an unexpected keyword argument 'x'"):
            func(store, x=1)  # type: ignore[call-arg]
    bound = brolga.load('(module (func (export "f")))')
    for call in (bound.f, bound["f"]):
        for _ in range(5):
            with pytest.raises(ArgumentTypeError, match="unexpected keyword argument 'store'"):
                call(store=store)


def test_text_that_is_no_unicode() -> None:
    for text in ("(module \udc80)", "(module (func \ud800))"):
        with pytest.raises(WasmtimeError, match="UTF-8"):
            brolga.wat2wasm(text)
        with pytest.raises(WasmtimeError, match="UTF-8"):
            brolga.load(text)


def test_errors_of_texts_where_children_have_no_status() -> None:
    code = """import signal, brolga
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
try: brolga.wat2wasm("(module (func i32.cnst))")
except brolga.WasmtimeError as error: print("i32.cnst" in str(error))
print(bytes(brolga.wat2wasm("(module)")))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split("\n")[:2] == ["True", "b'\\x00asm\\x01\\x00\\x00\\x00'"]
    assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL


def test_floats_take_integers_of_any_size() -> None:
    it = brolga.load(
        '(module (func (export "d") (param f64) (result f64) local.get 0) (func (export "f") (param f32) (result f32) local.get 0))'
    )
    for func in (it.d, it.f):
        for _ in range(5):
            assert func(10**400) == float("inf") and func(-(10**400)) == float("-inf") and func(3) == 3.0
            for text in ("1", b"1", bytearray(b"1"), memoryview(b"1")):
                with pytest.raises(ArgumentTypeError):
                    func(text)


def test_what_says_that_it_is_a_function_is_none() -> None:
    """An address is taken from what really is a Func."""
    store = Store()
    func = Func(store, FuncType([], []), lambda: None)

    class Liar:
        __class__ = Func  # type: ignore[assignment]
        _store_data = func._store_data
        _record = 0x414141414140

    take = Func(store, FuncType([ValType.funcref()], []), lambda f: None)
    for liar in (Liar(), Val.funcref(Liar())):  # type: ignore[arg-type]
        with pytest.raises(ArgumentTypeError):
            take(store, liar)

    class Derived(Func):  # type: ignore[misc]
        _record = property(lambda self: 0x414141414140)  # type: ignore[assignment]

    derived = object.__new__(Derived)
    with pytest.raises(ArgumentTypeError):
        take(store, derived)


def test_modules_reach_no_names_of_python_itself() -> None:
    class Host:
        def add(self) -> None:
            pass

    for name in ("__class__", "__init__", "__reduce__", "__setattr__"):
        for imports in ({"host": Host()}, {}, {"host": None}):
            with pytest.raises(brolga.LinkError, match="has not been defined"):
                brolga.load(f'(module (import "host" "{name}" (func)))', imports)
    brolga.load('(module (import "host" "add" (func)))', {"host": Host()})
    brolga.load('(module (import "host" "__class__" (func)))', {"host": {"__class__": print}})


def test_limits_that_change_after_they_were_checked() -> None:
    limits = brolga.Limits(1, 2)
    type = brolga.MemoryType(limits)
    limits.min = type.limits.min = 1 << 70
    assert type.limits == brolga.Limits(1, 2)
    with pytest.raises(WasmtimeError):
        brolga.TableType(ValType.funcref(), limits)
        brolga.Table(Store(), brolga.TableType(ValType.funcref(), limits), None)
    limits.min = "x"  # type: ignore[assignment]
    with pytest.raises(ArgumentTypeError):
        brolga.MemoryType(limits)
