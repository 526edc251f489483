"""`Engine`: the machine that code runs on, and the settings it is compiled with."""

from __future__ import annotations

import os
import weakref
from functools import partial
from operator import index
from typing import TYPE_CHECKING, final

from brolga.ir.errors import WasmtimeError
from brolga.jit.transformations import mask_of

from .arguments import instance_of, refuse_second_init
from .cache import wants_compiler
from .config import Config
from .machine import Machine, machine
from .machine.layout import STACK_SIZE
from .managed import SlottedManaged

if TYPE_CHECKING:
    from .machine import StoreState


@final
class Epoch:
    """A number that only grows, and the stores that have a deadline in it.

    No locks: signal handlers begin epochs and set deadlines too. Each operation on the dictionary is a single step, and whoever lets a
    store run looks afterwards whether its deadline has passed meanwhile.
    """

    __slots__ = ("_states", "now")

    def __init__(self) -> None:
        self.now = 0
        self._states: dict[int, weakref.ref[StoreState]] = {}  # by id

    def increment(self) -> None:
        """The next epoch: what runs in stores whose deadline it is ends with an interrupt trap."""
        self.now += 1  # a single step
        for reference in list(self._states.values()):
            state = reference()
            if state is not None:
                state.refuse_from(self.now)

    def set_deadline(self, state: StoreState, ticks: int) -> None:
        """The store may run until `ticks` epochs from now have begun."""
        ticks = index(ticks)
        key = id(state)
        if key not in self._states:
            self._states[key] = weakref.ref(state, partial(self._states.pop, key))
        state.epoch_deadline = deadline = self.now + ticks
        if deadline > self.now:
            state.allow()
        state.refuse_from(self.now)


def _max_stack(config: Config) -> int:
    """What is configured, 0 if nothing is."""
    size = config._max_stack
    if size is None:
        return 0
    if size == 0:
        raise WasmtimeError("max_wasm_stack size cannot be zero")
    if not 0 < size <= STACK_SIZE:
        raise WasmtimeError("max_wasm_stack size cannot exceed the async_stack_size")
    return size


def _off_by_environment() -> int:
    """The transformations that BROLGA_OFF switches off."""
    try:
        return mask_of(word for word in os.environ.get("BROLGA_OFF", "").split(",") if word)
    except ValueError as error:
        raise WasmtimeError(f"BROLGA_OFF: {error}") from error


@final
class Engine(SlottedManaged):
    """What stores and modules have in common: platform, compiler settings. A module works in the stores of all engines that have
    the same platform and agree in `consume_fuel` and in whether there is a `max_wasm_stack`."""

    __slots__ = ("cache", "eager", "epoch", "machine", "max_stack", "parallel", "perf_map", "settings", "shared_memory")

    def __init__(self, config: Config | None = None) -> None:
        refuse_second_init(self, "machine")
        config = Config() if config is None else instance_of(Config, config, "Config")
        self.machine: Machine = machine(config._platform or os.environ.get("BROLGA_PLATFORM", "linux"))
        self.settings = self.machine.settings(config._opt_level, off=config._off | _off_by_environment())
        self.settings.check_facts = os.environ.get("BROLGA_CHECK", "") not in ("", "0")
        self.settings.fuel = config._fuel
        self.max_stack = _max_stack(config)
        self.settings.stack_limit = self.max_stack > 0
        self.eager = config._eager
        self.cache = None if wants_compiler() else config._cache
        self.epoch = Epoch() if config._epochs else None
        self.shared_memory = config._shared_memory
        self.parallel = config._parallel
        self.perf_map = config._perf_map
        config.close()

    def increment_epoch(self) -> None:
        """Begin the next epoch. May be called from any thread."""
        if self.epoch is not None:
            self.epoch.increment()

    def is_pulley(self) -> bool:
        """Whether code is interpreted: never."""
        return False
