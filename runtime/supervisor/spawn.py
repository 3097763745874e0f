"""Starting the supervisor's process, early if one likes: its imports then run beside the command's own. In any process; stdlib only.

A process started ahead is nobody's supervisor yet: it waits, with everything imported, for the project it is to serve, its lock and its socket, and
ends when whoever started it ends without having needed it.
"""

from __future__ import annotations

import json
import os
import socket
import sys

from runtime.store import Paths

_LONGEST_ORDER = 1 << 16
_TITLE_ROOM = "-" * 200  # ps(1) is to show whose supervisor it is, and there is no more room than the arguments take
_spare: list[socket.socket] = []
_intermediates: list[int] = []


def ahead() -> None:
    """Start a process that the next ``start`` will use."""
    if not _spare:
        _spare.append(_process(-1))


def start(project: str, paths: Paths, lock: int, listener: socket.socket) -> None:
    """Let a process serve ``project``: the one started ahead, or a new one. It takes over the lock and the listening socket."""
    log = os.open(f"{paths.project_run(project)}/supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    order = json.dumps([project, paths.root, paths.run]).encode()
    try:
        while not _hand_over(_spare.pop() if _spare else _process(log), order, [lock, listener.fileno(), log]):
            continue
    finally:
        os.close(log)
    _reap()


def await_order(channel: int) -> tuple[list[str], list[int]]:
    """In the new process: what it is to be: [project, root, run], and [lock, listener, log]. Ends the process when nobody wants it any more."""
    with socket.socket(fileno=channel) as connection:
        order, descriptors, _, _ = socket.recv_fds(connection, _LONGEST_ORDER, 3, socket.MSG_CMSG_CLOEXEC)
    if not order:
        os._exit(0)
    return json.loads(order), descriptors


def _hand_over(channel: socket.socket, order: bytes, descriptors: list[int]) -> bool:
    """Give the order; False when the process died while it waited."""
    with channel:
        try:
            socket.send_fds(channel, [order], descriptors)
        except BrokenPipeError:
            return False
    return True


def _process(log: int) -> socket.socket:
    """A new process in a session of its own, its errors going to ``log`` (-1: nowhere, until it has one); our end of its channel."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    main = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py")
    arguments = [sys.executable, "-I", "-S", main, "3", _TITLE_ROOM]
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
        (os.POSIX_SPAWN_DUP2, 0, 1),
        (os.POSIX_SPAWN_DUP2, max(log, 0), 2),
        (os.POSIX_SPAWN_DUP2, theirs.fileno(), 3),
    ]
    environment = {"PATH": os.environ.get("PATH", os.defpath)}
    with theirs:
        _intermediates.append(os.posix_spawn(sys.executable, arguments, environment, file_actions=actions, setsid=True))
    return ours


def _reap() -> None:
    """Collect the short-lived parents of supervisors started earlier, as far as they are done."""
    for pid in _intermediates[:]:
        try:
            done = os.waitpid(pid, os.WNOHANG)[0]
        except ChildProcessError:
            done = pid
        if done:
            _intermediates.remove(pid)
