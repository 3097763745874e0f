"""Passing DNS questions on to other servers without waiting for them. In the supervisor's worker.

Every question leaves from a socket of its own, so its source port is random and only the asked server's datagrams arrive.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from runtime.network import resolver
from runtime.supervisor.loop import READ, WRITE

if TYPE_CHECKING:
    from runtime.supervisor.loop import Loop, Timer

PORT = 53
_PATIENCE = 2.0  # seconds per server
_MOST = 512  # questions under way; more fail at once, so that a flood costs no memory

Done = Callable[[bytes | None], None]


class Upstream:
    """Questions under way."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._under_way = 0

    def ask(self, query: bytes, servers: Sequence[str], done: Done, *, tcp: bool) -> None:
        """Ask each server in turn; ``done`` gets the first reply, or None when none came."""
        if not servers or self._under_way >= _MOST:
            done(None)
            return
        self._under_way += 1
        _Question(self._loop, query, list(servers), lambda answer: self._finish(answer, done), tcp=tcp).next()

    def _finish(self, answer: bytes | None, done: Done) -> None:
        self._under_way -= 1
        done(answer)


class _Question:
    """One question to one server at a time."""

    def __init__(self, loop: Loop, query: bytes, servers: list[str], done: Done, *, tcp: bool) -> None:
        self._loop = loop
        self._query = query
        self._servers = servers
        self._done = done
        self._tcp = tcp
        self._socket: socket.socket | None = None
        self._timer: Timer | None = None
        self._unsent = b""
        self._received = b""

    def next(self) -> None:
        """Ask the next server, or give up."""
        self._close()
        if not self._servers:
            self._done(None)
            return
        try:
            self._ask(self._servers.pop(0))
        except OSError:  # no route, say
            self.next()

    def _ask(self, server: str) -> None:
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM if self._tcp else socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        outcome = self._socket.connect_ex((server, PORT))
        if outcome not in (0, errno.EINPROGRESS):
            raise OSError(outcome, "connect")
        self._timer = self._loop.after(_PATIENCE, self.next)
        self._received = b""
        if self._tcp:
            self._unsent = len(self._query).to_bytes(2, "big") + self._query
            self._loop.watch(self._socket.fileno(), self._stream, READ | WRITE)
        else:
            self._socket.send(self._query)
            self._loop.watch(self._socket.fileno(), self._datagram)

    def _datagram(self, _: int) -> None:
        try:
            answer = self._socket.recv(1 << 16) if self._socket is not None else b""
        except BlockingIOError:
            return
        except OSError:  # refused: nobody serves there
            self.next()
            return
        if resolver.belongs(answer, self._query):
            self._finish(answer)

    def _stream(self, _: int) -> None:
        if self._socket is None:
            return
        try:
            if self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
                if not self._unsent:
                    self._loop.watch(self._socket.fileno(), self._stream, READ)
                return
            data = self._socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._received += data
        length = int.from_bytes(self._received[:2], "big")
        if len(self._received) >= 2 + length > 2:
            self._finish(self._received[2 : 2 + length])
        elif not data:
            self.next()

    def _finish(self, answer: bytes) -> None:
        self._close()
        self._done(answer)

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._socket is not None:
            with contextlib.suppress(KeyError):
                self._loop.forget(self._socket.fileno())
            self._socket.close()
            self._socket = None
