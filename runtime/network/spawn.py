"""Starting the network worker, early if one likes: its imports then run beside the command's own. In the command's process; stdlib only."""

from __future__ import annotations

import json
import os
import socket
import sys

_BOOT = (
    "import gc,json,os,sys;os.closerange(4,65536);gc.disable();sys.path[:]=json.loads(sys.argv[1]);"
    "from runtime.network.worker import main;gc.freeze();gc.enable();main(int(sys.argv[2]),sys.argv[3])"
)
shared: tuple[int, ...] = ()  # descriptors that workers are given copies of: locks that are to be held until they end
_ready: dict[str, tuple[socket.socket, int]] = {}


def ahead(run: str) -> None:
    """Start a worker that the next ``take`` will find; if nobody takes it, it ends with this process."""
    if run not in _ready:
        _ready[run] = worker(run)


def take(run: str) -> tuple[socket.socket, int]:
    """The worker started ahead, or a new one: our end of its channel (non-blocking) and its pid."""
    return _ready.pop(run, None) or worker(run)


def worker(run: str) -> tuple[socket.socket, int]:
    """Start the worker in a session of its own (Ctrl-C is not for it), on a fresh interpreter without site processing."""
    ours, theirs = socket.socketpair()
    path = [os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), *sys.path]
    argv = [sys.executable, "-E", "-S", "-c", _BOOT, json.dumps(path), "3", run]
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
        (os.POSIX_SPAWN_DUP2, 0, 1),
        (os.POSIX_SPAWN_DUP2, 0, 2),
        (os.POSIX_SPAWN_DUP2, theirs.fileno(), 3),
    ]
    try:
        pid = os.posix_spawn(sys.executable, argv, os.environ, file_actions=actions, setsid=True)
    finally:
        theirs.close()
    ours.setblocking(False)
    return ours, pid
