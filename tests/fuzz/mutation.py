"""Mutation fuzzer: broken and odd modules must not crash, hang or raise anything but Brolga's own errors.

    python tests/fuzz/mutation.py --count 20000 --seed 1     mutants of modules from benchmarks/, examples/ and smith
    python tests/fuzz/mutation.py FILES...                   these modules, as they are

A mutant comes from `wasm-tools mutate` or from changes of single bytes. Each is decoded, validated and, if valid,
compiled eagerly, instantiated and run for a short time. wasmtime must agree on which mutants are valid.
Inputs that fail are kept in --keep (default: found/) and the exit status is 1.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any, Final

import smith
import subject
import wasmtime
from worker_pool import run_isolated

import brolga
from brolga.ir import errors

ROOT: Final = Path(__file__).resolve().parent.parent.parent
SECONDS: Final = 20.0
CALL_SECONDS: Final = 0.05  # after which a call is interrupted
MAX_BYTES: Final = 100_000
MAX_TABLE: Final = 1_000_000  # elements; memories are only reserved


@cache
def corpus() -> list[bytes]:
    """Valid modules to start from: compiled C, in order of size, without the largest."""
    files = sorted([*ROOT.glob("benchmarks/kernels/*.wasm"), *ROOT.glob("examples/*.wasm")])
    return [file.read_bytes() for file in files]


def original(choose: random.Random) -> bytes:
    if choose.random() < 0.5:
        return smith.generate(choose.randrange(1 << 30))
    modules = corpus()
    # Small ones are faster, and a change hits something in them more often.
    return min(choose.choices(modules, k=3), key=len)


def mutant(seed: int) -> bytes:
    """The input of a seed."""
    choose = random.Random(seed)
    data = original(choose)
    if choose.random() < 0.35:
        for _ in range(choose.choice([1, 1, 3])):
            command = [smith.WASM_TOOLS, "mutate", "--seed", str(choose.getrandbits(63)), "--fuel", "1000"]
            done = subprocess.run(command, check=False, input=data, capture_output=True)
            if done.returncode == 0 and len(done.stdout) < MAX_BYTES:  # some mutations double a module
                data = done.stdout
        return data
    changed = bytearray(data)
    for _ in range(choose.choice([1, 1, 1, 2, 4, 16])):
        place = choose.randrange(8, len(changed))
        match choose.randrange(5):
            case 0:
                changed[place] ^= 1 << choose.randrange(8)
            case 1:
                changed[place] = choose.choice([0x00, 0x01, 0x0B, 0x40, 0x7C, 0x7F, 0x80, 0xFC, 0xFF])
            case 2:
                changed[place] = choose.randrange(256)
            case 3:
                del changed[place : place + choose.choice([1, 1, 4, 100])]
            case 4:
                changed[place:place] = choose.randbytes(choose.choice([1, 1, 4]))
        if len(changed) <= 8:
            break
    return bytes(changed)


@cache
def _judge() -> Any:
    """wasmtime with just the features that Brolga has."""
    config = wasmtime.Config()
    config.wasm_relaxed_simd = False
    for feature in ("simd", "threads", "tail_call", "multi_memory", "memory64", "exceptions", "gc",
                    "function_references", "custom_page_sizes", "wide_arithmetic", "stack_switching"):  # fmt: skip
        setattr(config, f"wasm_{feature}", False)
    return wasmtime.Engine(config)


def valid_for_wasmtime(data: bytes) -> str:
    """ "" if wasmtime validates the module, else its reason."""
    try:
        wasmtime.Module.validate(_judge(), data)
    except wasmtime.WasmtimeError as error:
        return str(error)
    return ""


def check(data: bytes) -> str:
    """What is wrong with Brolga's treatment of `data`, or ""."""
    reason = valid_for_wasmtime(data)
    config = brolga.Config()
    config.eager = True
    engine = brolga.Engine(config)
    try:
        module = brolga.Module(engine, data)
    except (errors.DecodeError, errors.ValidationError, errors.UnsupportedError) as error:
        return "" if reason else f"valid for wasmtime, refused: {error}"
    except errors.LimitError:
        return ""
    if reason:
        return f"accepted, but wasmtime says: {reason}"
    if any(isinstance(t, brolga.TableType) and t.limits.min > MAX_TABLE for t in module_types(module)):
        return ""
    try:
        _Mutant(brolga, engine, module, 0, CALL_SECONDS).run()
    except (errors.LinkError, errors.LimitError, MemoryError):
        return ""  # no room for its memories and tables
    return ""


def module_types(module: Any) -> list[Any]:
    return [item.type for item in [*module.imports, *module.exports]]


class _Mutant(subject.Subject):
    """A module of which nothing is known: sizes may be huge, so its state is not looked at."""

    def record_state(self) -> None:
        pass


def check_seed(seed: int) -> str:
    return check(mutant(seed))


def check_file(name: str) -> str:
    return check(Path(name).read_bytes())


def main() -> int:
    parser = argparse.ArgumentParser(description="Mutation fuzzer.")
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1, help="seed of the first mutant; the others follow")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so much time")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("found"))
    options = parser.parse_args()
    start = time.monotonic()
    failures = checked = 0
    if options.files:
        outcomes = run_isolated(check_file, [str(file) for file in options.files], options.workers, SECONDS)
    else:
        seeds = range(options.seed, options.seed + options.count)
        outcomes = run_isolated(check_seed, seeds, options.workers, SECONDS)
    for item, report, failure in outcomes:
        checked += 1
        if failure or report:
            failures += 1
            print(f"{item}: {failure or report}", flush=True)
            if not options.files:
                options.keep.mkdir(exist_ok=True)
                (options.keep / f"mutant-{item}.wasm").write_bytes(mutant(int(item)))
        if time.monotonic() - start > options.seconds:
            break
    print(f"{checked} mutants, {failures} failures, {time.monotonic() - start:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
