"""``init: true``: a first process that forwards signals and reaps orphans. Found on the host and bound in, or, without one, this file's own loop.

``find_init`` runs in the parent; ``reap_for_child`` is pid 1 of the container until its child ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import struct
from functools import cache
from typing import NoReturn

from runtime.native import syscalls as sys

TARGET = "/sbin/docker-init"
_CANDIDATES = (
    *("/usr/bin/tini-static", "/usr/libexec/docker/docker-init", "/usr/bin/docker-init", "/usr/local/bin/docker-init"),
    *("/usr/bin/catatonit", "/usr/libexec/podman/catatonit"),
)
_PT_INTERP = 3


@cache
def find_init() -> str:
    """An init program of the host that runs without the host's libraries, "" when there is none."""
    return next((path for path in _CANDIDATES if _is_static(path)), "")


def _is_static(path: str) -> bool:
    """Whether an ELF program has no interpreter (elf(5)); a dynamic one would look for the host's loader in the container."""
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
    except OSError:
        return False
    if head[:5] != b"\x7fELF\x02":
        return False
    (offset,), (size, count) = struct.unpack_from("=Q", head, 32), struct.unpack_from("=HH", head, 54)
    kinds = [struct.unpack_from("=I", head, offset + i * size)[0] for i in range(count) if offset + (i + 1) * size <= len(head)]
    return _PT_INTERP not in kinds


def reap_for_child() -> None:
    """Return in a child of this process; this process itself forwards signals to it, reaps whatever dies, and ends as the child ended."""
    child = os.fork()
    if child:
        _reap(child)
    os.setpgid(0, 0)
    with contextlib.suppress(OSError):
        os.tcsetpgrp(0, os.getpid())  # SIGTTOU is blocked here, so this does not stop us


def _reap(child: int) -> NoReturn:
    try:
        sys.close_range(3, 2**32 - 1)
        every = signal.valid_signals()
        signal.pthread_sigmask(signal.SIG_SETMASK, every)
        while True:
            received = signal.sigwait(every)
            if received != signal.SIGCHLD:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, received)
            elif (status := _collect(child)) is not None:
                os._exit(status)
    finally:
        os._exit(125)


def _collect(child: int) -> int | None:
    """Reap all that died; the exit status to end with once the child is among them."""
    result = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == child:
                code = os.waitstatus_to_exitcode(status)
                result = code if code >= 0 else 128 - code
    return result
