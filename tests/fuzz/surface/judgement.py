"""What comes out of a step: whether an error is one of those that are documented, whether a result is right."""

from __future__ import annotations

import pickle
import re
import traceback
from typing import Any, Final

from brolga import BrolgaError

from . import guests
from .disturbances import PACKAGE, Interruption
from .hostile import Hostile
from .steps import Sequence, Step
from .world import World

EXPECTED: Final = (
    BrolgaError,
    TypeError,
    ValueError,
    KeyError,
    IndexError,
    OSError,
    Hostile,
    Interruption,
    RecursionError,
    GeneratorExit,
)
# What CPython makes of a failed allocation here and there.
LOST_ERRORS: Final = re.compile("without (setting an )?exception|can't allocate lock|can't start new thread")


def untyped(error: BaseException, step: Step, world: World, sequence: Sequence) -> str | None:
    """What is wrong with this error, or None."""
    if type(error).__name__ in sequence.leave_out:
        return None
    try:
        text = str(error)
    except Exception as failure:  # noqa: BLE001
        return f"untyped {type(failure).__name__} in str({type(error).__name__}) {where(failure)} after {where(error)}, {step}"
    without_memory = "memory" in sequence.modes
    may_be: list[tuple[type[BaseException] | tuple[type[BaseException], ...], bool]] = [
        (LookupError, step.kind not in ("get", "set", "repr", "len", "hash", "build")),
        (EXPECTED, not isinstance(error, LookupError)),
        (MemoryError, world.scarce or without_memory),
        ((RuntimeError, SystemError), without_memory and LOST_ERRORS.search(text) is not None),
        (RuntimeError, "on another thread" in text),
        ((RuntimeError, StopIteration), step.kind == "drive"),
        (NotImplementedError, step.owner == "Managed"),
        (
            pickle.PicklingError,
            without_memory or "it's not the same object" in text,
        ),  # the class of an instance is made for its module
        (AttributeError, world.unmade or _is_of_no_attribute(error, step)),
    ]
    if any(holds and isinstance(error, kind) for kind, holds in may_be):
        return None
    return f"untyped {type(error).__name__}: {error} {where(error)} in {str(step)[:200]}"


def _is_of_no_attribute(error: BaseException, step: Step) -> bool:
    """Whether Python says that there is no attribute of that name, and not something that the package did with an object."""
    frames = traceback.extract_tb(error.__traceback__)
    asked = not frames or not frames[-1].filename.startswith(PACKAGE) or frames[-1].name == "__getattr__"
    return asked and step.kind in ("attribute", "delete", "delitem", "set", "get", "call", "method")


def where(error: BaseException) -> str:
    """Where in the package it was raised, and whence that was called."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(PACKAGE)]
    return " < ".join(
        f"{frame.filename.removeprefix(PACKAGE)}:{frame.lineno} {frame.name}" for frame in reversed(frames[-3:])
    )


# --- Results ----------------------------------------------------------------------------------------------------------------


def wrong_result(
    world: World, sequence: Sequence, step: Step, target: Any, known: str, args: list[Any], result: Any, least: int
) -> str | None:
    """What is wrong with what a step with right arguments has returned, or None. `least` is what the size of a memory or table was at least
    when it began."""
    if step.kind == "call" and known in guests.FUNCTIONS:
        compute = guests.FUNCTIONS[known].compute
        values = args[1:] if step.owner == "Func" else args
        if compute is not None and not guests.same_value(result, compute(*values)):
            return f"{known}{tuple(values)!r} is {compute(*values)!r} and not {result!r}"
    if step.owner in ("Memory", "Table") and step.name in ("size", "grow"):
        if result < least:
            return f"{step.owner}.{step.name} gives {result}, but there were {least}"
        world.note_size(step.target, result + (args[1] if step.name == "grow" else 0))
    if set(sequence.modes) <= {"forks"} and all(argument[0] in ("ref", "value", "bytes") for argument in step.args):
        return _not_kept(step, target, args)
    return None


def _not_kept(step: Step, target: Any, args: list[Any]) -> str | None:
    """Whether what was written is there. Nothing else runs."""
    if (step.owner, step.name) == ("Memory", "write") and isinstance(args[1], bytes) and args[1]:
        store, data, *places = args
        first = places[0] if places and places[0] is not None else 0
        if first >= 0 and target.read(store, first, first + len(data)) != data:
            return f"{data!r} was written at {first}, and is not there"
    if (step.owner, step.name) == ("BoundMemory", "write") and isinstance(args[1], bytes):
        start, data = args
        if target.read(start, start + len(data)) != data:
            return f"{data!r} was written at {start}, and is not there"
    if (step.owner, step.name) == ("Table", "set"):
        store, index, value = args
        found = target.get(store, index)
        if found is not value and type(value).__name__ != "Val":
            return f"element {index} of a table was set to {value!r}, and is {found!r}"
    if (
        (step.owner, step.name) == ("Global", "set_value")
        and isinstance(args[1], int)
        and not isinstance(args[1], bool)
    ):
        found = target.value(args[0])
        if isinstance(found, int) and (found - args[1]) % (1 << 32):
            return f"a global was set to {args[1]}, and is {found}"
    return None
