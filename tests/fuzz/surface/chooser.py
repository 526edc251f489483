"""Chooses steps, from a seed and from what there is."""

from __future__ import annotations

import random
from dataclasses import asdict
from typing import Any, Final

from . import guests
from .arguments import draw, draw_right, draw_value
from .disturbances import draw_disturbance
from .operations import OPERATORS, Operation, Parameter, operations
from .steps import Argument, Sequence, Step
from .world import Thing, World

# How often classes are chosen, where it is not once.
WEIGHTS: Final = {
    "Memory": 4, "BoundMemory": 4, "Table": 4, "BoundTable": 3, "Global": 3, "BoundGlobal": 3, "Store": 5, "Func": 3, "BoundFunc": 3,
    "Instance": 3, "Linker": 3, "Module": 2, "Engine": 2, "BoundInstance": 2, "Caller": 2, "": 2, "WasiConfig": 2,
}  # fmt: skip
RARE: Final = 0.15  # exceptions and their like
CLOSING: Final = frozenset(
    {"close", "with", "init", "delete", "delitem", "replace"}
)  # done more rarely, so that something is left
WAYS: Final = ["new", "new", "new", "same store", "same store", "load", "load", "linker"]


class Chooser:
    """For one thread of a sequence."""

    def __init__(self, world: World, sequence: Sequence, thread: int) -> None:
        self.world = world
        self.rng = random.Random(f"{sequence.seed} {thread}")
        self.thread = thread
        self.modes = sequence.modes
        self._leave_out = frozenset(sequence.leave_out)
        self.odd = self.rng.choice([0.0, 0.05, 0.2])
        self.hostile = self.rng.choice([0.0, 0.05, 0.25])
        self._count = 0
        self._depth = 0

    def label(self) -> str:
        self._count += 1
        return f"{self.thread}.{self._count}"

    def step(self) -> Step:
        """The next one."""
        step = self._step()
        if self._depth == 0:
            step.disturbance = draw_disturbance(self, step)
        return step

    def _step(self) -> Step:
        roll = self.rng.random()
        if roll < 0.1 or not self.world.of_kind("Store"):
            return self._build()
        if roll < 0.4:
            found = self.world.choose(self.rng, ("Func", "BoundFunc"))
            if found is not None:
                return self._call(found)
        if roll < 0.43:
            return Step(self.label(), "fork") if "forks" in self.modes and self._depth == 0 else self._build()
        if roll < 0.47:
            found = self.world.choose(self.rng, ("coroutine",))
            if found is not None:
                return Step(self.label(), "drive", target=["ref", found.label], args=[["value", self.rng.randrange(4)]])
        return self._operation()

    def nested(self, count: int, owner: str) -> list[dict[str, Any]]:
        """Steps that something does in the middle of another."""
        if self._depth >= 2:
            return []
        self._depth += 1
        try:
            return [asdict(self.step()) for _ in range(count)]
        finally:
            self._depth -= 1

    def any_thing(self) -> Argument:
        things = self.world.snapshot()
        return ["ref", self.rng.choice(things).label] if things else ["value", None]

    def _build(self) -> Step:
        """An instance of a module, with all that it needs."""
        rng = self.rng
        names = sorted(guests.TEXTS)
        options = {
            "fuel": rng.random() < 0.15,
            "epochs": rng.random() < 0.1,
            "stack": rng.choice([0, 0, 0, 0, 20_000, 100_000]),
            "eager": rng.random() < 0.2,
            "minimal": rng.random() < 0.15,
            "opt": rng.random() < 0.8,
        }
        step = Step(self.label(), "build", rng.choice(names), rng.choice(WAYS), args=[["options", options]])
        found = self.world.choose(rng, ("Store",))
        if found is not None:
            step.target = ["ref", found.label]
        return step

    def _call(self, function: Thing) -> Step:
        known = guests.FUNCTIONS.get(function.known)
        step = Step(self.label(), "call", function.kind, target=["ref", function.label])
        bound = function.kind == "BoundFunc"
        if not bound:
            step.args.append(self._draw(step, Parameter("store", "Storelike", True, False), function.owner))
        if known is None:
            count = self.rng.choice([0, 0, 1, 1, 2, 3])
            step.args += [
                draw_value(self, self.rng.choice(["i32", "i64", "externref", "f64"]), function.owner)
                for _ in range(count)
            ]
            step.right = False
        else:
            for name in known.params:
                if self.rng.random() < self.odd + self.hostile:
                    step.args.append(self._draw(step, Parameter("value", name, True, False), function.owner))
                else:
                    step.args.append(draw_value(self, name, function.owner))
            step.name = ""
        endless = known is None or function.known in guests.ENDLESS
        if endless or self.rng.random() < 0.1:
            seconds = self.rng.choice(
                ["0.0", "0.001", "0.005", "1e-9", "-1.0"] if endless else ["9.0", "0.001", "1e9", "inf", "nan"]
            )
            step.keywords["timeout"] = ["float", seconds]
        if self.rng.random() < 0.05:
            step.kind, step.name = "method", "call_async"
        return step

    def _operation(self) -> Step:
        """Any operation on anything."""
        rng = self.rng
        table = operations()
        names = sorted(table)
        weights = [
            WEIGHTS.get(name, RARE if name.endswith(("Error", "Trap", "Code", "Perms")) else 1) for name in names
        ]
        while True:
            owner = rng.choices(names, weights)[0]
            operation = rng.choice(table[owner])
            if self._leave_out & {f"{owner}.{operation.name}", operation.kind}:
                continue
            if CLOSING & {operation.kind, operation.name} and rng.random() < 0.75:
                continue
            if operation.kind in ("bare", "replace") and rng.random() < 0.9:
                continue
            target = self.world.choose(rng, (owner,)) if operation.needs_target else None
            if operation.needs_target and target is None:
                continue
            if operation.kind == "call" and target is not None:
                return self._call(target)
            return self._made(operation, target)

    def _made(self, operation: Operation, target: Thing | None) -> Step:
        rng = self.rng
        step = Step(self.label(), operation.kind, operation.owner, operation.name)
        owner = ""
        if target is not None:
            step.target, owner = ["ref", target.label], target.owner
        if not owner:
            store = self.world.choose(rng, ("Store",))
            owner = store.label if store is not None else ""
        step.right = operation.kind != "bare"
        endless = operation.name == "call_async" and (target is None or target.known in ("", *guests.ENDLESS))
        for parameter in operation.parameters:
            if parameter.name == "timeout":
                if endless or rng.random() < 0.3:
                    step.keywords["timeout"] = draw_right(self, parameter, owner)
            elif parameter.many:
                step.args += [self._draw(step, parameter, owner) for _ in range(rng.randrange(3))]
            elif parameter.keyword:
                if rng.random() < 0.5:
                    step.keywords[parameter.name] = self._draw(step, parameter, owner)
            elif parameter.required or rng.random() < 0.6:
                step.args.append(self._draw(step, parameter, owner))
            else:
                break
        if operation.kind not in OPERATORS and rng.random() < self.odd * 0.2:  # one too few or too many
            step.right = False
            if step.args and rng.random() < 0.5:
                step.args.pop()
            else:
                step.args.append(self.any_thing())
        return step

    def _draw(self, step: Step, parameter: Parameter, owner: str) -> Argument:
        argument, right = draw(self, parameter, owner)
        step.right = step.right and right
        return argument
