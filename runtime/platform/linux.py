"""Linux on x86-64: everything that `interface` names.

Sources: mmap(2), mremap(2), memfd_create(2), sigaction(2), sigaltstack(2), getauxval(3), "Using FS and GS segments in user
space applications" of the kernel's documentation.
"""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import suppress
from typing import Final

from .c_calls import TypedLibrary, copy_bytes, read_bytes, typed
from .interface import CodeMemory, Platform, PlatformError, SavedCode

PAGE: Final = 4096

PROT_NONE: Final = 0
PROT_RW: Final = 3
PROT_RX: Final = 5
MAP_SHARED: Final = 1
MAP_PRIVATE: Final = 2
MAP_FIXED: Final = 0x10
MAP_ANONYMOUS: Final = 0x20
MAP_NORESERVE: Final = 0x4000
MAP_FAILED: Final = (1 << 64) - 1
MREMAP_MAYMOVE: Final = 1
MREMAP_FIXED: Final = 2
MADV_DONTNEED: Final = 4
MADV_REMOVE: Final = 9
MADV_DONTDUMP: Final = 16

SA_SIGINFO: Final = 4
SA_ONSTACK: Final = 0x0800_0000
SA_RESTART: Final = 0x1000_0000
SA_NODEFER: Final = 0x4000_0000
SS_DISABLE: Final = 2

AT_HWCAP2: Final = 26
HWCAP2_FSGSBASE: Final = 2
AT_MINSIGSTKSZ: Final = 51
SYS_TGKILL: Final = 234
PTHREAD_CREATE_DETACHED: Final = 1

LARGEST_CODE_SIZE: Final = 1 << 30  # every pair of addresses within is reached by a rel32
SMALLEST_CODE_SIZE: Final = 4 << 20

_library: Final = ctypes.CDLL(None, use_errno=True)
_pointer = ctypes.c_void_p
_size = ctypes.c_size_t
_int = ctypes.c_int
_library.mmap.restype = _pointer
_library.mmap.argtypes = [_pointer, _size, _int, _int, _int, ctypes.c_long]
_library.mremap.restype = _pointer
_library.mremap.argtypes = [_pointer, _size, _size, _int, _pointer]
_library.munmap.argtypes = [_pointer, _size]
_library.mprotect.argtypes = [_pointer, _size, _int]
_library.madvise.argtypes = [_pointer, _size, _int]
_library.sigaction.argtypes = [_int, _pointer, _pointer]
_library.sigfillset.argtypes = [_pointer]
_library.pthread_sigmask.argtypes = [_int, _pointer, _pointer]
_library.sigaltstack.argtypes = [_pointer, _pointer]
_library.getauxval.restype = ctypes.c_ulong
_library.getauxval.argtypes = [ctypes.c_ulong]
_library.pthread_create.argtypes = [_pointer, _pointer, _pointer, _pointer]
_library.pthread_detach.argtypes = [ctypes.c_ulong]
_library.pthread_self.restype = ctypes.c_ulong
_library.pthread_getattr_np.argtypes = [ctypes.c_ulong, _pointer]
_library.pthread_attr_getstack.argtypes = [_pointer, _pointer, _pointer]
_library.pthread_attr_destroy.argtypes = [_pointer]
_library.syscall.restype = ctypes.c_long
if hasattr(_library, "pthread_attr_setsigmask_np"):  # of the GNU C library
    _library.pthread_attr_init.argtypes = [_pointer]
    _library.pthread_attr_setsigmask_np.argtypes = [_pointer, _pointer]
    _library.pthread_attr_setdetachstate.argtypes = [_pointer, _int]
libc: Final = TypedLibrary(_library)


_SignalSet: Final = ctypes.c_ulong * 16  # sigset_t. With Python's own, each number becomes a member of an Enum


class SigAction(ctypes.Structure):
    """struct sigaction of the C library."""

    _fields_ = [
        ("handler", ctypes.c_void_p),
        ("mask", _SignalSet),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    ]


