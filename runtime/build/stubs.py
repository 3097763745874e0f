"""Mount points that a RUN step had to make, and how they go again; what overlayfs leaves behind. Runs in worker threads of the command's process.

BuildKit removes empty files and directories that stand where it mounted something and where nothing was before (executor.MountStubsCleaner).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from runtime.build.view import OPAQUE, View

# Made by every launch and kept in the image, as the usual runtimes leave them.
_ALWAYS = ("proc", "sys")


def missing(view: View, targets: Iterable[str], *, own_shm: bool = False) -> tuple[str, ...]:
    """The names, deepest first, that do not exist yet and will be made to mount on ``targets``.

    ``own_shm``: the build chose the size of /dev/shm, which is a mount like others then, as BuildKit has it, and /dev goes with it.
    """
    names: set[str] = set()
    for target in (*targets, "/dev/shm") if own_shm else targets:
        name = view.locate(target).name
        while name and view.locate(name, follow=False).node is None:
            names.add(name)
            name = name.rpartition("/")[0]
    kept = _ALWAYS if own_shm else (*_ALWAYS, "dev")
    return tuple(sorted((n for n in names if n not in kept and not n.startswith("dev/")), key=lambda n: (-n.count("/"), n)))


def remove(upper: str, names: Iterable[str]) -> None:
    """Remove from a layer what was made to mount on and is still empty."""
    for name in names:
        path = f"{upper}/{name}"
        try:
            found = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        if stat.S_ISDIR(found.st_mode):
            if not os.listdir(path):
                os.rmdir(path)
        elif found.st_size == 0:
            os.unlink(path)


def tidy(upper: str) -> None:
    """Make an upper directory a clean layer: marks that overlayfs needs for itself only go. What hides all below stays, as in Docker's layers."""
    pending = [upper]
    while pending:
        with os.scandir(pending.pop()) as scan:
            directories = [e.path for e in scan if e.is_dir(follow_symlinks=False)]
        for path in directories:
            for name in os.listxattr(path, follow_symlinks=False):
                if name.startswith("trusted.overlay.") and name != OPAQUE:
                    os.removexattr(path, name, follow_symlinks=False)
        pending += directories
