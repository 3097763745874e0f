"""Standard streams and the terminal of a container process. In the container child only."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import struct
import termios

from runtime import mounts
from runtime.errors import KernelError, LaunchError
from runtime.mounts import Root
from runtime.native import syscalls as sys
from runtime.record import dataclass

_TIOCGPTPEER, _TIOCSPTLCK = 0x5441, 0x40045431
_PTMX = os.makedev(5, 2)


@dataclass(frozen=True, slots=True)
class Streams:
    """Descriptors for 0, 1 and 2; -1 is /dev/null, or with ``terminal`` a new pseudo-terminal."""

    stdin: int
    stdout: int
    stderr: int
    terminal: bool
    console: bool = False  # bind the terminal on /dev/console
    size: tuple[int, int] = (0, 0)  # rows and columns of a new terminal


def set_up(streams: Streams, root: Root) -> int:
    """Put the streams in place and let every other descriptor close at execve(2). The master of a new terminal, or -1."""
    master = -1
    if streams.terminal:
        slave = streams.stdin
        if slave < 0:
            master, slave = _new_terminal(root)
            fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", *streams.size, 0, 0))
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        if streams.console:
            _bind_console(root, slave)
        wanted = [slave, slave, slave]
    else:
        wanted = [d if d >= 0 else root.open("/dev/null", os.O_RDWR) for d in (streams.stdin, streams.stdout, streams.stderr)]
    _place(wanted)
    return master


def _place(wanted: list[int]) -> None:
    # Duplicates above 2 first: one stream's source may be another's place.
    copies = [fcntl.fcntl(d, fcntl.F_DUPFD_CLOEXEC, 10) for d in wanted]
    for place, copy in enumerate(copies):
        os.dup2(copy, place, inheritable=True)
    sys.close_range(3, 2**32 - 1, sys.CLOSE_RANGE_CLOEXEC)


def _new_terminal(root: Root) -> tuple[int, int]:
    """Master and slave of a pseudo-terminal of the container's own devpts, so that ttyname(3) works inside."""
    master = root.open("/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY)
    status = os.fstat(master)
    if not stat.S_ISCHR(status.st_mode) or status.st_rdev != _PTMX:
        raise LaunchError("terminal", "/dev/pts/ptmx is not a terminal multiplexer")
    fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
    return master, fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY)


def _bind_console(root: Root, slave: int) -> None:
    """A terminal of the host's devpts cannot be bound here; then there is no /dev/console."""
    with contextlib.suppress(KernelError):
        root.attach(mounts.clone_tree("", recursive=False, directory=slave), "/dev/console")
