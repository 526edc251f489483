"""Running scripts of the WebAssembly test suite: `wasm-tools json-from-wast` reads them, this runs their commands.

Arguments and results are compared bit by bit, through the machine's plain entry. One store serves a script.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, final

from brolga.ir import trap_codes
from brolga.ir.errors import BrolgaError, DecodeError, LinkError, UnsupportedError, ValidationError, WasmtimeError
from brolga.jit.wasm import types as wasm

from .config import Config
from .engine import Engine
from .functions import HostDefinition
from .globals import Global
from .instance import InstanceData, instantiate
from .memory import Memory
from .module import Module
from .store import Store
from .table import Table
from .text import wasm_tools
from .trap import Trap
from .types import FuncType, GlobalType, Limits, MemoryType, TableType, ValType

if TYPE_CHECKING:
    from .instance import Importable

Command = dict[str, Any]

_NAN_CANONICAL: Final = "nan:canonical"
_NAN_ARITHMETIC: Final = "nan:arithmetic"
_QUIET: Final = {"f32": 0x7FC0_0000, "f64": 0x7FF8_0000_0000_0000}  # exponent and the top bit of the mantissa
_MAGNITUDE: Final = {"f32": 0x7FFF_FFFF, "f64": 0x7FFF_FFFF_FFFF_FFFF}
_MASK: Final = {"i32": 0xFFFF_FFFF, "i64": 0xFFFF_FFFF_FFFF_FFFF, "f32": 0xFFFF_FFFF, "f64": 0xFFFF_FFFF_FFFF_FFFF}
_REFERENCES: Final = ("externref", "funcref", "refnull")


class AssertionFailure(Exception):
    """A command of a script did not do what it should."""


@final
class ExternObject:
    """What `ref.extern n` of a script refers to."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


@final
class ScriptResult:
    """How a script went: counts of commands, of which `judged_by_tools` were texts that wasm-tools had to refuse, and
    (line, message) of each failure. `unsupported` names a feature if the script was skipped for it."""

    __slots__ = ("failed", "failures", "judged_by_tools", "name", "passed", "skipped", "unsupported")

    def __init__(self, name: str) -> None:
        self.name = name
        self.passed = 0
        self.failed = 0
        self.skipped = 0
        self.judged_by_tools = 0
        self.unsupported = ""
        self.failures: list[tuple[int, str]] = []

    def fail(self, line: int, message: str) -> None:
        self.failed += 1
        self.failures.append((line, message))

    def summary(self) -> str:
        """One line."""
        line = f"{self.name}: {self.passed} passed, {self.failed} failed, {self.skipped} skipped"
        if self.unsupported:
            line += f" ({self.unsupported})"
        if self.judged_by_tools:
            line += f" ({self.judged_by_tools} texts judged by wasm-tools)"
        return line


def spectest(store: Store) -> dict[str, Importable]:
    """The host module `spectest` that scripts import from."""
    i32, i64, f32, f64 = ValType.i32(), ValType.i64(), ValType.f32(), ValType.f64()
    prints = {
        "print": [],
        "print_i32": [i32],
        "print_i64": [i64],
        "print_f32": [f32],
        "print_f64": [f64],
        "print_i32_f32": [i32, f32],
        "print_f64_f64": [f64, f64],
    }
    items: dict[str, Importable] = {
        name: HostDefinition(FuncType(params, []), _discard, False) for name, params in prints.items()
    }
    items["global_i32"] = Global(store, GlobalType(i32, False), 666)
    items["global_i64"] = Global(store, GlobalType(i64, False), 666)
    items["global_f32"] = Global(store, GlobalType(f32, False), 666.6)
    items["global_f64"] = Global(store, GlobalType(f64, False), 666.6)
    items["table"] = Table(store, TableType(ValType.funcref(), Limits(10, 20)), None)
    items["memory"] = Memory(store, MemoryType(Limits(1, 2)))
    return items


def _discard(*args: object) -> None:
    """What the functions of `spectest` that print do."""


