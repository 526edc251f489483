"""The activation state of a store."""

from __future__ import annotations


class StoreState:
    """What machine code must know of one store: goes into CTX_ACTIVATION of every context of the store.

    A store runs on one thread at a time; a call from a second thread raises RuntimeError. Keep the object alive as long as
    any context that points to it.
    """

    @property
    def address(self) -> int:
        """Address of the activation state."""
        raise NotImplementedError

    @property
    def running(self) -> bool:
        """Whether wasm of this store (or a host function called by it) is on some thread's stack."""
        raise NotImplementedError

    def interrupt(self) -> None:
        """From any thread: end every activation that is running now with an INTERRUPT trap. Later ones are not affected."""
        raise NotImplementedError
