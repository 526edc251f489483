"""A module run by the IR interpreter, observed as subject.Subject observes an engine."""

from __future__ import annotations

import hashlib
import random
import sys
from typing import Any, Final

import subject
import wasmtime
from ir_instance import IrInstance

from brolga.ir import trap_codes
from brolga.ir.errors import InterpreterTrap
from brolga.ir.interpreter import StepLimitExceeded
from brolga.jit.wasm import types as wasm
from brolga.jit.wasm.decode import decode
from brolga.jit.wasm.validate import validate

TRAP_CONSTANTS: Final = {
    value: name for name, value in vars(trap_codes).items() if name.isupper() and isinstance(value, int)
}


class InterpretedSubject(subject.Subject):
    """PyPI wasmtime serves for the module's description only."""

    def __init__(self, data: bytes, seed: int) -> None:
        engine = wasmtime.Engine()
        super().__init__(wasmtime, engine, wasmtime.Module(engine, data), seed)
        self.decoded = decode(data)
        validate(self.decoded)
        self.instance: IrInstance
        sys.setrecursionlimit(10_000)

    def instantiate(self) -> bool:
        choose = random.Random(self.seed)
        hosts, global_values = [], []
        for index, (item, described) in enumerate(zip(self.decoded.imports, self.module.imports, strict=True)):
            if isinstance(item.type, wasm.FuncType):
                hosts.append(self.host(index, item.type))
            elif isinstance(item.type, wasm.GlobalType):
                global_values.append(subject.choose_value(str(described.type.content), choose))
        self.instance = IrInstance(self.decoded, hosts, global_values)
        return self.attempt("instantiate", self.instance.initialise)

    def host(self, index: int, type: wasm.FuncType) -> Any:
        function = self.make_host_function(index, [wasm.VALUE_TYPE_NAMES[result] for result in type.results])

        def call(args: list[int]) -> list[int]:
            instance = self.instance
            given = [instance.from_bits(param, bits) for param, bits in zip(type.params, args, strict=True)]
            returned = function(*given)
            values = [returned] if len(type.results) == 1 else returned or []
            return [instance.to_bits(result, value) for result, value in zip(type.results, values, strict=True)]

        return call

    def attempt(self, what: str, action: Any) -> bool:
        def translated() -> Any:
            try:
                return action()
            except InterpreterTrap as trap:
                name = TRAP_CONSTANTS[trap.code]
                self.events.append(f"{what}: trap {subject.TRAP_ALIASES.get(name, name)}")
            except (RecursionError, StepLimitExceeded):
                self.events.append(f"{what}: {subject.STACK_OVERFLOW}")
            raise _Ended

        try:
            return super().attempt(what, translated)
        except _Ended:
            return False

    def call(self, name: str, arguments: list[Any]) -> bool:
        export = next(e for e in self.decoded.exports if e.name == name)
        type = self.decoded.func_type(export.index)
        instance = self.instance

        def run() -> Any:
            bits = [instance.to_bits(param, value) for param, value in zip(type.params, arguments, strict=True)]
            results = instance.call(export.index, bits)
            values = [instance.from_bits(result, bits) for result, bits in zip(type.results, results, strict=True)]
            return values[0] if len(values) == 1 else values or None

        if self.attempt(f"{name!r}{subject.describe(arguments)}", run):
            return True
        self.record_state()
        return False

    def record_state(self) -> None:
        instance = self.instance
        for export in self.decoded.exports:
            name = export.name
            if export.kind == wasm.EXTERN_MEMORY:
                data = bytes(instance.memory_bytes(export.index))
                self.events.append(f"memory {name!r}: {len(data)} {hashlib.sha1(data).hexdigest()}")
            elif export.kind == wasm.EXTERN_GLOBAL:
                type = self.decoded.global_types[export.index].type
                bits = instance.raw_load(instance.global_cells[export.index], 8)
                self.events.append(f"global {name!r}: {subject.describe(instance.from_bits(type, bits))}")
            elif export.kind == wasm.EXTERN_TABLE:
                element, size = self.decoded.table_types[export.index].element, instance.table_length(export.index)
                bits_of = [instance.table_get(export.index, index)[0] for index in range(size)]
                values = [subject.describe(instance.from_bits(element, bits)) for bits in bits_of]
                self.events.append(f"table {name!r}: {size} {values}")


class _Ended(Exception):
    """The action trapped, which is recorded already."""
