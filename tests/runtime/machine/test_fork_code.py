"""Code of a forked process: its own in every case, or none. What `minimal` does needs no more than test_forks_and_exits.py."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[3]
PRELUDE: Final = """
import ctypes, os, resource, signal, sys, threading
import brolga
from brolga.runtime.machine.machine import machine

def make(base=0, count=40):
    return brolga.load("(module (import \\"\\" \\"fork\\" (func $fork (result i32))) (func (export \\"forks\\") (result i32) (call $fork)) "
        + "".join(f'(func (export "f{i}") (result i32) (i32.const {base + i}))' for i in range(count)) + ")", {"": {"fork": fork}})

def fork():
    return os.fork()

def check(it, numbers, base=0):
    got = [it[f"f{i}"]() for i in numbers]
    assert got == [base + i for i in numbers], got

def refused(work):
    try:
        work()
    except brolga.BrolgaError as error:
        return
    raise AssertionError("not refused")

def descriptors():
    return sorted(os.listdir("/proc/self/fd"))

def in_child(work):
    before = descriptors()
    pid = os.fork()
    if pid == 0:
        try:
            assert descriptors() == before, (descriptors(), before)
            work()
            os._exit(7)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(1)
    assert descriptors() == before
    return pid

def ended(pid):
    status = os.waitpid(pid, 0)[1]
    assert status == 7 << 8, status

def leave_address_space(size):
    used = int(open("/proc/self/statm").read().split()[0]) * 4096
    resource.setrlimit(resource.RLIMIT_AS, (used + size, -1))

# Parent and child compile in the same places, in turn.
def contend(it, in_the_child=lambda: None):
    read, write = os.pipe()
    def child():
        os.read(read, 1)
        in_the_child()
        check(it, range(40))
        check(make(1000), range(40), 1000)
    pid = in_child(child)
    check(it, range(20))
    mine = make(2000)
    check(mine, range(40), 2000)
    os.write(write, b"x")
    ended(pid)
    check(it, range(40))
    check(mine, range(40), 2000)
    os.close(read); os.close(write)

