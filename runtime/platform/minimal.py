"""A platform that has plain read/write/execute memory and nothing else.

It is what a kernel or a bare machine would start from: no reservations, no signals, no second stacks, no native threads.
Everything is explicit in the code then (see `interface`).
"""

from __future__ import annotations

import ctypes
import mmap

from .interface import CodeMemory, Platform, PlatformError

CODE_SIZE = 256 << 20
SMALLEST_CODE_SIZE = 4 << 20


class MinimalPlatform(Platform):
    name = "minimal"

    def allocate_code(self) -> CodeMemory:
        size = CODE_SIZE
        left = self.address_space_left()
        while size > SMALLEST_CODE_SIZE and size > left // 4:
            size //= 2
        while True:
            try:
                area = mmap.mmap(
                    -1,
                    size,
                    flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS,
                    prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC,
                )
                break
            except (OSError, MemoryError) as error:
                size //= 2
                if size < SMALLEST_CODE_SIZE:
                    raise PlatformError(
                        "the system refuses memory that is readable, writable and executable"
                    ) from error
        address = ctypes.addressof(ctypes.c_char.from_buffer(area))
        return CodeMemory(address, address, size, area)

    def allocate(self, size: int) -> tuple[int, object]:
        try:
            area = mmap.mmap(
                -1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
            )  # not touched, as an array would be
        except (OSError, MemoryError, OverflowError, ValueError) as error:
            raise PlatformError(f"no memory for {size} bytes") from error
        return ctypes.addressof(ctypes.c_char.from_buffer(area)), area