class AlternateStack(ctypes.Structure):
    """stack_t."""

    _fields_ = [("address", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]


def _map(address: int, size: int, protection: int, flags: int, fd: int) -> int:
    """mmap; 0 if refused."""
    result = libc.mmap(address or None, size, protection, flags, fd, 0)
    return 0 if result is None or result == MAP_FAILED else int(result)


class LinuxPlatform(Platform):
    """To behave as a system that refuses something, name it in BROLGA_WITHOUT: `memfd`, `gs`, `reservations`, by commas."""

    name = "linux"
    remap = True
    stacks = True
    signals = True
    threads = True
    shares_code = True

    def __init__(self) -> None:
        without = os.environ.get("BROLGA_WITHOUT", "").split(",")
        self.gs_base = "gs" not in without and bool(libc.getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE)
        self.reservations = "reservations" not in without
        self.use_memfd = "memfd" not in without and hasattr(os, "memfd_create")

    # Code memory: one file in memory, mapped twice.

    def allocate_code(self) -> CodeMemory:
        size = LARGEST_CODE_SIZE
        left = self.address_space_left()
        while size > SMALLEST_CODE_SIZE and 2 * size > left // 4:
            size //= 2
        refused = False
        while size >= SMALLEST_CODE_SIZE:
            memory = self._map_twice(size)
            if memory is None:
                refused = True
                size //= 2
            elif not refused or size == SMALLEST_CODE_SIZE:
                return memory
            else:  # there is no more than that: leave the rest of the program its share
                refused = False
                self._unmap_pair(memory.writable, memory.executable, size)
                size = max(size // 4, SMALLEST_CODE_SIZE)
        raise PlatformError("the system refuses to map executable pages")

    def _map_twice(self, size: int) -> CodeMemory | None:
        """Through a memfd, or else (sealed memfds, old sandboxes) through a shared anonymous mapping that mremap doubles."""
        flags = MAP_SHARED | MAP_NORESERVE
        fd = self._memfd(size)
        if fd >= 0:
            writable = executable = 0
            try:
                writable = _map(0, size, PROT_RW, flags, fd)
                executable = _map(0, size, PROT_RX, flags, fd)
            except MemoryError:
                self._unmap_pair(writable, executable, size)
                raise
            finally:
                os.close(fd)
            if writable and executable:
                libc.madvise(executable, size, MADV_DONTDUMP)
                return CodeMemory(writable, executable, size)
            self._unmap_pair(writable, executable, size)
        writable = _map(0, size, PROT_RW, flags | MAP_ANONYMOUS, -1)
        if not writable:
            return None
        doubled = libc.mremap(writable, 0, size, MREMAP_MAYMOVE, None)
        executable = 0 if doubled is None or doubled == MAP_FAILED else int(doubled)
        if executable and libc.mprotect(executable, size, PROT_RX) == 0:
            return CodeMemory(writable, executable, size)
        self._unmap_pair(writable, executable, size)
        return None

    def _memfd(self, size: int) -> int:
        if not self.use_memfd:
            return -1
        try:
            fd = os.memfd_create("brolga-code", os.MFD_CLOEXEC)
        except OSError:
            return -1
        try:
            os.ftruncate(fd, size)
        except OSError:
            os.close(fd)
            return -1
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _unmap_pair(self, writable: int, executable: int, size: int) -> None:
        if writable:
            libc.munmap(writable, size)
        if executable:
            libc.munmap(executable, size)

    def release_code(self, memory: CodeMemory) -> None:
        self._unmap_pair(memory.writable, memory.executable, memory.size)

    def discard_code(self, memory: CodeMemory, offset: int, size: int) -> None:
        libc.madvise(memory.writable + offset, size, MADV_REMOVE)

    def save_code(self, memory: CodeMemory, extents: list[tuple[int, int]], saved: SavedCode) -> None:
        """Written into a file without mapping it, so that no address space is wanted."""
        saved.file = self._memfd(memory.size)
        if saved.file >= 0:
            try:
                for offset, size in extents:
                    rest = memoryview((ctypes.c_ubyte * size).from_address(memory.writable + offset))
                    while rest:
                        done = os.pwrite(saved.file, rest, offset)
                        rest, offset = rest[done:], offset + done
                return
            except OSError:
                saved.close()
        for offset, size in extents:
            saved.extents.append((offset, read_bytes(memory.writable + offset, size)))

    # Mapping over what is mapped takes no more address space, and is one step: nobody finds nothing there.

    def replace_code(self, memory: CodeMemory, saved: SavedCode, lasting: int) -> None:
        flags = MAP_SHARED | MAP_NORESERVE | MAP_FIXED
        writable, executable, size = memory.writable, memory.executable, memory.size
        if saved.file >= 0:
            done = bool(
                _map(writable, size, PROT_RW, flags, saved.file) and _map(executable, size, PROT_RX, flags, saved.file)
            )
        else:
            done = bool(_map(writable, size, PROT_RW, flags | MAP_ANONYMOUS, -1))
            for offset, code in saved.extents if done else []:
                copy_bytes(writable + offset, code, len(code))
            done = (
                done
                and libc.mprotect(writable, size, PROT_RX) == 0
                and libc.munmap(executable + lasting, size - lasting)
                == 0  # mremap wants address space before it gives up any
                and self._double(writable, lasting, executable)
                and self._double(writable + lasting, size - lasting, executable + lasting)
                and libc.mprotect(writable, size, PROT_RW) == 0
            )
        if not done:
            raise PlatformError("the system refuses to map code anew in a forked process")
        libc.madvise(executable, size, MADV_DONTDUMP)

    def _double(self, source: int, size: int, target: int) -> bool:
        """Map the shared pages at `source` at `target`, too."""
        return bool(libc.mremap(source, 0, size, MREMAP_MAYMOVE | MREMAP_FIXED, target) == target)

    def allocate(self, size: int) -> tuple[int, object]:
        import mmap  # a shared library, for systems that refuse reservations

        try:
            area = mmap.mmap(-1, max(size, 1), flags=MAP_PRIVATE | MAP_ANONYMOUS)
        except (OSError, MemoryError, OverflowError) as error:
            raise PlatformError(f"no memory for {size} bytes") from error
        return ctypes.addressof(ctypes.c_char.from_buffer(area)), area

    # Reservations.

    def reserve(self, size: int) -> int:
        address = _map(0, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1)
        if not address:
            raise PlatformError(f"no address space for {size} bytes")
        return address

    def commit(self, address: int, size: int) -> bool:
        return size == 0 or libc.mprotect(address, size, PROT_RW) == 0

    def decommit(self, address: int, size: int) -> None:
        if size:
            self.discard(address, size)
            libc.mprotect(address, size, PROT_NONE)

    def discard(self, address: int, size: int) -> None:
        # Refused where pages are locked (mlockall): what was there must not be seen again.
        if size and libc.madvise(address, size, MADV_DONTNEED) != 0:
            flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED
            if not _map(address, size, PROT_RW, flags, -1):
                typed(ctypes.memset)(address, 0, size)

    def unreserve(self, address: int, size: int) -> None:
        libc.munmap(address, size)

    # Signals.

    def handler(self, signal: int) -> tuple[int, int]:
        action = SigAction()
        libc.sigaction(signal, None, ctypes.byref(action))
        return action.handler or 0, action.flags

    def set_handler(self, signal: int, address: int, flags: int) -> None:
        action = SigAction()
        action.handler = address
        action.flags = flags
        if libc.sigaction(signal, ctypes.byref(action), None) != 0:
            raise PlatformError(f"the system refuses a handler of signal {signal}")

    def signal_thread(self, thread: int, signal: int) -> None:
        libc.syscall(SYS_TGKILL, os.getpid(), thread, signal)

    def alternate_stack(self) -> tuple[int, int]:
        stack = AlternateStack()
        libc.sigaltstack(None, ctypes.byref(stack))
        if stack.flags & SS_DISABLE:
            return 0, 0
        return stack.address or 0, stack.size

    def set_alternate_stack(self, address: int, size: int) -> None:
        stack = AlternateStack(address, 0, size)
        if libc.sigaltstack(ctypes.byref(stack), None) != 0:
            raise PlatformError("the system refuses an alternate signal stack")

    def clear_alternate_stack(self) -> None:
        stack = AlternateStack(None, SS_DISABLE, 0)
        libc.sigaltstack(ctypes.byref(stack), None)

    def alternate_stack_size(self) -> int:
        smallest = int(libc.getauxval(AT_MINSIGSTKSZ)) or 2048
        return (smallest + 16384 + PAGE - 1) & -PAGE

    # Stacks.

    def native_stack(self) -> tuple[int, int]:
        attributes = (ctypes.c_uint64 * 16)()  # pthread_attr_t has 56 bytes
        if libc.pthread_getattr_np(libc.pthread_self(), attributes) != 0:
            return 0, 0
        address, size = ctypes.c_void_p(), ctypes.c_size_t()
        libc.pthread_attr_getstack(attributes, ctypes.byref(address), ctypes.byref(size))
        libc.pthread_attr_destroy(attributes)
        low = address.value or 0
        return low, low + size.value

    # Threads.

    def start_thread(self, code: int) -> None:
        thread = ctypes.c_ulong()
        attributes, every = (ctypes.c_uint64 * 16)(), _SignalSet()  # pthread_attr_t has 56 bytes
        libc.sigfillset(every)
        if not hasattr(_library, "pthread_attr_setsigmask_np"):
            self._start_masked(code, every)
            return
        done = False
        if libc.pthread_attr_init(attributes) == 0:
            try:
                done = (
                    libc.pthread_attr_setsigmask_np(attributes, every) == 0
                    and libc.pthread_attr_setdetachstate(attributes, PTHREAD_CREATE_DETACHED) == 0
                    and libc.pthread_create(ctypes.byref(thread), attributes, code, None) == 0
                )
            finally:
                with suppress(MemoryError):  # it owns nothing
                    libc.pthread_attr_destroy(attributes)
        if not done:
            raise PlatformError("the system refuses a thread")

    def _start_masked(self, code: int, every: ctypes.Array[ctypes.c_ulong]) -> None:
        """The thread inherits the mask of this one."""
        thread = ctypes.c_ulong()
        before = _SignalSet()
        libc.pthread_sigmask(signal.SIG_SETMASK.value, every, before)
        try:
            if libc.pthread_create(ctypes.byref(thread), None, code, None) != 0:
                raise PlatformError("the system refuses a thread")
        finally:
            libc.pthread_sigmask(signal.SIG_SETMASK.value, before, None)
        libc.pthread_detach(thread)
