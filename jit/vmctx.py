"""Layout of the instance context (vmctx): what machine code finds at `r15`.

    offset  size  field
    0       8     pointer to the activation state of the store (owned by runtime; see ACTIVATION_*)
    8       8     pointer to the record of memory 0 (0 if the module has none)
    16      8     base address of memory 0, a copy (it never changes where memories are reservations)
    24      8     pointer to the engine's table of builtin routines (8 bytes each, by number)
    32      32    reserved for runtime
    64      ...   by module, in this order, each group aligned to 8 bytes:
                  signature ids        4 bytes each, by type index: process-wide canonical numbers, from 1
                  imported functions   32 bytes each: function record (a copy of the importee's)
                  imported globals     8 bytes each: pointer to the global's cell
                  memories             8 bytes each: pointer to its memory record
                  tables               8 bytes each: pointer to its table record
                  own globals          8 bytes each: the cell itself
                  escaping functions   32 bytes each: function record, by place in `Module.escaping`

Records that several instances may share, with the offsets of their fields:

    memory record    base +0, length in bytes +8
    table record     base +0, length in elements +8
    function record  code +0, vmctx +8, signature id +16 (4 bytes), itself +24
                     (a funcref value is the address of a function record, null is 0)
    table element    funcref tables: a copy of the function record, all zero for null (32 bytes);
                     externref tables: the reference (8 bytes, 0 is null)

A host function has a record too: `code` is its trampoline and `vmctx` the host function's own context, whose first
field (offset 0) is the activation state as in an instance's.
"""

from __future__ import annotations

from typing import Final, final

from .wasm.types import Module

CTX_ACTIVATION: Final = 0
CTX_MEMORY0_RECORD: Final = 8
CTX_MEMORY0_BASE: Final = 16
CTX_BUILTINS: Final = 24
CTX_FIXED_SIZE: Final = 64

# Fields of the activation state that compiled code reads (only where the platform cannot do without).
ACTIVATION_STACK_LIMIT: Final = 0  # lowest rsp that an explicit stack check lets pass
ACTIVATION_INTERRUPT: Final = 8  # u32, not zero: an explicit poll calls the builtin `interrupt`
# And one that code compiled for accounting reads and writes.
ACTIVATION_FUEL: Final = 112  # i64: minus the fuel that is left, if negative

MEMORY_BASE: Final = 0
MEMORY_LENGTH: Final = 8
TABLE_BASE: Final = 0
TABLE_LENGTH: Final = 8

FUNC_CODE: Final = 0
FUNC_VMCTX: Final = 8
FUNC_SIGNATURE: Final = 16
FUNC_SELF: Final = 24
FUNC_RECORD_SIZE: Final = 32

EXTERNREF_SIZE: Final = 8


@final
class ContextLayout:
    """Byte offsets within the vmctx of one module's instances, and its `size`."""

    __slots__ = (
        "signature_ids",
        "imported_funcs",
        "imported_globals",
        "memories",
        "tables",
        "own_globals",
        "escaping",
        "size",
        "_imported_global_count",
        "_imported_func_count",
        "_escaping_slot",
    )

    def __init__(self, module: Module) -> None:
        offset = CTX_FIXED_SIZE
        self.signature_ids = offset
        offset += (4 * len(module.types) + 7) & ~7
        self.imported_funcs = offset
        offset += FUNC_RECORD_SIZE * module.imported_funcs
        self.imported_globals = offset
        offset += 8 * module.imported_globals
        self.memories = offset
        offset += 8 * len(module.memory_types)
        self.tables = offset
        offset += 8 * len(module.table_types)
        self.own_globals = offset
        offset += 8 * len(module.globals)
        self.escaping = offset
        offset += FUNC_RECORD_SIZE * len(module.escaping)
        self.size = offset
        self._imported_global_count = module.imported_globals
        self._imported_func_count = module.imported_funcs
        self._escaping_slot = {func: slot for slot, func in enumerate(module.escaping)}

    def signature_id(self, type_index: int) -> int:
        return self.signature_ids + 4 * type_index

    def imported_func(self, func: int) -> int:
        """Offset of the function record of imported function `func`."""
        return self.imported_funcs + FUNC_RECORD_SIZE * func

    def imported_global(self, index: int) -> int:
        """Offset of the pointer to the cell of imported global `index`."""
        return self.imported_globals + 8 * index

    def own_global(self, index: int) -> int:
        """Offset of the cell of global `index` (index space; must be a defined one)."""
        return self.own_globals + 8 * (index - self._imported_global_count)

    def memory(self, index: int) -> int:
        return self.memories + 8 * index

    def table(self, index: int) -> int:
        return self.tables + 8 * index

    def escaping_func(self, func: int) -> int:
        """Offset of the function record of defined function `func`, which must be in `Module.escaping`."""
        return self.escaping + FUNC_RECORD_SIZE * self._escaping_slot[func]
