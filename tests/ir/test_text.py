"""Texts that are shown."""

from __future__ import annotations

import pytest

from brolga.ir.text import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("main", "main"),
        ("größe 数", "größe 数"),
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("a\nb\r\tc\0", r"a\nb\r\tc\x00"),
        ("\x7f\x9b", r"\x7f\x9b"),
        ("\u202eevil\u2028", r"\u202eevil\u2028"),  # from right to left; a line separator
        ("\udc80", r"\udc80"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(text).isprintable()
