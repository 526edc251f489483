"""An instance whose functions are interpreted as IR: the reference that tells a wrong translation from wrong machine code.

All that compiled code would find in memory stands in regions of bytes at made-up addresses, laid out as `jit/vmctx.py`
says. It shares decoder, translation and passes with the compiler, and nothing with the back end and the runtime.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

from brolga.ir.errors import InterpreterTrap
from brolga.ir.function import Function
from brolga.ir.interpreter import Environment, interpret
from brolga.ir.passes import facts
from brolga.ir.trap_codes import MEMORY_OUT_OF_BOUNDS, TABLE_OUT_OF_BOUNDS
from brolga.ir.verifier import verify
from brolga.jit import vmctx
from brolga.jit.builtins import BUILTIN_NAMES
from brolga.jit.compile import PASSES
from brolga.jit.settings import Settings
from brolga.jit.wasm import types as wasm
from brolga.jit.wasm.translate import translate

REGION_SHIFT: Final = 40  # address = region << 40 | offset
PAGE: Final = wasm.PAGE_SIZE
Host = Callable[[list[int]], list[int]]


class IrInstance(Environment):
    """Instance of a validated module. `hosts`: one function on raw bits for each imported function; `global_values`: those
    of imported globals. Imported memories and tables are made new, with their least sizes. `initialise` may trap."""

    step_limit = 2_000_000

    def __init__(self, module: wasm.Module, hosts: list[Host], global_values: list[Any]) -> None:
        self.module = module
        self.layout = vmctx.ContextLayout(module)
        self.regions: list[bytearray] = [bytearray()]  # region 0 holds address 0, which nothing may read
        self.functions: dict[int, Function] = {}
        self.code: list[tuple[Host | None, int]] = []  # code address -> host function, or function of this module
        self.references: list[Any] = [None]  # externref value -> object
        self.data = [module.data[segment.start : segment.end] for segment in module.data_segments]
        self.context = self.region(self.layout.size)
        self.memories = [self.region(type.limits.minimum * PAGE) for type in module.memory_types]
        self.memory_records = [self.region(16) for _ in module.memory_types]
        self.tables = [self.region(0) for _ in module.table_types]
        self.table_records = [self.region(16) for _ in module.table_types]
        self.fill_context(hosts, global_values)
        self.elements = [[self.evaluate(item) for item in segment.items] for segment in module.elements]

    # Addresses

    def region(self, size: int) -> int:
        self.regions.append(bytearray(size))
        return len(self.regions) - 1 << REGION_SHIFT

    def bytes_at(self, address: int) -> tuple[bytearray, int]:
        return self.regions[address >> REGION_SHIFT], address & (1 << REGION_SHIFT) - 1

    def raw_load(self, address: int, size: int) -> int:
        region, offset = self.bytes_at(address)
        assert offset + size <= len(region), f"read of {size} bytes at {address:#x}"
        return int.from_bytes(region[offset : offset + size], "little")

    def raw_store(self, address: int, size: int, bits: int) -> None:
        region, offset = self.bytes_at(address)
        assert offset + size <= len(region), f"write of {size} bytes at {address:#x}"
        region[offset : offset + size] = bits.to_bytes(size, "little")

    def context_address(self) -> int:
        return self.context

    # Set-up

    def fill_context(self, hosts: list[Host], global_values: list[Any]) -> None:
        module, layout = self.module, self.layout
        distinct: dict[wasm.FuncType, int] = {}
        self.signature_ids = [distinct.setdefault(type, len(distinct) + 1) for type in module.types]
        for index, number in enumerate(self.signature_ids):
            self.raw_store(self.context + layout.signature_id(index), 4, number)
        for func, host in enumerate(hosts):
            self.function_record(layout.imported_func(func), host, func)
        for func in module.escaping:
            self.function_record(layout.escaping_func(func), None, func)
        for index, limits in enumerate(type.limits for type in module.memory_types):
            self.raw_store(self.context + layout.memory(index), 8, self.memory_records[index])
            self.raw_store(self.memory_records[index], 8, self.memories[index])
            self.set_memory(index, limits.minimum)
        if module.memory_types:
            self.raw_store(self.context + vmctx.CTX_MEMORY0_RECORD, 8, self.memory_records[0])
            self.raw_store(self.context + vmctx.CTX_MEMORY0_BASE, 8, self.memories[0])
        for index, type in enumerate(module.table_types):
            self.raw_store(self.context + layout.table(index), 8, self.table_records[index])
            self.raw_store(self.table_records[index], 8, self.tables[index])
            self.set_table_length(index, type.limits.minimum)
        self.global_cells = []
        for index, value in enumerate(global_values):
            cell = self.region(8)
            self.raw_store(self.context + layout.imported_global(index), 8, cell)
            self.raw_store(cell, 8, self.to_bits(module.global_types[index].type, value))
            self.global_cells.append(cell)
        for index, definition in enumerate(module.globals, module.imported_globals):
            cell = self.context + layout.own_global(index)
            self.global_cells.append(cell)
            self.raw_store(cell, 8, self.evaluate(definition.init))

    def function_record(self, offset: int, host: Host | None, func: int) -> None:
        record = self.context + offset
        self.code.append((host, func))
        self.raw_store(record + vmctx.FUNC_CODE, 8, len(self.code) - 1)
        self.raw_store(record + vmctx.FUNC_VMCTX, 8, self.context)
        self.raw_store(record + vmctx.FUNC_SIGNATURE, 4, self.signature_ids[self.module.func_types[func]])
        self.raw_store(record + vmctx.FUNC_SELF, 8, record)

    def function_reference(self, func: int) -> int:
        imported = func < self.module.imported_funcs
        return self.context + (self.layout.imported_func(func) if imported else self.layout.escaping_func(func))

    def evaluate(self, expression: wasm.ConstExpr) -> int:
        stack: list[int] = []
        for step in expression:
            if step.op == wasm.CONST_VALUE:
                stack.append(step.operand)
            elif step.op == wasm.CONST_GLOBAL_GET:
                stack.append(self.raw_load(self.global_cells[step.operand], 8))
            elif step.op == wasm.CONST_REF_NULL:
                stack.append(0)
            elif step.op == wasm.CONST_REF_FUNC:
                stack.append(self.function_reference(step.operand))
            else:
                y, x = stack.pop(), stack.pop()
                value = {wasm.CONST_ADD: x + y, wasm.CONST_SUB: x - y, wasm.CONST_MUL: x * y}[step.op]
                stack.append(value & (0xFFFF_FFFF if step.type == wasm.I32 else 0xFFFF_FFFF_FFFF_FFFF))
        return stack.pop()

    def initialise(self) -> None:
        """Active segments, then the start function."""
        for index, segment in enumerate(self.module.elements):
            if segment.mode == wasm.SEGMENT_ACTIVE:
                self.table_init(segment.table, index, self.evaluate(segment.offset), 0, len(segment.items))
            if segment.mode != wasm.SEGMENT_PASSIVE:
                self.elements[index] = []
        for index, data in enumerate(self.module.data_segments):
            if data.mode == wasm.SEGMENT_ACTIVE:
                self.memory_init(data.memory, index, self.evaluate(data.offset), 0, data.end - data.start)
                self.data[index] = b""
        if self.module.start >= 0:
            self.call(self.module.start, [])

    # Calls

    def function(self, func: int) -> Function:
        """The IR of a defined function, as the back end gets it, with the checks of what rules and selection rely on."""
        if func not in self.functions:
            function = translate(self.module, func, self.layout, Settings(check_facts=True))
            verify(function)
            for entry in PASSES:
                entry.run(function)
                verify(function)
            facts.run(function)
            verify(function)
            self.functions[func] = function
        return self.functions[func]

    def call(self, func: int, args: list[int]) -> list[int]:
        if func < self.module.imported_funcs:
            return self.call_ptr(
                self.raw_load(self.context + self.layout.imported_func(func), 8), self.context, 0, args
            )
        return interpret(self.function(func), args, self)

    def call_ptr(self, code: int, vmctx: int, signature: int, args: list[int]) -> list[int]:
        host, func = self.code[code]
        return host(args) if host else self.call(func, args)

    def call_builtin(self, number: int, args: list[int]) -> list[int]:
        routine: Callable[..., list[int] | None] = getattr(self, BUILTIN_NAMES[number])
        return routine(*args) or []

    # Memory

    def memory_bytes(self, memory: int) -> bytearray:
        return self.bytes_at(self.memories[memory])[0]

    def set_memory(self, memory: int, pages: int) -> None:
        data = self.memory_bytes(memory)
        data.extend(bytes(pages * PAGE - len(data)))
        self.raw_store(self.memory_records[memory] + vmctx.MEMORY_LENGTH, 8, len(data))

    def memory_range(self, memory: int, address: int, size: int) -> bytearray:
        data = self.memory_bytes(memory)
        if address + size > len(data):
            raise InterpreterTrap(MEMORY_OUT_OF_BOUNDS)
        return data

    def memory_load(self, memory: int, address: int, size: int) -> int:
        return int.from_bytes(self.memory_range(memory, address, size)[address : address + size], "little")

    def memory_store(self, memory: int, address: int, size: int, bits: int) -> None:
        self.memory_range(memory, address, size)[address : address + size] = bits.to_bytes(size, "little")

    def memory_grow(self, memory: int, pages: int) -> list[int]:
        limits = self.module.memory_types[memory].limits
        old = len(self.memory_bytes(memory)) // PAGE
        if old + pages > (limits.maximum if limits.maximum >= 0 else wasm.MAX_PAGES):
            return [0xFFFF_FFFF]
        self.set_memory(memory, old + pages)
        return [old]

    def memory_fill(self, memory: int, address: int, value: int, size: int) -> None:
        self.memory_range(memory, address, size)[address : address + size] = bytes([value & 255]) * size

    def memory_copy(self, to: int, source: int, address: int, start: int, size: int) -> None:
        moved = bytes(self.memory_range(source, start, size)[start : start + size])
        self.memory_range(to, address, size)[address : address + size] = moved

    def memory_init(self, memory: int, segment: int, address: int, start: int, size: int) -> None:
        if start + size > len(self.data[segment]):
            raise InterpreterTrap(MEMORY_OUT_OF_BOUNDS)
        moved = self.data[segment][start : start + size]
        self.memory_range(memory, address, size)[address : address + size] = moved

    def data_drop(self, segment: int) -> None:
        self.data[segment] = b""

    # Tables

    def element_size(self, table: int) -> int:
        is_function = self.module.table_types[table].element == wasm.FUNCREF
        return vmctx.FUNC_RECORD_SIZE if is_function else vmctx.EXTERNREF_SIZE

    def table_length(self, table: int) -> int:
        return self.raw_load(self.table_records[table] + vmctx.TABLE_LENGTH, 8)

    def set_table_length(self, table: int, length: int) -> None:
        data = self.bytes_at(self.tables[table])[0]
        data.extend(bytes(length * self.element_size(table) - len(data)))
        self.raw_store(self.table_records[table] + vmctx.TABLE_LENGTH, 8, length)

    def element(self, table: int, index: int) -> int:
        """Address of an element."""
        if index >= self.table_length(table):
            raise InterpreterTrap(TABLE_OUT_OF_BOUNDS)
        return self.tables[table] + index * self.element_size(table)

    def table_get(self, table: int, index: int) -> list[int]:
        size = self.element_size(table)
        return [self.raw_load(self.element(table, index) + (vmctx.FUNC_SELF if size > 8 else 0), 8)]

    def table_set(self, table: int, index: int, reference: int) -> None:
        address, size = self.element(table, index), self.element_size(table)
        if size > 8:
            record = self.raw_load(reference, size) if reference else 0
            self.raw_store(address, size, record)
        else:
            self.raw_store(address, 8, reference)

    def table_range(self, table: int, index: int, length: int) -> None:
        if index + length > self.table_length(table):
            raise InterpreterTrap(TABLE_OUT_OF_BOUNDS)

    def table_grow(self, table: int, reference: int, count: int) -> list[int]:
        limits, old = self.module.table_types[table].limits, self.table_length(table)
        if old + count > (limits.maximum if limits.maximum >= 0 else 1_000_000):
            return [0xFFFF_FFFF]
        self.set_table_length(table, old + count)
        self.table_fill(table, old, reference, count)
        return [old]

    def table_fill(self, table: int, index: int, reference: int, count: int) -> None:
        self.table_range(table, index, count)
        for place in range(index, index + count):
            self.table_set(table, place, reference)

    def table_copy(self, to: int, source: int, index: int, start: int, count: int) -> None:
        self.table_range(source, start, count)
        self.table_range(to, index, count)
        moved = [self.table_get(source, start + place)[0] for place in range(count)]
        for place, reference in enumerate(moved):
            self.table_set(to, index + place, reference)

    def table_init(self, table: int, segment: int, index: int, start: int, count: int) -> None:
        if start + count > len(self.elements[segment]):
            raise InterpreterTrap(TABLE_OUT_OF_BOUNDS)
        self.table_range(table, index, count)
        for place in range(count):
            self.table_set(table, index + place, self.elements[segment][start + place])

    def elem_drop(self, segment: int) -> None:
        self.elements[segment] = []

    # Values of Python and raw bits

    def to_bits(self, type: int, value: Any) -> int:
        if type == wasm.I32:
            return int(value) & 0xFFFF_FFFF
        if type == wasm.I64:
            return int(value) & 0xFFFF_FFFF_FFFF_FFFF
        if type == wasm.F32:
            return int.from_bytes(struct.pack("<f", value), "little")
        if type == wasm.F64:
            return int.from_bytes(struct.pack("<d", value), "little")
        if value is None:
            return 0
        if value not in self.references:
            self.references.append(value)
        return self.references.index(value)

    def from_bits(self, type: int, bits: int) -> Any:
        """A Python value; a reference to a function is its record's address, negative so that it is told from a number."""
        if type == wasm.I32:
            return bits - ((bits & 0x8000_0000) << 1)
        if type == wasm.I64:
            return bits - ((bits & 0x8000_0000_0000_0000) << 1)
        if type == wasm.F32:
            return struct.unpack("<f", bits.to_bytes(4, "little"))[0]
        if type == wasm.F64:
            return struct.unpack("<d", bits.to_bytes(8, "little"))[0]
        if type == wasm.EXTERNREF:
            return self.references[bits]
        return Func(bits) if bits else None


class Func:
    """A reference to a function: `subject.describe` knows the name."""

    def __init__(self, record: int) -> None:
        self.record = record
