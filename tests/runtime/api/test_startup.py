"""What is imported at start: neither the compiler nor what is slow to import, until something needs it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from brolga import wat2wasm

# Modules of other packages that take milliseconds, or whose import loads shared libraries.
SLOW: Final = {
    *("asyncio", "capstone", "concurrent.futures", "dataclasses", "email", "importlib.metadata", "inspect", "json"),
    *("keystone", "logging", "multiprocessing", "numpy", "pickle", "rich", "socket", "subprocess", "tempfile"),
    *("tomllib", "tokenize", "urllib", "wasm_tools", "wasmtime", "zipfile"),
}
# Of ours, what the compiler has beyond the types that it shares with runtime.
COMPILER: Final = {
    *(
        "ir.builder",
        "ir.rules",
        "ir.passes",
        "jit.compile",
        "jit.wasm.translate",
        "jit.wasm.translate_state",
        "jit.x64.lower",
    ),
    *("jit.x64.emit", "jit.x64.insts", "regalloc.spill", "regalloc.color", "regalloc.liveness"),
}
# Of ours, what a program that finds its code in the cache does without, unless it uses just that.
LATE: Final = {
    *(
        "ir.function",
        "ir.opcodes",
        "jit.phases",
        "jit.wasm.decode",
        "jit.wasm.opcodes",
        "jit.wasm.operators",
        "jit.wasm.validate",
    ),
    *("jit.x64.allocatable", "regalloc.operand"),
    *(
        "runtime.bound",
        "runtime.fuel",
        "runtime.install",
        "runtime.load",
        "runtime.perf_map",
        "runtime.platform.minimal",
    ),
    *("runtime.shared_memory", "runtime.startup_fuel", "runtime.tag", "runtime.trap_code"),
    *("runtime.machine.assembler", "runtime.machine.buffers", "runtime.machine.bulk", "runtime.machine.entry_code"),
    *(
        "runtime.machine.entry_exit",
        "runtime.machine.fiber_code",
        "runtime.machine.fibers",
        "runtime.machine.host_calls",
    ),
    *("runtime.machine.host_code", "runtime.machine.integers", "runtime.machine.routines", "runtime.machine.sampling"),
    *("runtime.machine.signals", "runtime.machine.timeouts", "runtime.machine.trap_exits"),
    *(
        "runtime.wasi.path_calls",
        "runtime.wasi.permissions",
        "runtime.wasi.poll_calls",
        "runtime.wasi.resolve",
        "runtime.wasi.time_calls",
    ),
}
# And of others.
LATE_LIBRARIES: Final = {"fcntl", "heapq", "mmap", "select"}
MOST_MODULES: Final = 96  # of ours, in such a program: each takes 0.1 ms
HELLO: Final = r"""(module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\10\00\00\00\06\00\00\00") (data (i32.const 16) "hello\n")
    (func (export "_start") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 32)))))"""
_REPORT: Final = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
_RUN: Final = "from brolga.__main__ import main; sys.exit(main())"


def _imported(code: str, *arguments: str, environment: dict[str, str] | None = None) -> tuple[set[str], str]:
    """The modules that a process has imported in the end, and what it prints. (`-X importtime` does not show what compiled modules
    import of each other.)"""
    done = subprocess.run(
        [sys.executable, "-c", _REPORT + code, *arguments],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split()), done.stdout


def _compiler(modules: set[str]) -> set[str]:
    return {name for name in modules if name.removeprefix("brolga.") in COMPILER}


def test_import() -> None:
    before, _ = _imported("pass")
    modules, _ = _imported("import brolga")
    assert {"brolga", "brolga.runtime.machine"} <= modules
    assert not _compiler(modules)
    assert not (modules - before) & {*SLOW, "argparse", "pathlib"}


def test_second_run(tmp_path: Path) -> None:
    module = tmp_path / "hello.wasm"
    module.write_bytes(wat2wasm(HELLO))
    # Bytecode, and hand-written routines beside it, are kept too.
    bytecode = {"PYTHONPYCACHEPREFIX": str(tmp_path / "bytecode"), "PYTHONDONTWRITEBYTECODE": ""}
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache"), **bytecode}
    before, _ = _imported("pass")
    first, output = _imported(_RUN, "run", str(module), environment=cache)
    assert output == "hello\n"
    assert len(_compiler(first)) > len(COMPILER) // 2  # their names are right
    second, output = _imported(_RUN, "run", str(module), environment=cache)
    assert output == "hello\n"
    assert not _compiler(second)
    assert "keystone" in first
    assert not (second - before) & SLOW


def test_the_end_of_a_process_does_not_look_for_garbage(tmp_path: Path) -> None:
    module = tmp_path / "hello.wasm"
    module.write_bytes(wat2wasm(HELLO))
    code = "import gc, brolga.__main__ as it\nassert not gc.get_freeze_count()\nit.main()\nprint(len(gc.get_objects()) < 100)"
    _, output = _imported(code, "run", "-C", "cache=n", str(module))
    assert output == "hello\nTrue\n"


_EMBEDDED: Final = """
import sys, brolga
config = brolga.Config()
config.cache = sys.argv[1]
store = brolga.Store(brolga.Engine(config))
wasi = brolga.WasiConfig()
wasi.inherit_stdout()
store.set_wasi(wasi)
linker = brolga.Linker(store.engine)
linker.define_wasi()
instance = linker.instantiate(store, brolga.Module.from_file(store.engine, sys.argv[2]))
instance.exports(store)["_start"](store)
"""


def test_second_run_in_a_program(tmp_path: Path) -> None:
    module = tmp_path / "hello.wasm"
    module.write_bytes(wat2wasm(HELLO))
    configuration = tmp_path / "cache.toml"
    configuration.write_text(f'[cache]\ndirectory = "{tmp_path / "cache"}"\n')
    bytecode = {"PYTHONPYCACHEPREFIX": str(tmp_path / "bytecode"), "PYTHONDONTWRITEBYTECODE": ""}
    before, _ = _imported("pass", environment=bytecode)
    for _ in range(2):
        modules, output = _imported(_EMBEDDED, str(configuration), str(module), environment=bytecode)
        assert output == "hello\n"
    ours = {name.removeprefix("brolga.") for name in modules if name.startswith("brolga.")}
    assert all(importlib.util.find_spec(f"brolga.{name}") for name in LATE)  # their names are right
    assert not ours & {*LATE, *COMPILER}
    assert not (modules - before) & {*SLOW, *LATE_LIBRARIES}
    assert len(ours) <= MOST_MODULES


def test_wasi_is_not_imported_for_nothing() -> None:
    modules, _ = _imported(
        "import brolga; s = brolga.Store(); brolga.Instance(s, brolga.Module(s.engine, b'\\0asm\\1\\0\\0\\0'), [])"
    )
    assert {name for name in modules if name.startswith("brolga.runtime.wasi.")} <= {
        "brolga.runtime.wasi.abi",
        "brolga.runtime.wasi.function",
    }


def test_late_names() -> None:
    """Names of the package whose modules are imported when somebody asks are as all others."""
    _, output = _imported("import brolga; print(*sorted({*brolga.__all__} - {*vars(brolga)}))")
    late = output.split()
    assert late == sorted(late) and {"TrapCode", "WasiConfig", "load"} <= set(late)
    _, output = _imported(
        "import brolga, pickle\n"
        "assert {*brolga.__all__} <= {*dir(brolga)}\n"
        "assert pickle.loads(pickle.dumps(brolga.TrapCode.INTERRUPT)) is brolga.TrapCode.INTERRUPT\n"
        "from brolga import *\n"
        "print(all(name in globals() for name in brolga.__all__), load is brolga.load)\n"
        "print(hasattr(brolga, 'nothing'))\n"
        "try: brolga.nothing\n"
        "except AttributeError as error: print(error)"
    )
    assert output.splitlines() == ["True True", "False", "module 'brolga' has no attribute 'nothing'"]


def test_late_names_on_several_threads() -> None:
    _, output = _imported(
        "import brolga, threading\n"
        "together, found = threading.Barrier(8), []\n"
        "def use(name):\n"
        "    together.wait()\n"
        "    found.append(getattr(brolga, name))\n"
        "threads = [threading.Thread(target=use, args=[name]) for name in ('WasiConfig', 'load', 'Tag', 'DirPerms') * 2]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
        "print(len(found), len({*map(id, found)}))"
    )
    assert output == "8 4\n"


@pytest.mark.parametrize("fresh", [True, False])
def test_calls_when_the_interpreter_ends(tmp_path: Path, fresh: bool) -> None:
    """Nothing can be imported any more, and need not be: what such calls use was used before, and the third call of a function, whose
    routine by signature is to be made, does without if it is not kept from an earlier process."""
    code = (
        "import brolga, sys\n"
        "s = brolga.Store()\n"
        "m = brolga.Module(s.engine, '(module (func (export \"f\") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1))))')\n"
        "f = brolga.Instance(s, m, []).exports(s)['f']\n"
        "assert f(s, 1, timeout=5.0) == 2\n"
        "class AtTheEnd:\n"
        "    def __del__(self, write=sys.stdout.write, flush=sys.stdout.flush, f=f, s=s):\n"
        "        write(f'{f(s, 2, timeout=5.0)} {[f(s, i) for i in range(4)]}')\n"
        "        flush()\n"
        "sys.modules['at_the_end'] = AtTheEnd()"
    )
    environment = {"PYTHONPYCACHEPREFIX": str(tmp_path / "bytecode"), "PYTHONDONTWRITEBYTECODE": ""}
    if not fresh:
        _imported(code.replace("class", "for i in range(4): f(s, i)\nclass"), environment=environment)
    _, output = _imported(code, environment=environment)
    assert output == "3 [1, 2, 3, 4]"


def test_what_was_used_can_be_used_when_the_interpreter_ends(tmp_path: Path) -> None:
    """Also what is imported when it is first used: it is not imported again."""
    code = (
        "import brolga, os\n"
        "c = brolga.Config()\n"
        "c.consume_fuel = True\n"
        "e = brolga.Engine(c)\n"
        'm = brolga.Module(e, \'(module (import "wasi_snapshot_preview1" "sched_yield" (func (result i32)))\'\n'
        '    \'(memory (export "memory") 1) (func (export "f") unreachable))\')\n'
        "class AtTheEnd:\n"
        "    def __del__(self, write=os.write, b=brolga, e=e, m=m, Wasi=brolga.WasiConfig, Tag=brolga.Tag):\n"
        "        s = b.Store(e)\n"
        "        s.set_fuel(1000)\n"
        "        s.set_wasi(Wasi())\n"
        "        l = b.Linker(e)\n"
        "        l.define_wasi()\n"
        "        try:\n"
        "            l.define(s, 'a', 'b', Tag)\n"
        "        except TypeError:\n"
        "            write(1, b'refused ')\n"
        "        try:\n"
        "            l.instantiate(s, m).exports(s)['f'](s)\n"
        "        except b.Trap as trap:\n"
        "            write(1, b'%d ' % trap.trap_code.value)\n"
        "at_the_end = AtTheEnd()\n"
        "at_the_end.__del__()"
    )
    _, output = _imported(code, environment={"PYTHONPYCACHEPREFIX": str(tmp_path / "bytecode")})
    assert output == "refused 9 " * 2
