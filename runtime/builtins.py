"""The builtin routines that Python serves: growing memories, everything about tables, dropping segments.

Each is called with the address of the caller's context, which has that of the instance, and raw values (signatures:
`brolga.jit.builtins`).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from brolga.jit import builtins as numbers

from .machine import CTX_INSTANCE

if TYPE_CHECKING:
    from .instance import InstanceData
    from .machine import Machine
    from .machine.machine import BuiltinTable

_object_at: Final[Callable[[int], Any]] = ctypes.py_object.from_address


def _instance(context: int) -> InstanceData:
    """The instance that calls, and is therefore alive. Not by a weak reference: the garbage collector clears those before it calls
    finalisers, which may call wasm."""
    instance: InstanceData = _object_at(context + CTX_INSTANCE).value
    return instance


def memory_grow(context: int, memory: int, pages: int) -> int:
    return _instance(context).memories[memory].grow(pages) & 0xFFFF_FFFF


def data_drop(context: int, segment: int) -> None:
    _instance(context).drop_data(segment)


def table_get(context: int, table: int, index: int) -> int:
    return _instance(context).tables[table].get(index)


def table_set(context: int, table: int, index: int, reference: int) -> None:
    _instance(context).tables[table].set(index, reference)


def table_grow(context: int, table: int, reference: int, count: int) -> int:
    return _instance(context).tables[table].grow(count, reference) & 0xFFFF_FFFF


def table_fill(context: int, table: int, index: int, reference: int, count: int) -> None:
    _instance(context).tables[table].fill(index, reference, count)


def table_copy(context: int, to: int, source: int, index: int, source_index: int, count: int) -> None:
    tables = _instance(context).tables
    tables[to].copy(index, tables[source], source_index, count)


def table_init(context: int, table: int, segment: int, index: int, start: int, count: int) -> None:
    instance = _instance(context)
    instance.tables[table].init(index, instance.elements[segment], start, count)


def elem_drop(context: int, segment: int) -> None:
    _instance(context).elements[segment] = []


_BUILTINS: Final[dict[int, Callable[..., int | None]]] = {
    numbers.MEMORY_GROW: memory_grow,
    numbers.DATA_DROP: data_drop,
    numbers.TABLE_GET: table_get,
    numbers.TABLE_SET: table_set,
    numbers.TABLE_GROW: table_grow,
    numbers.TABLE_FILL: table_fill,
    numbers.TABLE_COPY: table_copy,
    numbers.TABLE_INIT: table_init,
    numbers.ELEM_DROP: elem_drop,
}
_tables: Final[dict[str, BuiltinTable]] = {}  # by name of the machine


def builtin_table(machine: Machine) -> BuiltinTable:
    """The machine's table of builtins, made on first use."""
    table = _tables.get(machine.name)
    if table is None:
        table = machine.new_builtins([_BUILTINS.get(number) for number in range(numbers.BUILTIN_COUNT)])
        table = _tables.setdefault(machine.name, table)  # that of a faster thread is in use, and must live
    return table
