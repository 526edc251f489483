"""Implementation limits: a module that exceeds one ends in a LimitError, whatever else is right or wrong with it.

The base is what all engines for the web agree on (WebAssembly JavaScript Interface, Implementation-defined limits), so
a module that runs in a browser runs here. The last group is Brolga's own: it keeps time and memory of compilation
linear in the size of a function.
"""

from __future__ import annotations

from typing import Final

MAX_MODULE_BYTES: Final = 1 << 30
MAX_TYPES: Final = 1_000_000
MAX_FUNCTIONS: Final = 1_000_000  # imported ones included, as for tables, memories and globals
MAX_IMPORTS: Final = 1_000_000
MAX_EXPORTS: Final = 1_000_000
MAX_GLOBALS: Final = 1_000_000
MAX_TABLES: Final = 100_000
MAX_MEMORIES: Final = 100_000
MAX_TAGS: Final = 1_000_000
MAX_DATA_SEGMENTS: Final = 100_000
MAX_ELEMENT_SEGMENTS: Final = 100_000
MAX_SEGMENT_ELEMENTS: Final = 10_000_000  # of one element segment
MAX_NAME_BYTES: Final = 100_000
MAX_PARAMS: Final = 1_000
MAX_RESULTS: Final = 1_000
MAX_FUNCTION_BYTES: Final = 7_654_321
MAX_LOCALS: Final = 50_000  # parameters included
MAX_BR_TABLE_TARGETS: Final = 65_520  # without the default

MAX_NESTING: Final = 10_000  # blocks, loops and ifs around an operator
MAX_CONST_OPERATORS: Final = 100_000  # of one constant expression
# The rest is known when a function is compiled.
MAX_MERGED_LOCALS: Final = 4_000_000  # locals that blocks, loops and ifs take over from several ways into them, in sum
MAX_CONSTRUCT_LOCALS: Final = 1 << 30  # number of blocks, loops and ifs times number of locals
MAX_PASSED_VALUES: Final = 8_000_000  # locals and operands that branches and calls pass on, in sum

# Not a limit but a rule of fuel that startup needs too: constant lengths up to this one are paid later.
SMALL_LENGTH: Final = 128
