"""Layouts of the C structures that hand-written machine code and Python share.

The instance context (`brolga.jit.vmctx`) leaves 32 bytes to the runtime; the instance that owns a context fills them:
"""

from __future__ import annotations

from typing import Final

# In the instance context.
CTX_MEMORIES: Final = 32  # address of the context's array of pointers to memory records
CTX_DATA_SEGMENTS: Final = 40  # address of an array of {address, length} by data segment; length 0 when dropped
CTX_TABLES: Final = 48  # address of the context's array of pointers to table records
CTX_INSTANCE: Final = 56  # free for the embedding API: a number by which it finds the instance
