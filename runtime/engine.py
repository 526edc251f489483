"""`Engine`: the machine that code runs on, and the settings it is compiled with."""

from __future__ import annotations

import os
from typing import final

from .config import Config
from .machine import Machine, machine


@final
class Engine:
    """What stores and modules have in common: platform, compiler settings. Modules of one engine work in its stores only."""

    __slots__ = ("eager", "machine", "settings")

    def __init__(self, config: Config | None = None) -> None:
        if config is None:
            config = Config()
        elif not isinstance(config, Config):
            raise TypeError("expected Config")
        self.machine: Machine = machine(config._platform or os.environ.get("BROLGA_PLATFORM", "linux"))
        self.settings = self.machine.settings(config._opt_level)
        self.eager = config._eager

    def is_pulley(self) -> bool:
        """Whether code is interpreted: never."""
        return False
