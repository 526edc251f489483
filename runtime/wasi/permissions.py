"""What a guest may do with a directory that it is given, as users of the embedding API say it."""

from __future__ import annotations

from enum import Enum


class DirPerms(Enum):
    """What a guest may do with a preopened directory."""

    READ_ONLY = 1
    WRITE_ONLY = 2
    READ_WRITE = 3


class FilePerms(Enum):
    """The most that a guest may do with the files of a preopened directory."""

    READ_ONLY = 1
    WRITE_ONLY = 2
    READ_WRITE = 3
