"""Two engines compared by what a module does on them."""

from __future__ import annotations

import random
from typing import Any

import interpreted
import subject
import wasmtime

import brolga
from brolga.jit.debug import KNOBS
from brolga.jit.settings import CPU_FEATURES
from brolga.jit.transformations import TRANSFORMATIONS, names_of


def brolga_engine(seed: int, fuel: bool = False) -> brolga.Engine:
    """An engine in one of many configurations: half are the default, the others vary platform, optimisation, CPU features,
    eagerness, which transformations are done, whether code checks what the compiler relied on, and whether every stage is verified. With `fuel` all consume it."""
    choose = random.Random(f"engine {seed}")
    KNOBS.verify = choose.random() < 0.3
    config = brolga.Config()
    config.consume_fuel = fuel
    if choose.random() < 0.5:
        return brolga.Engine(config)
    config.platform = choose.choice(["linux", "linux", "minimal"])
    config.eager = choose.random() < 0.3
    config.cranelift_opt_level = choose.choice(["none", "speed"])
    if random.Random(f"stack {seed}").random() < 0.3:
        config.max_wasm_stack = 2 << 20
    config.optimizations_off = choose_off(seed)
    engine = brolga.Engine(config)
    engine.settings.check_facts |= random.Random(f"facts {seed}").random() < 0.3
    engine.settings.features = frozenset(name for name in engine.settings.features if choose.random() < 0.6)
    return engine


def choose_off(seed: int) -> list[str]:
    """Transformations to be switched off: none, few, half of them or all."""
    choose = random.Random(f"off {seed}")
    share = choose.choice([0.0, 0.05, 0.05, 0.5, 0.5, 1.0])
    return [row.name for row in TRANSFORMATIONS if choose.random() < share]


def describe_engine(seed: int) -> str:
    settings = brolga_engine(seed).settings
    missing = [name for name in CPU_FEATURES if name not in settings.features]
    platform = "linux" if settings.signals else "minimal"
    lacks = ", ".join([*missing, *names_of(settings.off)])
    return f"platform {platform}, level {settings.opt_level}, without {lacks or 'nothing'}"


def wasmtime_engine(fuel: bool) -> wasmtime.Engine:
    config = wasmtime.Config()
    config.consume_fuel = fuel
    return wasmtime.Engine(config)


def observe(engine_name: str, wasm: bytes, seed: int, fuel: bool = False, backtraces: bool = False) -> list[str]:
    """The events of a module on an engine (or `interpreter`); a failure of the engine itself is the last one."""
    run: subject.Subject | None = None
    try:
        if engine_name == "interpreter":
            run = interpreted.InterpretedSubject(wasm, seed)
        else:
            api: Any = brolga if engine_name == "brolga" else wasmtime
            engine = brolga_engine(seed, fuel) if api is brolga else wasmtime_engine(fuel)
            run = subject.Subject(api, engine, api.Module(engine, wasm), seed, fuel=fuel, backtraces=backtraces)
        return run.run()
    except Exception as error:  # noqa: BLE001  any failure of an engine is an event
        events = run.events if run else []
        return [*events, f"raised {type(error).__name__}: {error}"]


def first_difference(
    wasm: bytes, seed: int, engines: tuple[str, str] = ("brolga", "wasmtime"), fuel: bool = False
) -> str | None:
    """What the engines do differently, or None. Where either exhausts its stack the rest is not compared."""
    backtraces = "interpreter" not in engines  # which has no frames
    left, right = (observe(engine, wasm, seed, fuel, backtraces) for engine in engines)
    for index in range(max(len(left), len(right))):
        a = left[index] if index < len(left) else "nothing"
        b = right[index] if index < len(right) else "nothing"
        if subject.STACK_OVERFLOW in a or subject.STACK_OVERFLOW in b:
            return None
        if a != b:
            before = left[index - 1] if index else "-"
            engine = describe_engine(seed)
            return f"{engine}\n event {index}, after {before}\n  {engines[0]}: {a}\n  {engines[1]}: {b}"
    return None
