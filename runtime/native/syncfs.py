"""syncfs(2): one barrier for everything written to a file system, instead of one fsync per file. Where images are stored."""

from __future__ import annotations

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)


def syncfs(descriptor: int) -> None:
    """Return when all data and metadata of the file system that holds ``descriptor`` is on disk. Raises OSError."""
    if _libc.syncfs(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "syncfs")
