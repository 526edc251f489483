from __future__ import annotations

import keystone
import pytest

from brolga.ir.errors import BrolgaError
from brolga.runtime.machine import assembler


def test_symbols_are_replaced() -> None:
    assert assembler.assemble("mov eax, {NUMBER}", 0, {"NUMBER": 7}) == assembler.assemble("mov eax, 7", 0, {})


def test_wrong_text_is_shown() -> None:
    with pytest.raises(BrolgaError, match="mov eax, nonsense"):
        assembler.assemble("mov eax, nonsense nonsense", 0, {})


def test_an_exception_of_a_signal_handler_passes_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    class Alarm(Exception):
        pass

    class Interrupted:
        def asm(self, *_: object, **__: object) -> None:
            raise Alarm

    monkeypatch.setattr(assembler, "_keystone", lambda: (Interrupted(), keystone.KsError))
    with pytest.raises(Alarm):
        assembler.assemble("nop", 0, {})


def test_decimal_numbers_do_not_reach_the_assembler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lexer looks at uninitialised memory to tell whether 12 is 0x12."""
    seen: list[str] = []

    class Recorder:
        def asm(self, source: str, *_: object, **__: object) -> tuple[bytes, int]:
            seen.append(source)
            return b"\x90", 1

    monkeypatch.setattr(assembler, "_keystone", lambda: (Recorder(), keystone.KsError))
    assembler.assemble_text("x12: mov r10, [rsp + rax*8 + 120]; add eax, -12; cmp xmm11, 3; mov eax, 0x10", 0)
    assert seen == ["x12: mov r10, [rsp + rax*8 + 0x78]; add eax, -0xc; cmp xmm11, 3; mov eax, 0x10"]
