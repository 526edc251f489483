"""Settings of the compiler. They are part of the key of cached code."""

from __future__ import annotations

from typing import Final, final

from .transformations import mask_of, names_of

MEMORY_BASE_GS: Final = 0  # the gs segment base holds the base of memory 0
MEMORY_BASE_REGISTER: Final = 1  # r14 holds it

BOUNDS_GUARD: Final = 0  # accesses outside fault: the memory is a reservation of 4 GiB + 4 GiB + a page
BOUNDS_EXPLICIT: Final = 1  # compare with the memory record's length, take the base from the record at each access
BOUNDS_BESIDE_GUARD: Final = (
    2  # the same, in a process that has code with BOUNDS_GUARD too: calls of other instances set its base
)

CPU_FEATURES: Final = ("sse41", "popcnt", "lzcnt", "bmi1", "bmi2", "avx", "fma")


@final
class Settings:
    """What the generated code may assume of platform and CPU.

    memory_base      MEMORY_BASE_GS or MEMORY_BASE_REGISTER (with BOUNDS_EXPLICIT neither is used)
    bounds           BOUNDS_GUARD, BOUNDS_EXPLICIT or BOUNDS_BESIDE_GUARD
    signals          faults become traps by signal handler; else division and the like are checked by compares and a trap
                     calls the trap routine (CompiledFunction.traps then names return addresses)
    stack_guard      the stack ends in a guard area, on which overflow faults
    stack_limit      function entries compare rsp with ACTIVATION_STACK_LIMIT; without a guard area they always do
    poll             loop heads and function entries test ACTIVATION_INTERRUPT
    fuel             functions account for the fuel that they use at ACTIVATION_FUEL
    opt_level        0: no optimisation beyond what building gives, 1: cheap passes, 2: all
    features         the set of names from CPU_FEATURES that may be used
    check_facts      what analyses say (of bits, fields, sums, loads) is checked at run time, and traps if it is wrong: for debugging
    off              the transformations that are switched off: a mask of the bits in transformations.py
    """

    __slots__ = (
        "memory_base",
        "bounds",
        "signals",
        "stack_guard",
        "poll",
        "opt_level",
        "features",
        "fuel",
        "stack_limit",
        "off",
        "check_facts",
    )

    def __init__(
        self,
        memory_base: int = MEMORY_BASE_GS,
        bounds: int = BOUNDS_GUARD,
        signals: bool = True,
        stack_guard: bool = True,
        poll: bool = False,
        opt_level: int = 2,
        features: frozenset[str] = frozenset(),
        fuel: bool = False,
        stack_limit: bool = False,
        off: int = 0,
        check_facts: bool = False,
    ) -> None:
        self.memory_base = memory_base
        self.bounds = bounds
        self.signals = signals
        self.stack_guard = stack_guard
        self.poll = poll
        self.opt_level = opt_level
        self.features = features
        self.fuel = fuel
        self.stack_limit = stack_limit
        self.off = off
        self.check_facts = check_facts

    def beside_guard(self) -> Settings:
        """The same for code whose memory has no guard area, where others have one."""
        settings = Settings.parse(self.describe(), self.describe_features())
        settings.bounds = BOUNDS_BESIDE_GUARD
        return settings

    def describe(self) -> str:
        """All but the CPU features, as text: code compiled with settings that read alike fits in the same places."""
        return (
            f"memory_base={self.memory_base} bounds={self.bounds} signals={int(self.signals)} "
            f"stack_guard={int(self.stack_guard)} poll={int(self.poll)} opt_level={self.opt_level} fuel={int(self.fuel)} "
            f"stack_limit={int(self.stack_limit)} off={','.join(names_of(self.off))} check_facts={int(self.check_facts)}"
        )

    def describe_features(self) -> str:
        """The CPU features, as text."""
        return ",".join(sorted(self.features))

    @staticmethod
    def parse(description: str, features: str) -> Settings:
        """The settings that `describe` and `describe_features` tell. Raises ValueError if they are not understood."""
        values: dict[str, int] = {}
        for word in description.split():
            name, _, value = word.partition("=")
            values[name] = mask_of(filter(None, value.split(","))) if name == "off" else int(value)
        settings = Settings(
            memory_base=values.pop("memory_base", -1),
            bounds=values.pop("bounds", -1),
            signals=values.pop("signals", 0) != 0,
            stack_guard=values.pop("stack_guard", 0) != 0,
            poll=values.pop("poll", 0) != 0,
            opt_level=values.pop("opt_level", -1),
            features=frozenset(filter(None, features.split(","))),
            fuel=values.pop("fuel", 0) != 0,
            stack_limit=values.pop("stack_limit", 0) != 0,
            off=values.pop("off", 0),
            check_facts=values.pop("check_facts", 0) != 0,
        )
        if settings.describe() != description or values:
            raise ValueError(f"unknown settings: {description}")
        return settings
