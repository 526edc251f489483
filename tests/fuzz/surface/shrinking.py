"""Makes a failing sequence short: without steps that it does not need, with simpler arguments, without disturbances."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from .isolation import Outcome, run_all
from .steps import Argument, Sequence, Step

TRIES: Final = 4  # runs of a candidate, for what does not fail each time


def fails(sequence: Sequence, signature: str, tries: int = TRIES) -> Outcome | None:
    """The outcome if it fails in the same way."""
    for _ in range(tries):
        outcome = next(iter(run_all([sequence], 1)))
        if outcome.failures and outcome.signature == signature:
            return outcome
    return None


def shrink(found: Outcome, seconds: float) -> Outcome:
    """The shortest sequence found in so much time that still fails in the same way; the one given if it does not fail again."""
    end = time.monotonic() + seconds
    signature = found.signature
    best = fails(found.replayed(), signature)
    if best is None:
        return found

    def attempt(steps: list[Step]) -> bool:
        nonlocal best
        if time.monotonic() > end:
            return False
        outcome = fails(
            replace(found.sequence, steps=steps), signature, TRIES if "threads" in found.sequence.modes else 2
        )
        if outcome is None:
            return False
        best = replace(outcome, steps=steps)
        return True

    _drop(list(best.steps), attempt)
    changed = True
    while changed and time.monotonic() < end:
        changed = False
        for steps in _simpler(best.steps):
            if attempt(steps):
                changed = True
                break
    return best


def _drop(steps: list[Step], attempt: Callable[[list[Step]], bool]) -> None:
    """Leave out runs of steps, long ones first."""
    length = max(1, len(steps) // 2)
    while True:
        place = max(0, len(steps) - length)
        while place >= 0:
            shorter = steps[:place] + steps[place + length :]
            if len(shorter) < len(steps) and attempt(shorter):
                steps = shorter
            if place == 0:
                break
            place = max(0, place - length)
        if length == 1:
            return
        length = max(1, length // 2)


def _simpler(steps: list[Step]) -> Iterator[list[Step]]:
    for place, step in enumerate(steps):
        for simpler in _simpler_steps(step):
            yield [*steps[:place], simpler, *steps[place + 1 :]]


def _simpler_steps(step: Step) -> Iterator[Step]:
    if step.disturbance is not None:
        yield replace(step, disturbance=None)
        if step.disturbance[0] == "signal":
            yield from (
                replace(step, disturbance=[*step.disturbance[:-1], nested]) for nested in _fewer(step.disturbance[-1])
            )
    for number, argument in enumerate(step.args):
        for simpler in _simpler_arguments(argument):
            yield replace(step, args=[*step.args[:number], simpler, *step.args[number + 1 :]])


def _fewer(steps: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    if steps:
        yield []
    if len(steps) > 1:
        yield from (steps[:place] + steps[place + 1 :] for place in range(len(steps)))


def _simpler_arguments(argument: Argument) -> Iterator[Argument]:
    what = argument[0]
    if what == "lie":
        yield argument[2]
        yield argument[3]
        if argument[4]:
            yield [*argument[:4], False, argument[5]]
        yield from ([*argument[:5], nested] for nested in _fewer(argument[5]))
    elif what == "host":
        yield from ([*argument[:2], nested] for nested in _fewer(argument[2]))
    elif what == "list":
        yield from (["list", argument[1][:place] + argument[1][place + 1 :]] for place in range(len(argument[1])))
