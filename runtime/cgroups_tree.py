"""Directories of cgroups: making, writing, listing, emptying and removing them, the same in both versions. In the supervisor and container child."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Sequence

from runtime.cgroups_limits import Setting
from runtime.errors import InUse, LaunchError

_PATIENCE = 2.0  # seconds that dying processes get before a cgroup counts as busy


def write(path: str, value: str) -> None:
    """Write a control file in one write(2), as the kernel wants it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)


def write_all(path: str, values: Sequence[str]) -> None:
    """Several writes to one control file, each a write(2) of its own."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        for value in values:
            os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)


def apply(directory: str, setting: Setting) -> None:
    """Write one limit. Raises LaunchError that names the field, unless the setting is optional."""
    try:
        write(f"{directory}/{setting.file}", setting.value)
    except OSError as error:
        if setting.optional:
            return
        hint = "this kernel has no such control" if error.errno in (errno.ENOENT, errno.EACCES, errno.EPERM) else None
        reason = os.strerror(error.errno or 0)
        raise LaunchError(
            "cgroup", f"{setting.field}: {setting.file} = {setting.value}: {reason}", errno=error.errno or 0, hint=hint
        ) from None


def missing(setting: Setting) -> LaunchError:
    """The error for a limit whose controller the host has not got."""
    message = f"{setting.field}: this host has no cgroup controller {setting.controller!r}"
    return LaunchError("cgroup", message, hint="enable it on the kernel's command line, or leave the limit out")


def make(root: str, path: str) -> None:
    """Make ``path`` below ``root``. A neighbour may be removing an empty parent meanwhile: then again."""
    for _ in range(10):
        if _make(root, path):
            return
    raise LaunchError("cgroup", f"{root}/{path} cannot be made: its parent keeps disappearing")


def _make(root: str, path: str) -> bool:
    try:
        os.mkdir(f"{root}/{path}", 0o755)
    except FileExistsError:
        return True
    except FileNotFoundError:
        return "/" in path and _make(root, os.path.dirname(path)) and _make(root, path)
    return True


def tree(directory: str) -> list[str]:
    """The cgroup and those below it, deepest first."""
    return [path for path, _, _ in os.walk(directory, topdown=False)]


def pids(directory: str) -> list[int]:
    """The processes in the cgroup and those below it."""
    found: list[int] = []
    for path in tree(directory):
        with contextlib.suppress(OSError), open(f"{path}/cgroup.procs", encoding="ascii") as file:
            found += [int(line) for line in file]
    return found


def signal_all(processes: Sequence[int], number: int) -> None:
    """Send a signal to each; one that is gone is none of our worry."""
    for pid in processes:
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.Signals(number))


def remove(root: str, path: str) -> None:
    """Remove the cgroup with those below it, then its parents as far as they are empty. Raises InUse when processes will not go."""
    for directory in tree(f"{root}/{path}"):
        _remove_when_empty(directory)
    parent = os.path.dirname(path)
    while parent:
        try:
            os.rmdir(f"{root}/{parent}")
        except OSError:
            return
        parent = os.path.dirname(parent)


def _remove_when_empty(directory: str) -> None:
    """rmdir; the kernel says EBUSY for a moment after the last process was reaped, and v1 gives no event to wait for."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            os.rmdir(directory)
            return
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise InUse(f"cgroup {directory} cannot be removed: {os.strerror(error.errno or 0)}") from None
        time.sleep(0.002)
