"""Where the values of a call are: between wasm types and the call buffer."""

from __future__ import annotations

import ctypes
import struct
from functools import lru_cache
from typing import Final, final

from brolga.ir.types import TYPE_MASK
from brolga.jit.wasm.types import IR_TYPE, FuncType
from brolga.jit.x64.abi import ARG_GPRS, ARG_XMMS, ON_STACK, RESULT_GPRS, RESULT_XMMS, XMM0, assign, stack_slots

from . import layout as L

_u64 = ctypes.c_uint64.from_address
_Registers: Final = ctypes.c_char * L.CALL_SIZE
_REGISTERS: Final = struct.Struct(f"<{L.CALL_SIZE // 8}Q")


@final
class CallLayout:
    """Word indices of a signature's values in a call buffer.

    params/results    for each value: index of its 8-byte word in the buffer, or STACK_WORD + i for stack word i
    masks             of the value's bits within the word, likewise for both
    stack_args        how many parameters are on the stack
    stack_words       stack parameters and stack results
    """

    __slots__ = ("param_masks", "params", "result_masks", "results", "stack_args", "stack_words")

    def __init__(self, type: FuncType) -> None:
        param_types = [IR_TYPE[t] for t in type.params]
        result_types = [IR_TYPE[t] for t in type.results]
        params = assign(param_types, ARG_GPRS, ARG_XMMS)
        results = assign(result_types, RESULT_GPRS, RESULT_XMMS)
        self.stack_args = stack_slots(params)
        self.stack_words = self.stack_args + stack_slots(results)
        self.params = [_word(location, ARG_GPRS, L.CALL_GPRS, L.CALL_XMMS, 0) for location in params]
        self.results = [
            _word(location, RESULT_GPRS, L.CALL_RESULT_GPRS, L.CALL_RESULT_XMMS, self.stack_args)
            for location in results
        ]
        self.param_masks = [TYPE_MASK[t] for t in param_types]
        self.result_masks = [TYPE_MASK[t] for t in result_types]


STACK_WORD: Final = 1000


def _word(location: int, gprs: list[int], gpr_offset: int, xmm_offset: int, first_stack: int) -> int:
    if location >= ON_STACK:
        return STACK_WORD + first_stack + location - ON_STACK
    if location >= XMM0:
        return xmm_offset // 8 + location - XMM0
    return gpr_offset // 8 + gprs.index(location)


@lru_cache(maxsize=256)
def call_layout(type: FuncType) -> CallLayout:
    return CallLayout(type)


def read_args(layout: CallLayout, buffer: int) -> list[int]:
    """Raw arguments of a host call."""
    words = _REGISTERS.unpack_from(_Registers.from_address(buffer))
    stack = words[L.CALL_STACK // 8] + 8 - 8 * STACK_WORD
    return [
        (words[word] if word < STACK_WORD else _u64(stack + 8 * word).value) & mask
        for word, mask in zip(layout.params, layout.param_masks)
    ]


def write_results(layout: CallLayout, buffer: int, results: list[int]) -> None:
    """Leave raw results of a host call where the generic routine takes them from."""
    stack = _u64(buffer + L.CALL_STACK).value + 8 - 8 * STACK_WORD
    for word, bits in zip(layout.results, results, strict=True):
        _u64((buffer if word < STACK_WORD else stack) + 8 * word).value = bits


def write_args(layout: CallLayout, args: list[int]) -> ctypes.Array[ctypes.c_uint64]:
    """A call buffer for an entry."""
    stack = L.CALL_WORDS // 8
    buffer = (ctypes.c_uint64 * (stack + layout.stack_words))()
    for word, mask, bits in zip(layout.params, layout.param_masks, args, strict=True):
        if not 0 <= bits <= mask:
            raise OverflowError(f"{bits:#x} is no raw value of this type")
        buffer[word if word < STACK_WORD else word - STACK_WORD + stack] = bits
    buffer[L.CALL_STACK // 8] = layout.stack_words
    return buffer


def read_results(layout: CallLayout, buffer: ctypes.Array[ctypes.c_uint64]) -> list[int]:
    stack = L.CALL_WORDS // 8 - STACK_WORD
    return [
        buffer[word if word < STACK_WORD else word + stack] & mask
        for word, mask in zip(layout.results, layout.result_masks)
    ]
