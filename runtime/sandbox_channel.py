"""How a container child tells its parent what became of it: packets over a socket that execve closes. In both of them.

A packet is "ready" just before execve, or a failure; the end of the stream after "ready" and no failure is success, without either the child was killed.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence

from runtime.errors import KernelError, LaunchError, RuntimeFailure
from runtime.record import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the child said until its end of the channel closed."""

    ready: bool
    error: LaunchError | None
    terminal: int
    warnings: tuple[str, ...]


def channel() -> tuple[socket.socket, socket.socket]:
    """The parent's end and the child's, both close-on-exec."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def receive(connection: socket.socket) -> Outcome:
    """Read until the child's end closes."""
    ready, error, terminal, warnings = False, None, -1, tuple[str, ...]()
    while True:
        data, descriptors, _, _ = socket.recv_fds(connection, 65536, 1, socket.MSG_CMSG_CLOEXEC)
        if not data:
            return Outcome(ready, error, terminal, warnings)
        message = json.loads(data)
        if "ready" in message:
            ready, warnings = True, tuple(message["warnings"])
            terminal = descriptors[0] if descriptors else -1
        else:
            error = LaunchError(
                message["stage"], message["message"], exit_code=message["exit_code"], errno=message["errno"], hint=message["hint"]
            )


def send_ready(connection: socket.socket, terminal: int, warnings: Sequence[str]) -> None:
    """Say that execve comes next, hand over the master of a new terminal (-1: none), and name what was asked for and is left out.

    All in one packet at the end, so that a parent which waits for the first one never waits long for the last.
    """
    data = json.dumps({"ready": True, "warnings": warnings}).encode()
    socket.send_fds(connection, [data], [terminal] if terminal >= 0 else [])


def send_failure(connection: socket.socket, stage: str, error: BaseException) -> None:
    """Report why there will be no process."""
    launch = error if isinstance(error, LaunchError) else None
    message = {
        "stage": launch.stage if launch else stage,
        "message": _message(stage, error),
        "errno": getattr(error, "errno", 0) or 0,
        "exit_code": launch.exit_code if launch else 125,
        "hint": getattr(error, "hint", None),
    }
    connection.send(json.dumps(message).encode())


def _message(stage: str, error: BaseException) -> str:
    if isinstance(error, LaunchError):
        return error.message
    if isinstance(error, KernelError):
        return f"{stage}: {error.message}"
    if isinstance(error, RuntimeFailure):
        return error.message
    if isinstance(error, OSError) and error.errno:
        return f"{stage}: {error.filename or ''}: {os.strerror(error.errno)}".replace(": : ", ": ")
    return f"{stage}: {type(error).__name__}: {error}"
