"""How a container child tells its parent what became of it: packets over a socket that execve closes. In both of them.

A packet is a failure, a warning, the master of a new terminal, or "ready" just before execve; the end of the stream after "ready" and no
failure is success.
"""

from __future__ import annotations

import json
import os
import socket
from dataclasses import dataclass

from runtime.errors import KernelError, LaunchError, RuntimeFailure


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
    ready, error, terminal, warnings = False, None, -1, list[str]()
    while True:
        data, descriptors, _, _ = socket.recv_fds(connection, 65536, 1, socket.MSG_CMSG_CLOEXEC)
        if not data:
            return Outcome(ready, error, terminal, tuple(warnings))
        message = json.loads(data)
        if descriptors:
            terminal = descriptors[0]
        ready = ready or "ready" in message
        if "warning" in message:
            warnings.append(message["warning"])
        if "stage" in message:
            error = LaunchError(
                message["stage"], message["message"], exit_code=message["exit_code"], errno=message["errno"], hint=message["hint"]
            )


def send_ready(connection: socket.socket) -> None:
    """Say that execve comes next: a child that ends without having said so was killed."""
    connection.send(b'{"ready":true}')


def send_terminal(connection: socket.socket, master: int) -> None:
    """Hand the master of a new terminal to the parent."""
    socket.send_fds(connection, [b"{}"], [master])


def send_warning(connection: socket.socket, text: str) -> None:
    """Tell the parent about something that was asked for and is left out."""
    connection.send(json.dumps({"warning": text}).encode())


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
