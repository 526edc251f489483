"""Processes that run WebAssembly, or native code, on request: each line of JSON that they are given is answered by one.

Requests (see worker.py and worker.mjs, which are the other end):
    {"op": "load", "file": FILE}      compile the module      -> {"seconds": S, "bytes": N or null}    time and size of code
    {"op": "call", "n": N}            call its `run`          -> {"seconds": S, "result": checksum}
    {"op": "run", ...Job}             run it as a program     -> {"seconds": S}
Seconds are processor time of the whole process, spent in that call or compilation alone.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).resolve().parent

# Nothing said about WASI being experimental. Node 20 dies now and then where TurboFan's code calls WASI directly.
NODE: Final = ("node", "--no-warnings", "--no-turbo-fast-api-calls", str(HERE / "worker.mjs"))
# All code made by TurboFan, when the module is made.
TURBOFAN: Final = (NODE[0], "--no-liftoff", "--no-wasm-lazy-compilation", "--no-wasm-dynamic-tiering", *NODE[1:])

# What runs where; in this order in the tables.
ENGINES: Final = {
    "brolga": "brolga",
    "wasmtime": "PyPI wasmtime: Cranelift",
    "turbofan": "Node's optimising compiler",
    "native": "the C source by zig cc -O2, AVX2 level",
    "native-novec": "the same without vectorising",
    "ppci": "PyPI ppci, in-process",
}
OPTIONAL: Final = ("ppci",)  # only if asked for


class PeerError(Exception):
    """A peer cannot do what it was asked for, or it died."""


def absence(engine: str) -> str:
    """Why an engine cannot run here; empty if it can."""
    if engine == "turbofan":
        return "" if shutil.which("node") else "there is no node"
    package = "ziglang" if engine.startswith("native") else engine
    return "" if find_spec(package) else f"the package {package} is not installed"


def command(engine: str) -> list[str]:
    if engine == "turbofan":
        return list(TURBOFAN)
    return [sys.executable, str(HERE / "worker.py"), "native" if engine.startswith("native") else engine]


class Peer:
    """A process that is asked; `environment` is added to ours."""

    def __init__(self, engine: str, environment: dict[str, str] | None = None) -> None:
        self.engine = engine
        self._process = subprocess.Popen(
            command(engine),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | (environment or {}),
        )

    def ask(self, op: str, **arguments: object) -> dict[str, Any]:
        """The answer. Raises PeerError if there is none, or if it is an error."""
        process = self._process
        assert process.stdin and process.stdout
        try:
            process.stdin.write(json.dumps({"op": op, **arguments}) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise PeerError(f"{self.engine} died with status {process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerError(f"{self.engine}: {answer['error']}")
        return answer

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
