"""Which functions are referred to outside of bodies: `Module.declared_refs` and `Module.escaping`.

All that a decoded module needs before it can be instantiated if its bytes are known to be valid.
"""

from __future__ import annotations

from .types import CONST_REF_FUNC, EXTERN_FUNC, ConstExpr, Module


def collect_references(module: Module) -> None:
    """Functions that occur outside of bodies may be referred to within them; those are also the ones that escape."""
    declared: set[int] = set()
    for export in module.exports:
        if export.kind == EXTERN_FUNC:
            declared.add(export.index)
    for entry in module.globals:
        _add_references(entry.init, declared)
    for segment in module.elements:
        _add_references(segment.offset, declared)
        for item in segment.items:
            _add_references(item, declared)
    for data_segment in module.data_segments:
        _add_references(data_segment.offset, declared)
    module.declared_refs = declared
    imported = module.imported_funcs
    count = len(module.func_types)
    module.escaping = sorted([func for func in declared if imported <= func < count])


def _add_references(expr: ConstExpr, declared: set[int]) -> None:
    for op in expr:
        if op.op == CONST_REF_FUNC:
            declared.add(op.operand)
