"""What a child of fork must forget: other threads of the parent may have been in the middle of something."""

from __future__ import annotations

import importlib._bootstrap
import sys
import threading
from typing import Final

_LATE: Final = ("brolga.", "keystone")  # parts that are imported when they are first needed


def forget_imports() -> None:
    """A thread that is not there any more holds the lock of each module that it was importing: let them be imported anew, ours
    and those that it was importing for ours."""
    locks = getattr(importlib._bootstrap, "_module_locks", {})
    owners = {name: getattr(lock(), "owner", None) for name, lock in list(locks.items())}
    gone = {owner for name, owner in owners.items() if name.startswith(_LATE)} - {None, threading.get_ident()}
    for name, owner in owners.items():
        if owner in gone or name.startswith(_LATE):
            module = sys.modules.get(name)
            if module is None or getattr(module.__spec__, "_initializing", False):
                locks.pop(name, None)
                sys.modules.pop(name, None)