@final
class ScriptRunner:
    """The state of a running script: its store, instances by name, definitions of modules by name."""

    __slots__ = ("_definitions", "_directory", "_engine", "_externs", "_instances", "_last", "_registered", "_store")

    def __init__(self, engine: Engine, directory: str) -> None:
        self._engine = engine
        self._directory = directory
        self._store = Store(engine)
        self._externs: dict[int, ExternObject] = {}
        self._registered: dict[str, dict[str, Importable]] = {"spectest": spectest(self._store)}
        self._instances: dict[str, InstanceData] = {}
        self._definitions: dict[str, Module] = {}
        self._last: InstanceData | None = None

    def run(self, command: Command) -> None:
        """Do one command. Raises AssertionFailure, or what went wrong otherwise."""
        handler = _HANDLERS.get(command["type"])
        if handler is None:
            raise UnsupportedError(f"commands of the kind {command['type']}")
        handler(self, command)

    # Commands that define something

    def _module(self, command: Command) -> None:
        self._define(command.get("name"), self._instantiate(self._load(command)))

    def _module_definition(self, command: Command) -> None:
        self._definitions[command.get("name", "")] = self._load(command)

    def _module_instance(self, command: Command) -> None:
        self._define(command.get("instance"), self._instantiate(self._definitions[command.get("module", "")]))

    def _register(self, command: Command) -> None:
        instance = self._instance(command.get("name"))
        exports = instance.module.decoded.exports
        self._registered[command["as"]] = {export.name: instance.wrap(self._store, export) for export in exports}

    def _define(self, name: str | None, instance: InstanceData) -> None:
        self._last = instance
        if name is not None:
            self._instances[name] = instance

    def _instance(self, name: str | None) -> InstanceData:
        instance = self._last if name is None else self._instances.get(name)
        if instance is None:
            raise AssertionFailure(f"no module {name or ''}")
        return instance

    def _bytes(self, command: Command) -> bytes:
        name: str = command.get("binary_filename") or command["filename"]
        with open(os.path.join(self._directory, name), "rb") as file:
            return file.read()

    def _load(self, command: Command) -> Module:
        return Module(self._engine, self._bytes(command))

    def _instantiate(self, module: Module) -> InstanceData:
        imports: list[Importable] = []
        for wanted in module.decoded.imports:
            item = self._registered.get(wanted.module, {}).get(wanted.name)
            if item is None:
                raise LinkError(f"unknown import: `{wanted.shown}` has not been defined")
            imports.append(item)
        return instantiate(self._store, module._loaded, imports)

    # Actions

    def _action(self, command: Command) -> None:
        self._perform(command["action"])

    def _perform(self, action: Command) -> list[tuple[int, int]]:
        """The results, as value types and bits."""
        instance = self._instance(action.get("module"))
        field = action["field"]
        export = next((export for export in instance.module.decoded.exports if export.name == field), None)
        if export is None:
            raise AssertionFailure(f"no export {field!r}")
        if action["type"] == "get":
            data = instance.globals[export.index]
            return [(data.code, data.bits)]
        type = instance.module.decoded.func_type(export.index)
        args = [self._bits(value) for value in action["args"]]
        results = self._engine.machine.call_raw(instance.function_record(export.index), type, args)
        return list(zip(type.results, results, strict=True))

    def _bits(self, value: Command) -> int:
        kind: str = value["type"]
        text: str | None = value.get("value")
        if kind in _MASK and text is not None:
            return int(text) & _MASK[kind]
        if kind in _REFERENCES:
            return 0 if text is None or text == "null" else self._store._data.externs.number(self._extern(int(text)))
        raise UnsupportedError(f"values of type {kind}")

    def _extern(self, number: int) -> ExternObject:
        return self._externs.setdefault(number, ExternObject(number))

    # Assertions

    def _assert_return(self, command: Command) -> None:
        results = self._perform(command["action"])
        expected = command["expected"]
        if len(results) != len(expected):
            raise AssertionFailure(f"{len(results)} results, expected {len(expected)}")
        for (type, bits), value in zip(results, expected, strict=True):
            if not self._matches(type, bits, value):
                raise AssertionFailure(f"{wasm.VALUE_TYPE_NAMES[type]} {bits:#x}, expected {_describe(value)}")

    def _matches(self, type: int, bits: int, expected: Command) -> bool:
        kind, text = expected["type"], expected.get("value")
        if kind == "either":
            return any(self._matches(type, bits, value) for value in expected["values"])
        if kind == "refnull":
            return bits == 0
        if kind != wasm.VALUE_TYPE_NAMES[type]:
            if kind not in _MASK and kind not in _REFERENCES:
                raise UnsupportedError(f"values of type {kind}")
            return False
        if kind in _REFERENCES:
            if text is None or text == "null":
                return (bits == 0) == (text == "null")
            return self._store._data.externs.object(bits) is self._extern(int(text))
        if text == _NAN_CANONICAL:
            return bits & _MAGNITUDE[kind] == _QUIET[kind]
        if text == _NAN_ARITHMETIC:
            return bits & _QUIET[kind] == _QUIET[kind]
        return bits == int(str(text)) & _MASK[kind]

    def _assert_trap(self, command: Command) -> None:
        self._expect_trap(command["text"], lambda: self._perform(command["action"]))

    def _assert_exhaustion(self, command: Command) -> None:
        trap = self._expect_trap(command["text"], lambda: self._perform(command["action"]))
        if trap._origin[0] != trap_codes.STACK_OVERFLOW:
            raise AssertionFailure(f"trap {trap.reason!r}, expected {command['text']!r}")

    def _assert_uninstantiable(self, command: Command) -> None:
        module = self._load(command)
        self._expect_trap(command["text"], lambda: self._instantiate(module))

    def _expect_trap(self, text: str, act: Callable[[], object]) -> Trap:
        try:
            act()
        except Trap as trap:
            _expect_words(trap.reason, text)
            return trap
        raise AssertionFailure(f"no trap, expected {text!r}")

    def _assert_unlinkable(self, command: Command) -> None:
        module = self._load(command)
        try:
            self._instantiate(module)
        except LinkError as error:
            _expect_words(str(error), command["text"])
            return
        raise AssertionFailure(f"linked, expected {command['text']!r}")

    def _assert_invalid(self, command: Command) -> None:
        self._expect_refusal(command, ValidationError)

    def _assert_malformed(self, command: Command) -> None:
        if command["module_type"] == "text":
            path = os.path.join(self._directory, command["filename"])
            if _tools_accept(path):
                raise AssertionFailure(f"wasm-tools accepts the text, expected {command['text']!r}")
        else:
            self._expect_refusal(command, DecodeError)

    def _expect_refusal(self, command: Command, kind: type[DecodeError | ValidationError]) -> None:
        try:
            Module.validate(self._engine, self._bytes(command))
        except kind as error:
            _expect_words(error.message, command["text"])
            return
        raise AssertionFailure(f"accepted, expected {command['text']!r}")


