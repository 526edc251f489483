"""Texts that come from a module, to be shown."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with escapes for what is not to be printed: a name must not move the cursor, hide what follows, or end a line."""
    if text.isprintable():
        return text
    return "".join(
        [
            letter if letter.isprintable() else letter.encode("unicode_escape", "surrogatepass").decode()
            for letter in text
        ]
    )
