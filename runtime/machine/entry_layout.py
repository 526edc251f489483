"""Entry points: their kinds, and the layout of the objects.

There are three kinds of entry points: BY_STORE, called with the store as first argument; BOUND, called without; and METHOD, a method
descriptor in the class of instances. Its first argument is such an instance, which holds the addresses of the records of its functions
in a bytes object, and ENTRY_RECORD is an offset in that object.
"""

from __future__ import annotations

from typing import Final

from brolga.jit.wasm.types import F32, F64, I32, I64

BY_STORE: Final = 0
BOUND: Final = 1
METHOD: Final = 2
KINDS: Final = 3

# The instance of an entry point type, after the object header. STORE is compared only, with the first argument or, of a
# METHOD, with its class; Python attributes own it.
ENTRY_VECTORCALL: Final = 16
ENTRY_RECORD: Final = 24
ENTRY_STORE: Final = 32
ENTRY_SIZE: Final = 40

TYPE_OF_OBJECT: Final = 8  # ob_type
VALUE_OF_FLOAT: Final = 16  # ob_fval
RECORDS_OF_INSTANCE: Final = 16  # the first slot of a class whose base is `object`
BYTES_OF_OBJECT: Final = 32  # ob_sval

NUMBERS: Final = frozenset((I32, I64, F32, F64))  # types of which routines by signature can do with Python objects