platform = machine().platform
it = make()
it.f0()
"""
WITHOUT: Final = ("", "memfd", "reservations", "memfd,gs,reservations")


def run(script: str, without: str = "") -> None:
    """Run a script, which must not print anything, exceptions in hooks included."""
    result = subprocess.run(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(script)],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "BROLGA_WITHOUT": without, "BROLGA_PLATFORM": "linux"},
    )
    assert result.returncode == 0 and not result.stderr, result.stderr


@pytest.mark.parametrize("without", WITHOUT)
def test_without_address_space_for_a_second_arena(without: str) -> None:
    run("leave_address_space(64 << 20); contend(it)", without)


@pytest.mark.parametrize("without", WITHOUT)
def test_forks_of_forks_and_of_threads(without: str) -> None:
    run(
        """
        def thread():
            contend(it, lambda: contend(it, lambda: contend(make())))
        work = threading.Thread(target=thread)
        work.start()
        work.join()
        contend(it)
        """,
        without,
    )


def test_without_descriptors() -> None:
    run("""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        def again():
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        def child():
            again()
            check(it, range(40))
            check(make(1000), range(40), 1000)
        before = descriptors()
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        pid = os.fork()
        if pid == 0:
            child()
            os._exit(7)
        again()
        assert descriptors() == before
        check(make(2000), range(40), 2000)
        ended(pid)
        check(it, range(40))
    """)


def test_without_large_files() -> None:
    run("resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16)); contend(it)")


REFUSALS: Final = {
    "memory, before": "def save_code(*a): raise MemoryError\nplatform.save_code = save_code",
    "memory, in the middle": (
        "real = type(platform).save_code\n"
        "def save_code(memory, extents, saved): real(platform, memory, extents, saved); raise MemoryError\n"
        "platform.save_code = save_code"
    ),
    "file and memory": (
        "def pwrite(*a): raise OSError\n"
        "os.pwrite = pwrite\n"
        "def read_bytes(address, size): raise MemoryError\n"
        "sys.modules[type(platform).__module__].read_bytes = read_bytes\n"
    ),
    "the mapping": "from brolga.runtime.platform import linux\nlinux._map = lambda *a: 0",
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_child_whose_code_cannot_be_copied_has_none(refusal: str) -> None:
    run(
        REFUSALS[refusal]
        + textwrap.dedent("""
        gone = make(3000)
        gone.f1()
        module = brolga.Module(brolga.Engine(), "(module)")
        store = brolga.Store()
        read, write = os.pipe()
        def child():
            global gone
            os.read(read, 1)
            for call in (it.f0, it.f30, gone.f1):
                refused(call)
            refused(make)
            refused(lambda: brolga.Module(module.engine, '(module (func))'))
            refused(lambda: module.serialize() and it.f0())
            work = threading.Thread(target=lambda: refused(it.f1))
            work.start()
            work.join()
            del gone                        # gives back nothing of the parent's
            if (pid := os.fork()) == 0:     # nor has its child code
                refused(it.f0)
                os._exit(7)
            ended(pid)
        pid = in_child(child)
        check(it, range(20))
        mine = make(2000)
        check(mine, range(40), 2000)
        os.write(write, b"x")
        ended(pid)
        check(it, range(40))
        check(mine, range(40), 2000)
        check(gone, range(40), 3000)
    """)
    )


def test_such_a_child_does_not_go_back_into_wasm() -> None:
    run("""
        def save_code(*a): raise MemoryError
        platform.save_code = save_code
        try:
            pid = it.forks()
        except brolga.BrolgaError:
            refused(it.f0)
            os._exit(7)
        assert pid
        ended(pid)
    """)


def test_subprocesses_need_no_copy() -> None:
    run("""
        import subprocess
        leave_address_space(64 << 20)
        for arguments in ({}, {"close_fds": False}, {"start_new_session": True}, {"preexec_fn": lambda: None}):
            before = descriptors()
            subprocess.run(["true"], check=True, **arguments)
            assert descriptors() == before
            check(make(5), range(40), 5)
        os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
        check(it, range(40))
    """)


@pytest.mark.parametrize("without", ["", "memfd"])
def test_what_is_compiled_while_code_is_copied(without: str) -> None:
    """As by another thread."""
    run(
        """
        real = type(platform).save_code
        made = []
        def save_code(memory, extents, saved):
            made.append(make(100))
            check(it, range(5))
            real(platform, memory, extents, saved)
            check(it, range(5, 10))
            made.append(make(200))
            check(made[0], range(10), 100)
            check(made[1], range(10), 200)
        platform.save_code = save_code
        def child():
            del platform.save_code
            check(it, range(20))
            check(made[0], range(20), 100)
            check(made[1], range(20), 200)
        ended(in_child(child))
        """,
        without,
    )


def test_an_image_that_is_installed_while_code_is_copied() -> None:
    run("""
        real = type(platform).save_code
        module = brolga.Module(brolga.Engine(), "(module " + "".join(f'(func (export "f{i}") (result i32) (i32.const {i}))' for i in range(40)) + ")")
        encoded = module.serialize()
        store = brolga.Store(module.engine)
        made = []
        def save_code(memory, extents, saved):
            real(platform, memory, extents, saved)
            again = brolga.Module.deserialize(module.engine, encoded)
            made.append(brolga.Instance(store, again, []).exports(store))
        platform.save_code = save_code
        ended(in_child(lambda: [check({f"f{i}": (lambda i=i: made[0][f"f{i}"](store))}, [i]) for i in range(40)]))
    """)


def test_a_fork_within_the_preparation_of_another() -> None:
    """As by a signal handler."""
    run("""
        real = type(platform).save_code
        def child():
            check(make(10), range(40), 10)
            check(it, range(20))
        def save_code(memory, extents, saved):
            del platform.save_code
            ended(in_child(child))
            real(platform, memory, extents, saved)
            check(it, range(10))
            ended(in_child(child))
        platform.save_code = save_code
        ended(in_child(child))
        contend(it)
    """)


def test_forks_while_threads_compile() -> None:
    run("""
        stop = False
        kept = [make(7)]
        def compiles(base):
            while not stop:
                it = make(base, 10)
                check(it, range(5), base)
                kept[0] = (it, base)
        threads = [threading.Thread(target=compiles, args=[1000 * i]) for i in (1, 2)]
        for thread in threads: thread.start()
        def child():
            mine = make(500)
            check(mine, range(40), 500)
            check(it, range(40))
        def forks():
            for _ in range(15):
                pid = os.fork()
                if pid == 0:
                    try:
                        child()
                        os._exit(7)
                    except BaseException:
                        sys.excepthook(*sys.exc_info())
                    finally:
                        os._exit(1)
                ended(pid)
        others = [threading.Thread(target=forks) for _ in range(2)]
        for thread in others: thread.start()
        for thread in others: thread.join()
        stop = True
        for thread in threads: thread.join()
    """)
