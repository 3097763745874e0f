"""DNS over TCP (RFC 7766): messages with a length of two bytes before them, several per connection. In the supervisor's worker."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from runtime.supervisor.loop import READ, WRITE

if TYPE_CHECKING:
    from runtime.supervisor.loop import Loop, Timer

_BACKLOG = 64
_MOST = 256
_IDLE = 10.0


class Answer(Protocol):
    """``Nameserver.answer``."""

    def __call__(self, query: bytes, asker: str, reply: Callable[[bytes], None], *, tcp: bool) -> None:
        """Answer one query by ``reply``."""


class TcpListener:
    """A listening socket and its connections."""

    def __init__(self, loop: Loop, listener: socket.socket, answer: Answer) -> None:
        self._loop = loop
        self._listener = listener
        self._answer = answer
        self._open: set[_Connection] = set()
        listener.listen(_BACKLOG)
        loop.watch(listener.fileno(), self._accept)

    def close(self) -> None:
        """Stop listening, and hang up."""
        self._loop.forget(self._listener.fileno())
        self._listener.close()
        for connection in list(self._open):
            connection.close()

    def _accept(self, _: int) -> None:
        with contextlib.suppress(OSError):
            client, address = self._listener.accept()
            if len(self._open) >= _MOST:
                client.close()
                return
            client.setblocking(False)
            self._open.add(_Connection(self._loop, client, str(address[0]), self._answer, self._open.discard))


class _Connection:
    """One asker; idle connections are closed."""

    def __init__(self, loop: Loop, client: socket.socket, asker: str, answer: Answer, closed: Callable[[_Connection], None]) -> None:
        self._loop = loop
        self._client = client
        self._asker = asker
        self._answer = answer
        self._closed = closed
        self._received = bytearray()
        self._unsent = bytearray()
        self._idle: Timer = loop.after(_IDLE, self.close)
        loop.watch(client.fileno(), self._turn)

    def close(self) -> None:
        """Hang up."""
        self._idle.cancel()
        if self._client.fileno() >= 0:
            self._loop.forget(self._client.fileno())
            self._client.close()
        self._closed(self)

    def _turn(self, events: int) -> None:
        try:
            if events & WRITE:
                self._flush()
            if events & READ:
                self._read()
            elif events & ~(READ | WRITE):
                self.close()
        except BlockingIOError:
            return
        except OSError:
            self.close()

    def _read(self) -> None:
        data = self._client.recv(1 << 16)
        if not data:
            self.close()
            return
        self._idle.cancel()
        self._idle = self._loop.after(_IDLE, self.close)
        self._received += data
        while len(self._received) >= 2:
            end = 2 + int.from_bytes(self._received[:2], "big")
            if len(self._received) < end:
                return
            query, self._received = bytes(self._received[2:end]), self._received[end:]
            self._answer(query, self._asker, self._reply, tcp=True)

    def _reply(self, answer: bytes) -> None:
        if self._client.fileno() >= 0:
            self._unsent += len(answer).to_bytes(2, "big") + answer
            with contextlib.suppress(OSError):
                self._flush()

    def _flush(self) -> None:
        if self._unsent:
            with contextlib.suppress(BlockingIOError):
                del self._unsent[: self._client.send(self._unsent)]
        self._loop.watch(self._client.fileno(), self._turn, READ | WRITE if self._unsent else READ)
