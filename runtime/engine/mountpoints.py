"""The lowest layer of every container: what its start mounts something on. In the command's process.

Without it each start would make these directories and files in the container's own layer, and each removal would delete them again: a millisecond
both times. Being the lowest, it gives way to whatever an image has under these names.
"""

from __future__ import annotations

import contextlib
import os
from functools import cache

from runtime.store import Paths
from runtime.trees import remove_tree

_DIRECTORIES = ("dev", "etc", "proc", "sys")
_FILES = ("etc/hostname", "etc/hosts", "etc/resolv.conf")


@cache
def layer(where: Paths) -> str:
    """Its directory, made when it is not there; whole or not at all."""
    directory = f"{where.root}/mountpoints"
    if not os.path.isdir(directory):
        fresh = f"{directory}.{os.getpid()}"
        remove_tree(fresh)
        _make(fresh)
        with contextlib.suppress(OSError):  # another command was quicker
            os.rename(fresh, directory)
        remove_tree(fresh)
    return directory


def _make(directory: str) -> None:
    for name in ("", *_DIRECTORIES):
        os.makedirs(f"{directory}/{name}", exist_ok=True)
        os.chmod(f"{directory}/{name}", 0o755)
    for name in _FILES:
        with open(f"{directory}/{name}", "x") as file:
            os.fchmod(file.fileno(), 0o644)