_HANDLERS: Final[dict[str, Callable[[ScriptRunner, Command], None]]] = {
    "module": ScriptRunner._module,
    "module_definition": ScriptRunner._module_definition,
    "module_instance": ScriptRunner._module_instance,
    "register": ScriptRunner._register,
    "action": ScriptRunner._action,
    "assert_return": ScriptRunner._assert_return,
    "assert_trap": ScriptRunner._assert_trap,
    "assert_exhaustion": ScriptRunner._assert_exhaustion,
    "assert_unlinkable": ScriptRunner._assert_unlinkable,
    "assert_uninstantiable": ScriptRunner._assert_uninstantiable,
    "assert_invalid": ScriptRunner._assert_invalid,
    "assert_malformed": ScriptRunner._assert_malformed,
}


def _describe(value: Command) -> str:
    if value["type"] == "either":
        return " or ".join(map(_describe, value["values"]))
    text = value.get("value")
    if value["type"] in _MASK and text is not None and not text.startswith("nan"):
        text = f"{int(text) & _MASK[value['type']]:#x}"
    return f"{value['type']} {text}"


def _expect_words(message: str, text: str) -> None:
    """A message may say more than the suite does, or less (`uninitialized element 7`)."""
    if not message.startswith(text) and not text.startswith(message):
        raise AssertionFailure(f"{message!r}, expected {text!r}")


def _tools_accept(path: str) -> bool:
    command = [wasm_tools(), "parse", path, "-o", os.devnull]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0


def _is_text_judgement(command: Command) -> bool:
    return bool(command["type"] == "assert_malformed" and command["module_type"] == "text")


def read_script(path: str, directory: str) -> list[Command]:
    """The commands of the script at `path`; the modules they name are put in `directory`. WasmtimeError if it is wrong."""
    output = os.path.join(directory, "script.json")
    convert = [wasm_tools(), "json-from-wast", path, "-o", output, "--wasm-dir", directory]
    done = subprocess.run(convert, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise WasmtimeError(done.stderr.strip())
    with open(output, encoding="utf-8") as file:
        commands: list[Command] = json.load(file)["commands"]
    return commands


def run_script(path: str, config: Config | None = None, skip_unsupported: bool = False) -> ScriptResult:
    """Run the script at `path`. With `skip_unsupported`, one that needs what is not implemented is skipped as a whole."""
    result = ScriptResult(os.path.basename(path))
    with tempfile.TemporaryDirectory() as directory:
        try:
            commands = read_script(path, directory)
        except WasmtimeError as error:
            result.fail(0, str(error))
            return result
        runner = ScriptRunner(Engine(config), directory)
        for command in commands:
            try:
                runner.run(command)
            except AssertionFailure as failure:
                result.fail(command["line"], f"{command['type']}: {failure}")
            except UnsupportedError as error:
                if skip_unsupported:
                    skipped = ScriptResult(result.name)
                    skipped.skipped = len(commands)
                    skipped.unsupported = error.message
                    return skipped
                result.fail(command["line"], f"{command['type']}: UnsupportedError: {error}")
            except (BrolgaError, MemoryError) as error:
                result.fail(command["line"], f"{command['type']}: {type(error).__name__}: {error}")
            else:
                result.passed += 1
                result.judged_by_tools += _is_text_judgement(command)
    return result
