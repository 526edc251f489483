"""Modules that are imported when they are first wanted, from wherever that is.

A signal handler may come in the middle of an import and want the same module: it would find a half of it. Handlers run on the main
thread. So there, another thread imports, and the main thread waits: what a handler wants meanwhile gets ready meanwhile. An exception
that it raises leaves no half of a module behind either.
"""

from __future__ import annotations

import _imp
import os
import sys
import threading
from collections.abc import Callable
from importlib import import_module

from ..platform.address_space import address_space_left
from ..platform.interface import PlatformError
from .helper_threads import new_semaphore, start_thread, wake
from .lifetime import exiting

ROOM_FOR_A_THREAD = 1 << 30  # bytes of address space: the C library reserves up to 128 MiB for its heap, for good
SECONDS_BETWEEN_LOOKS = 0.02
PATIENCE = 10.0  # seconds, until the main thread tries it by itself: the other may wait for what was interrupted here


def import_late(*names: str, meanwhile: Callable[[], object] | None = None) -> None:
    """Have these modules imported. While that takes time, call `meanwhile`, which may raise."""
    missing = [name for name in names if not _is_there(name)]
    if not missing:
        return
    on_main = threading.get_ident() == threading.main_thread().ident
    if on_main and not exiting() and not _imp.lock_held() and address_space_left() >= ROOM_FOR_A_THREAD:
        _import_elsewhere(missing, meanwhile)
    for name in missing:
        import_module(name)  # if it is not there now, this says why


def _is_there(name: str) -> bool:
    module = sys.modules.get(name)
    return module is not None and not getattr(module.__spec__, "_initializing", False)


def _import_elsewhere(names: list[str], meanwhile: Callable[[], object] | None) -> None:
    """In another thread, if there is one, and as long as that makes sense."""
    process, done = os.getpid(), new_semaphore()

    def work() -> None:
        try:
            for name in names:
                import_module(name)
        except ImportError:  # the one who waits gets the same when it tries
            pass
        finally:
            wake(done)

    try:
        start_thread(work)
    except PlatformError:
        return
    patience = PATIENCE
    while not done.acquire(True, SECONDS_BETWEEN_LOOKS):
        if meanwhile is not None:
            meanwhile()
        patience -= SECONDS_BETWEEN_LOOKS
        if patience < 0 or os.getpid() != process:  # a handler has forked: the other thread is not in the child
            return
