"""`Store.set_limits`: what is refused, and how, is what wasmtime refuses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

import brolga

wasmtime = pytest.importorskip("wasmtime")

PAGE = 65536
GROWING = """(module (memory (export "m") 1 10) (table (export "t") 1 20 funcref)
    (func (export "mg") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "tg") (param i32) (result i32) (table.grow (ref.null func) (local.get 0))))"""


class Limited:
    """A store with limits, on one of both packages."""

    def __init__(self, api: Any) -> None:
        self.w = api
        self.engine = api.Engine()
        self.store = api.Store(self.engine)

    def limit(self, **limits: int) -> Limited:
        self.store.set_limits(**limits)
        return self

    def instance(self, text: str, *imports: object) -> Any:
        module = self.w.Module(self.engine, text)
        return self.w.Instance(self.store, module, list(imports)).exports(self.store)

    def attempt(self, text: str, *imports: object) -> str:
        """As `instance`, but what it raises is the result."""
        return outcome(lambda: self.instance(text, *imports), self.w)

    def memory(self) -> Any:
        return self.w.Memory(self.store, self.w.MemoryType(self.w.Limits(1, None)))

    def table(self) -> Any:
        type = self.w.TableType(self.w.ValType.funcref(), self.w.Limits(1, None))
        return self.w.Table(self.store, type, None)

    def growing(self) -> tuple[Callable[[int], int], Callable[[int], int], Any, Any]:
        """An instance that can grow: its functions, its memory and its table."""
        e = self.instance(GROWING)
        s = self.store
        return lambda n: e["mg"](s, n), lambda n: e["tg"](s, n), e["m"], e["t"]


def outcome(action: Callable[[], object], api: Any) -> str:
    try:
        result = action()
    except (api.WasmtimeError, api.Trap) as error:
        return f"refused: {str(error).splitlines()[0]}"
    return repr(result) if isinstance(result, int | list | tuple | str) else "made"


MEMORY = "(module (memory 1))"
TABLES = "(module (table 1 funcref) (table 1 externref))"
USES_MEMORY = '(module (import "" "" (memory 1)))'
USES_TABLE = '(module (import "" "" (table 1 funcref)))'

CASES: dict[str, Callable[[Limited], object]] = {
    "no instances": lambda o: o.limit(instances=0).instance("(module)"),
    "one instance": lambda o: [o.limit(instances=1).attempt("(module)") for _ in range(2)],
    "two instances": lambda o: (o.limit(instances=2), [o.attempt("(module)") for _ in range(3)])[1],
    "negative": lambda o: [o.limit(instances=-5, memories=-2).attempt(MEMORY) for _ in range(2)],
    "no memories": lambda o: o.limit(memories=0).instance(MEMORY),
    "no memories needed": lambda o: o.limit(memories=0).instance("(module)"),
    "one memory": lambda o: (o.limit(memories=1), [o.attempt(MEMORY) for _ in range(2)])[1],
    "no tables": lambda o: o.limit(tables=0).instance(TABLES),
    "one table": lambda o: o.limit(tables=1).instance(TABLES),
    "two tables": lambda o: (o.limit(tables=2), [o.attempt(TABLES) for _ in range(2)])[1],
    "imports do not count": lambda o: (
        o.limit(memories=0, tables=0),
        o.attempt(USES_MEMORY, o.memory()),
        o.attempt(USES_TABLE, o.table()),
    )[1:],
    "the host's own do not count": lambda o: (
        o.limit(instances=1, memories=1, tables=2),
        [o.memory() and o.table() and 1 for _ in range(4)],
        o.attempt(MEMORY),
    )[1:],
    "instances that trap count": lambda o: (
        o.limit(instances=1),
        o.attempt("(module (func unreachable) (start 0))")[:4],
        o.attempt("(module)"),
    )[1:],
    "what cannot be linked does not count": lambda o: (
        o.limit(instances=1, memories=1),
        o.attempt('(module (import "" "" (func)) (memory 1))'),
        o.attempt(MEMORY),
    )[1:],
    "linking comes first": lambda o: o.limit(instances=0).attempt('(module (import "" "" (func)))'),
    "what is refused later counts": lambda o: (
        o.limit(memories=1, tables=1),
        o.attempt("(module (memory 1) (table 1 funcref) (table 1 funcref))"),
        o.attempt("(module (memory 1) (table 1 funcref))"),
    )[1:],
    "refused sizes count": lambda o: (
        o.limit(memories=1, memory_size=PAGE),
        o.attempt("(module (memory 2))"),
        o.attempt(MEMORY),
    )[1:],
    "instances come first": lambda o: o.limit(instances=0, memories=0, tables=0).instance(MEMORY),
    "linker": lambda o: [
        outcome(lambda: o.w.Linker(o.engine).instantiate(o.store, o.w.Module(o.engine, MEMORY)), o.w)
        for _ in range(2)
        if o.limit(memories=1)
    ],
    "bytes": lambda o: o.limit(memory_size=PAGE - 1).instance(MEMORY),
    "bytes that suffice": lambda o: o.limit(memory_size=PAGE).instance(MEMORY),
    "bytes of larger memories": lambda o: o.limit(memory_size=PAGE).instance("(module (memory 3))"),
    "no bytes": lambda o: o.limit(memory_size=0).instance("(module (memory 0))"),
    "bytes of the host's": lambda o: o.limit(memory_size=PAGE - 1).memory(),
    "bytes, of 64 bits": lambda o: [o.limit(memory_size=size).attempt(MEMORY) for size in (2**63, 2**64, 2**64 + 1)],
    "elements": lambda o: o.limit(table_elements=10).instance("(module (table 11 funcref))"),
    "elements that suffice": lambda o: o.limit(table_elements=10).instance("(module (table 10 funcref))"),
    "elements of the host's": lambda o: o.limit(table_elements=0).table(),
    "memory.grow": lambda o: [o.growing()[0](n) for o in [o.limit(memory_size=3 * PAGE)] for n in (1, 2, 3)],
    "memory.grow in steps": lambda o: [grow(n) for grow in [o.limit(memory_size=3 * PAGE).growing()[0]] for n in (1, 1, 1, 0)],
    "Memory.grow": lambda o: [
        outcome(partial(memory.grow, o.store, 1), o.w)
        for memory in [o.limit(memory_size=3 * PAGE + 5).growing()[2]]
        for _ in range(3)
    ],
    "table.grow": lambda o: [grow(1) for grow in [o.limit(table_elements=3).growing()[1]] for _ in range(3)],
    "Table.grow": lambda o: [
        outcome(partial(table.grow, o.store, n, None), o.w)
        for table in [o.limit(table_elements=3).growing()[3]]
        for n in (2, 1)
    ],
    "changed later": lambda o: [
        grow(1) for grow in [o.growing()[0]] for size in (-1, 2 * PAGE, -1) if o.limit(memory_size=size)
    ],
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_like_wasmtime(case: Callable[[Limited], object]) -> None:
    theirs, ours = (outcome(partial(case, Limited(api)), api) for api in (wasmtime, brolga))
    assert ours == theirs


def test_the_cases_are_of_both_kinds() -> None:
    results = [outcome(partial(case, Limited(brolga)), brolga) for case in CASES.values()]
    assert sum("limit" in result for result in results) > 15
    assert "made" in results


@pytest.mark.parametrize("wrong", ["1", 1.5, None])
def test_limits_are_numbers(wrong: Any) -> None:
    store = brolga.Store()
    with pytest.raises(TypeError, match="expected an int"):
        store.set_limits(tables=wrong)


@pytest.mark.parametrize("platform", ["linux", "minimal"])
def test_growth_is_limited_on_both_platforms(platform: str) -> None:
    config = brolga.Config()
    config.platform = platform
    limited = Limited(brolga)
    limited.engine = brolga.Engine(config)
    limited.store = brolga.Store(limited.engine)
    memory, table, _, _ = limited.limit(memory_size=2 * PAGE, table_elements=2).growing()
    assert [memory(1), memory(1), table(1), table(1)] == [1, -1, 1, -1]
