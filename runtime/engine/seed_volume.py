"""A program of its own: copy what an image holds at a path into a volume. ``seed_volume.py TARGET DATA LAYER...`` (lowest layer first).

Runs in a mount namespace of its own, where the image's merged view is mounted; it and the view vanish with the process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys

UNFINISHED = "seeding"


def main(target: str, data: str, layers: list[str]) -> int:
    """Copy, and return the exit code; nothing at ``target``, or no directory there, is success."""
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    place = os.path.dirname(data)
    managed = os.path.exists(f"{place}/volume.json")  # else the data is a directory of the user's
    lock = os.open(place if managed else data, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(lock, fcntl.LOCK_EX)  # a command that was killed may have left one of us at work
    if os.listdir(data) and not os.path.exists(f"{place}/{UNFINISHED}"):
        return 0
    if managed:
        os.close(os.open(f"{place}/{UNFINISHED}", os.O_WRONLY | os.O_CREAT, 0o600))
    code = _copy(target, data, layers)
    if managed and code == 0:
        os.unlink(f"{place}/{UNFINISHED}")
    return code


def _copy(target: str, data: str, layers: list[str]) -> int:
    from runtime.errors import KernelError
    from runtime.native import syscalls
    from runtime.overlayfs import mount_layers

    view, empty = f"{data}.view", f"{data}.empty"
    os.makedirs(empty, exist_ok=True)  # overlayfs wants two layers at least
    os.makedirs(view, exist_ok=True)
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
    mount_layers([empty, *layers], "", "", view)
    try:
        os.fchdir(_directory_inside(view, target))
        return os.spawnvp(os.P_WAIT, "cp", ["cp", "-a", "--", ".", data])
    except KernelError as error:
        if error.errno in (2, 20):  # ENOENT, ENOTDIR
            return 0
        raise
    finally:
        os.chdir("/")
        syscalls.umount2(view, syscalls.MNT_DETACH)
        with contextlib.suppress(OSError):
            os.rmdir(view)
            os.rmdir(empty)


def _directory_inside(root: str, path: str) -> int:
    from runtime.native import syscalls

    directory = os.open(root, os.O_PATH | os.O_DIRECTORY)
    return syscalls.openat2(directory, path.lstrip("/"), os.O_RDONLY | os.O_DIRECTORY, syscalls.RESOLVE_IN_ROOT)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
    except Exception as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
