"""The hand-written routines of a machine: which there are, and what their texts name.

Only when one is to be assembled. `preassembled` keeps them, under their names, for later processes, which do not read the texts.
"""

from __future__ import annotations

from typing import Final

from brolga.ir import trap_codes
from brolga.jit import builtins
from brolga.jit.code import TRAP_CALL_SIZE

from ..platform.linux import SA_ONSTACK, SA_SIGINFO
from . import bulk, handler_code, memory_code
from . import entry_exit as E
from . import entry_layout as Y
from . import fiber_code as F
from . import host_calls as H
from . import signals as S
from . import trap_exits as T
from .entry_code import MOST_SLOW_ARGUMENTS, SLOW_CALL
from .variant import Variant

_TEXTS: Final = {
    "ATTACH": E.ATTACH,
    "EXIT_FAILED": E.EXIT_FAILED,
    "LEAVE_OUT_OF_ORDER": T.LEAVE_OUT_OF_ORDER,
    "RETURN_OUT_OF_ORDER": T.RETURN_OUT_OF_ORDER,
    "EXIT_RAISED": T.EXIT_RAISED,
    "TRAP_EXIT": T.TRAP_EXIT,
    "NO_STACK": T.NO_STACK,
    "BUILTIN_TRAP": T.BUILTIN_TRAP,
    "TRAP_ROUTINE": T.TRAP_ROUTINE,
    "LAZY_COMPILE": H.LAZY_COMPILE,
    "SUSPEND": F.SUSPEND,
    "BUILTIN": H.BUILTIN_GENERIC,
    "HOST": H.HOST_GENERIC,
    "RAW_ENTRY": E.RAW_ENTRY,
    "SLOW_CALL": SLOW_CALL,
    "SAFEPOINT": S.SAFEPOINT,
    "DIVERSION_HANDLER": S.DIVERSION_HANDLER,
    "PYTHON_HANDLER": S.PYTHON_HANDLER,
    "MEND_HANDLERS": handler_code.MEND_HANDLERS,
    "WATCHDOG": S.WATCHDOG,
    "FAULT_HANDLER": S.FAULT_HANDLER,
    "POLL_IN_BULK": H.POLL_IN_BULK,
    "MEMORY_FILL": bulk.MEMORY_FILL,
    "MEMORY_COPY": bulk.MEMORY_COPY,
    "MEMORY_INIT": bulk.MEMORY_INIT,
    "INTERRUPT_POLL": H.POLL,
    "RESUMED": F.RESUMED,
    "FIBER_ENTRY": F.FIBER_ENTRY,
    "CHANGE": memory_code.CHANGE,
    "GETBUFFER_OF_BLOCK": memory_code.GETBUFFER_OF_BLOCK,
    "RELEASEBUFFER_OF_BLOCK": memory_code.RELEASEBUFFER_OF_BLOCK,
}
# Enters the generic routine with the builtin's own host context, which the table of builtins has behind the addresses.
_BUILTIN_THUNK: Final = """
    mov r11, [r15 + {CTX_BUILTINS}]
    mov r11, [r11 + {CONTEXT}]
    jmp {BUILTIN}
"""


def text_of(name: str, variant: Variant) -> str:
    """The text of a routine."""
    if name == "WAKE":
        return E.WAKE_NATIVE if variant.threads else E.WAKE_PYTHON
    return _TEXTS[name]


def builtin_thunk(number: int) -> tuple[str, dict[str, object]]:
    """Text and symbols of the routine that serves a builtin."""
    return _BUILTIN_THUNK, {"CONTEXT": 8 * (builtins.BUILTIN_COUNT + number)}


