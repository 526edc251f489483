"""What a child of fork must forget: other threads of the parent may have been in the middle of something."""

from __future__ import annotations

import importlib._bootstrap
import sys
import threading


def forget_imports() -> None:
    """A thread that is not there any more holds the lock of each module that it was importing, where whoever wants the module would
    wait for ever: let them be imported anew. What this thread was importing it goes on importing."""
    locks = getattr(importlib._bootstrap, "_module_locks", {})
    here = threading.get_ident()
    for name, reference in list(locks.items()):
        if getattr(reference(), "owner", None) not in (None, here):
            locks.pop(name, None)
            module = sys.modules.get(name)
            if module is not None and getattr(getattr(module, "__spec__", None), "_initializing", False):
                sys.modules.pop(name, None)
