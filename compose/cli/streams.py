"""A container's own streams joined to the user's: ``attach`` and foreground ``run``. In the command's process.

Input has a thread of its own: a container that does not read must not keep its output from being shown.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from compose.cli import output, terminal
from compose.cli.terminal import DetachKeys
from runtime.engine import access

_CHUNK = 1 << 16
_FORCED = 3


class Attachment(Protocol):
    """Both directions of a container's streams, as ``runtime.engine.access.attach`` gives them."""

    terminal: bool

    def send(self, data: bytes) -> None:
        """Give the container input."""

    def close_stdin(self) -> None:
        """No more input."""

    def receive(self) -> list[tuple[str, bytes]] | None:
        """What has come, by stream; None at the end."""


class _Detached(Exception):
    """The user typed the keys that detach."""


def join(container: str, attachment: Attachment, *, stdin: bool, keys: DetachKeys | None, forward_signals: bool = True) -> bool:
    """Copy until the container ends (True) or the user detaches (False)."""
    tty = attachment.terminal
    with _detachable():
        try:
            with terminal.raw(0 if tty and stdin else -1), _resized(container, tty), _forwarded(container, forward_signals):
                if stdin:
                    threading.Thread(target=_send, args=(attachment, keys if tty else None), daemon=True).start()
                while (pieces := attachment.receive()) is not None:
                    for stream, data in pieces:
                        output.write_bytes(data, to_stderr=stream == "stderr")
        except _Detached:  # as early as the thread's start, when the keys were typed ahead
            return False
    return True


def _send(attachment: Attachment, keys: DetachKeys | None) -> None:
    """The input's thread: until the end of our input, or of the container."""
    try:
        while data := os.read(sys.stdin.fileno(), _CHUNK):
            passed, leave = keys.feed(data) if keys else (data, False)
            attachment.send(passed)
            if leave:
                os.kill(os.getpid(), signal.SIGUSR1)
                return
        attachment.close_stdin()
    except (OSError, ValueError):  # the container is gone, or we are about to be
        return


@contextmanager
def _detachable() -> Iterator[None]:
    def leave(number: int, frame: object) -> None:
        raise _Detached

    before = signal.signal(signal.SIGUSR1, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


@contextmanager
def _resized(container: str, tty: bool) -> Iterator[None]:
    if not tty:
        yield
        return
    resize(container)
    with terminal.on_resize(lambda: resize(container)):
        yield


def resize(container: str) -> None:
    """Give a container's terminal, started or not, the size of ours."""
    rows, columns = terminal.size()
    if rows and columns:
        access.resize(container, rows, columns)


@contextmanager
def _forwarded(container: str, wanted: bool) -> Iterator[None]:
    """Signals go to the container; the third ends us."""
    if not wanted:
        yield
        return
    count = 0

    def forward(number: int, frame: object) -> None:
        nonlocal count
        count += 1
        if count >= _FORCED:
            raise KeyboardInterrupt
        access.send_signal(container, signal.Signals(number).name)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
    before = {n: signal.signal(n, forward) for n in numbers}
    try:
        yield
    finally:
        for n, action in before.items():
            signal.signal(n, action)
