"""A program of the tests: the command line, killed just before the Nth thing it does to the outside. ``at_step.py N ARGUMENT...``

Things done to the outside are what the interpreter audits: files opened for writing, made, renamed and removed, processes started, sockets
connected. So a moment is a place in the program, however fast the machine is.
"""

from __future__ import annotations

import os
import signal
import sys

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_ACTS = frozenset(
    ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.posix_spawn", "socket.connect", "socket.bind", "fcntl.flock")
)


def kill_at(step: int) -> None:
    """Arm the audit hook."""
    left = step

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event in _ACTS or (event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


if __name__ == "__main__":
    kill_at(int(sys.argv.pop(1)))
    from compose.cli import main

    main()
