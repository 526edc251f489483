"""What the CPU can do, asked with cpuid (Intel SDM vol. 2A, CPUID; vol. 1, 13.3 and 14.3 for what needs the system's consent)."""

from __future__ import annotations

import ctypes
from typing import Final

from ..platform.c_calls import typed

# void cpuid(u32 leaf, u32 subleaf, u32 out[4])
CPUID: Final = """
    push rbx
    mov r8, rdx
    mov eax, edi
    mov ecx, esi
    cpuid
    mov [r8], eax
    mov [r8 + 4], ebx
    mov [r8 + 8], ecx
    mov [r8 + 12], edx
    pop rbx
    ret
"""
# u32 xgetbv(void): which register states the system saves
XGETBV: Final = """
    xor ecx, ecx
    xgetbv
    ret
"""

_EBX: Final = 1
_ECX: Final = 2
_OSPKE: Final = 4
_OSXSAVE: Final = 27
_AVX: Final = 28
_SSE_AND_AVX_STATE: Final = 6
# feature: leaf, register, bit
_FEATURES: Final = {
    "sse41": (1, _ECX, 19),
    "popcnt": (1, _ECX, 23),
    "lzcnt": (0x8000_0001, _ECX, 5),
    "bmi1": (7, _EBX, 3),
    "bmi2": (7, _EBX, 8),
    "avx": (1, _ECX, _AVX),
    "fma": (1, _ECX, 12),
}
_WANT_AVX: Final = ("avx", "fma")
_PKRU_STATE: Final = 9  # subleaf of leaf 13


class Cpu:
    """`features`: those of `brolga.jit.settings.CPU_FEATURES` that may be used. `avx_state`: the upper halves of vector
    registers are in use by the process, and xsave exists. `keys_offset`: where the rights of protection keys are in an xsave area,
    0 if the system does not use them."""

    def __init__(self, cpuid: int, xgetbv: int) -> None:
        self._cpuid = typed(ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p)(cpuid))
        self._leaves: dict[tuple[int, int], ctypes.Array[ctypes.c_uint32]] = {}  # each takes long on a virtual machine
        basic = self._leaf(0)[0]
        extended = self._leaf(0x8000_0000)[0]
        self.avx_state: Final = (
            self._bit(1, _ECX, _OSXSAVE)
            and self._bit(1, _ECX, _AVX)
            and ctypes.CFUNCTYPE(ctypes.c_uint32)(xgetbv)() & _SSE_AND_AVX_STATE == _SSE_AND_AVX_STATE
        )
        self.features: Final = frozenset(
            name
            for name, (leaf, register, bit) in _FEATURES.items()
            if leaf <= (extended if leaf >= 0x8000_0000 else basic)
            and self._bit(leaf, register, bit)
            and (self.avx_state or name not in _WANT_AVX)
        )

        has_keys = basic >= 13 and self._bit(7, _ECX, _OSPKE)
        self.keys_offset: Final = self._leaf(13, _PKRU_STATE)[_EBX] if has_keys else 0

    def _leaf(self, leaf: int, subleaf: int = 0) -> ctypes.Array[ctypes.c_uint32]:
        out = self._leaves.get((leaf, subleaf))
        if out is None:
            out = self._leaves[leaf, subleaf] = (ctypes.c_uint32 * 4)()
            self._cpuid(leaf, subleaf, ctypes.addressof(out))
        return out

    def _bit(self, leaf: int, register: int, bit: int) -> bool:
        return bool(self._leaf(leaf)[register] >> bit & 1)
