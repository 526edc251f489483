"""Two engines compared by what a module does on them."""

from __future__ import annotations

import importlib
from typing import Any

import interpreted
import subject


def observe(engine_name: str, wasm: bytes, seed: int) -> list[str]:
    """The events of a module on an engine (or `interpreter`); a failure of the engine itself is the last one."""
    run: subject.Subject | None = None
    try:
        if engine_name == "interpreter":
            run = interpreted.InterpretedSubject(wasm, seed)
        else:
            api: Any = importlib.import_module(engine_name)
            engine = api.Engine()
            run = subject.Subject(api, engine, api.Module(engine, wasm), seed)
        return run.run()
    except Exception as error:  # noqa: BLE001  any failure of an engine is an event
        events = run.events if run else []
        return [*events, f"raised {type(error).__name__}: {error}"]


def first_difference(wasm: bytes, seed: int, engines: tuple[str, str] = ("brolga", "wasmtime")) -> str | None:
    """What the engines do differently, or None. Where either exhausts its stack the rest is not compared."""
    left, right = (observe(engine, wasm, seed) for engine in engines)
    for index in range(max(len(left), len(right))):
        a = left[index] if index < len(left) else "nothing"
        b = right[index] if index < len(right) else "nothing"
        if subject.STACK_OVERFLOW in a or subject.STACK_OVERFLOW in b:
            return None
        if a != b:
            before = left[index - 1] if index else "-"
            return f"event {index}, after {before}\n  {engines[0]}: {a}\n  {engines[1]}: {b}"
    return None