def symbols_of(variant: Variant) -> dict[str, object]:
    """What texts may name, but for addresses: macros, of which there are variants for platform and CPU, and numbers."""
    gs, own_stack, avx_state = variant.gs, variant.stacks, variant.avx_state
    base = E.SET_BASE_GS if gs else E.SET_BASE_REGISTER if variant.reservations else ""
    return {
        **{name: value for name, value in vars(trap_codes).items() if isinstance(value, int)},
        "TRAP_CALL_SIZE": TRAP_CALL_SIZE,
        "SIZE_OF_TUPLE": tuple.__basicsize__ - 8,  # ob_size, the last field of the fixed part
        "ENTRY_RECORD": Y.ENTRY_RECORD,
        "ENTRY_STORE": Y.ENTRY_STORE,
        "MOST_SLOW_ARGUMENTS": MOST_SLOW_ARGUMENTS,
        "TYPE_OF_OBJECT": Y.TYPE_OF_OBJECT,
        "VALUE_OF_FLOAT": Y.VALUE_OF_FLOAT,
        **E.MACROS,
        **H.MACROS,
        "PUSH_GS": E.PUSH_GS_USED if gs else E.PUSH_GS_UNUSED,
        "POP_GS": E.POP_GS_USED if gs else E.POP_GS_UNUSED,
        "NOTE_GS": E.NOTE_GS if gs else "",
        "RESTORE_FOREIGN_GS": E.RESTORE_FOREIGN_GS_USED if gs else "",
        "RESTORE_GS_AFTER_HOST": H.RESTORE_GS_USED if gs else "",
        "LOOK_AT_SIGNALS": H.LOOK_AT_SIGNALS if variant.signals else "",
        "LOOK_AT_SIGNALS_COLD": H.LOOK_AT_SIGNALS_COLD if variant.signals else "",
        "SET_BASE_AT_ENTRY": base,
        "NOTE_NUMBER": "" if own_stack else E.NOTE_NUMBER_SAME,
        "PUSH_ORDER": H.PUSH_ORDER_OWN if own_stack else H.PUSH_ORDER_SAME,
        "CHECK_ORDER": H.CHECK_ORDER_OWN if own_stack else H.CHECK_ORDER_SAME,
        "FIND_FRAME": H.FIND_FRAME_OWN if own_stack else H.FIND_FRAME_SAME,
        "ORDER_OF_RESUMED": "" if own_stack else F.ORDER_OF_RESUMED_SAME,
        "STACK_CHECK": E.STACK_CHECK_OWN if own_stack else E.STACK_CHECK_NATIVE,
        "NATIVE_CHECK": E.NATIVE_CHECK if own_stack else "",
        "NATIVE_CHECK_COLD": E.NATIVE_CHECK_COLD if own_stack else "",
        "TO_WASM": E.TO_WASM_OWN if own_stack else "",
        "TO_NATIVE": E.TO_NATIVE_OWN if own_stack else E.TO_NATIVE_SAME,
        "RELEASE_AT_ENTRY": "" if variant.signals else E.RELEASE_GIL,
        "SAVE_GS": S.SAVE_GS_USED if gs else S.SAVE_GS_UNUSED,
        "LOAD_GS": S.LOAD_GS_USED if gs else S.LOAD_GS_UNUSED,
        "SAVE_VECTORS": S.SAVE_VECTORS_XSAVE if avx_state else S.SAVE_VECTORS_FXSAVE,
        "LOAD_VECTORS": S.LOAD_VECTORS_XSAVE if avx_state else S.LOAD_VECTORS_FXSAVE,
        "VECTOR_STATE_SIZE": S.XSAVE_SIZE if avx_state else S.FXSAVE_SIZE,
        "IN_FUNCTIONS": S.IN_FUNCTIONS,
        "IN_FUNCTIONS_OR_BULK": S.IN_FUNCTIONS_OR_BULK,
        "IN_FUNCTIONS_OR_BULK_COLD": S.IN_FUNCTIONS_OR_BULK_COLD,
        "TEST_KEYS": S.TEST_KEYS if variant.keys_offset else "",
        "FP_KEYS": variant.keys_offset,
        **bulk.symbols(avx_state, polls=not variant.signals),
        **S.SIGNAL_SYMBOLS,
        **handler_code.SYMBOLS,
        **memory_code.SYMBOLS,
        "DIVERSION_SIGNAL": variant.diversion_signal,
        "WATCHED_FLAGS": SA_SIGINFO | SA_ONSTACK,
        "TICK_NANOSECONDS": S.TICK_NANOSECONDS,
        "IDLE_TICKS": S.IDLE_TICKS,
        "HELD_TICKS": S.HELD_TICKS,
    }
