"""The runtime: engines, modules, stores and what they are made of."""

import sys
from importlib import import_module
from typing import Any


def _refuse_subinterpreters() -> None:
    """Signal handlers, the watchdog, stacks of threads and code pages are the process's, and what they refer to is one interpreter's;
    hooks of fork and exit run in the interpreter that forks or ends, and signal handlers in the main one. This is before ctypes is
    imported: a second interpreter that does so breaks it in the first."""
    interpreters: Any
    try:
        interpreters = import_module("_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters")
    except ImportError:
        return  # built without them
    if interpreters.get_current() != interpreters.get_main():
        raise ImportError("brolga works in the main interpreter only, not in subinterpreters")


_refuse_subinterpreters()
