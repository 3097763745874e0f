"""The supervisor's socket: connections, requests and their answers, which may come much later. In the supervisor's worker."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from runtime.errors import RuntimeFailure
from runtime.supervisor.loop import HANGUP, READ, WRITE, report_trouble
from runtime.supervisor.protocol import Message, failure_message, line

if TYPE_CHECKING:
    from runtime.supervisor.loop import Loop

_CHUNK = 1 << 16
_LONGEST_REQUEST = 1 << 20

Dispatch = Callable[["Request"], None]


class Request:
    """One call. Exactly one of ``answer`` and ``refuse`` takes effect; a caller who hung up is told nothing."""

    def __init__(self, connection: Connection, method: str, arguments: Mapping[str, object]) -> None:
        self.connection = connection
        self.method = method
        self.arguments = arguments
        self._answered = False

    @property
    def is_open(self) -> bool:
        """Whether somebody still waits for an answer."""
        return not self._answered and self.connection.is_open

    def answer(self, result: Mapping[str, object] | None = None) -> None:
        """It is done."""
        self._reply({"result": dict(result or {})})

    def refuse(self, failure: RuntimeFailure) -> None:
        """It cannot be done."""
        self._reply(failure_message(failure))

    def settle(self, failure: RuntimeFailure | None) -> None:
        """``refuse`` or ``answer``."""
        if failure is None:
            self.answer()
        else:
            self.refuse(failure)

    def text(self, name: str) -> str:
        """A string argument. Raises RuntimeFailure when it is missing."""
        value = self.arguments.get(name)
        if not isinstance(value, str):
            raise RuntimeFailure(f"{self.method}: argument {name} is missing")
        return value

    def number(self, name: str) -> float | None:
        """A number, or None."""
        value = self.arguments.get(name)
        return float(value) if isinstance(value, (int, float)) else None

    def _reply(self, message: Message) -> None:
        if not self._answered:
            self._answered = True
            self.connection.send(line(message))
            self.connection.next_request()


class Connection:
    """One client: requests one after the other, or, after ``upgrade``, raw bytes."""

    def __init__(self, loop: Loop, client: socket.socket, dispatch: Dispatch, closed: Callable[[Connection], None]) -> None:
        self.on_close: list[Callable[[], None]] = []
        self.on_drained: Callable[[], None] | None = None
        self._loop = loop
        self._client = client
        self._dispatch = dispatch
        self._closed = closed
        self._received = bytearray()
        self._unsent = bytearray()
        self._current: Request | None = None
        self._raw: Callable[[bytes], None] | None = None
        self._paused = False
        self._ending = False
        self._watch()

    @property
    def is_open(self) -> bool:
        """Whether the client is there."""
        return self._client.fileno() >= 0

    def send(self, data: bytes) -> None:
        """Send now or as soon as the client takes it."""
        if self.is_open:
            self._unsent += data
            self._flush()

    def backlog(self) -> int:
        """Bytes not sent yet."""
        return len(self._unsent)

    def upgrade(self, received: Callable[[bytes], None]) -> None:
        """From now on pass what comes to ``received``; b"" at the end of the client's input."""
        self._raw = received
        if self._received:
            data, self._received = bytes(self._received), bytearray()
            received(data)

    def pause(self, paused: bool) -> None:
        """Read nothing from the client for now, or again."""
        if self._paused != paused and self.is_open:
            self._paused = paused
            self._watch()

    def end(self) -> None:
        """Hang up when everything is sent."""
        self._ending = True
        if self.is_open:
            self._flush()

    def close(self) -> None:
        """Hang up."""
        if self.is_open:
            self._loop.forget(self._client.fileno())
            self._client.close()
            self._closed(self)
            callbacks, self.on_close = self.on_close, []
            for callback in callbacks:
                callback()

    def next_request(self) -> None:
        """The current request has been answered; take the next that is waiting."""
        self._current = None
        self._take_request()

    def _watch(self) -> None:
        events = (0 if self._paused else READ) | (WRITE if self._unsent else 0)
        self._loop.watch(self._client.fileno(), self._turn, events)  # epoll tells of a client that is gone even when asked for nothing

    def _turn(self, events: int) -> None:
        if self._raw is None and events & HANGUP:
            self.close()  # the command was killed: what it asked for and nobody began is not to happen behind the next one's back
            return
        if events & WRITE:
            self._flush()
        if self.is_open and events & READ:
            self._read()
        elif self.is_open and events & ~(READ | WRITE):
            self.close()

    def _read(self) -> None:
        try:
            data = self._client.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if self._raw is not None:
            self._read_raw(data)
        elif not data or len(self._received) > _LONGEST_REQUEST:
            self.close()
        else:
            self._received += data
            self._take_request()

    def _read_raw(self, data: bytes) -> None:
        if self._raw is not None:
            self._raw(data)
        if not data:  # only the client's input has ended; when it is gone altogether, EPOLLHUP says so
            self.pause(True)

    def _take_request(self) -> None:
        if self._current is not None or self._raw is not None or b"\n" not in self._received:
            return
        end = self._received.index(b"\n")
        text = bytes(self._received[:end])
        del self._received[: end + 1]
        try:
            arguments = json.loads(text)
            self._current = Request(self, str(arguments.pop("method")), arguments)
        except (ValueError, KeyError, AttributeError):
            self.close()
            return
        self._attempt(self._current)

    def _attempt(self, request: Request) -> None:
        try:
            self._dispatch(request)
        except RuntimeFailure as failure:
            request.refuse(failure)
        except Exception as error:  # a mistake of ours must reach the caller as a failure, not as silence
            report_trouble()
            request.refuse(RuntimeFailure(f"{request.method}: {type(error).__name__}: {error}", hint="the supervisor's log has more"))

    def _flush(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: self._client.send(self._unsent[:_CHUNK])]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        if self._ending and not self._unsent:
            self.close()
            return
        self._watch()
        if not self._unsent and self.on_drained is not None:
            self.on_drained()


class Server:
    """Accepts clients on the listening socket that the keeper holds."""

    def __init__(self, loop: Loop, listener: int, dispatch: Dispatch, quiet: Callable[[], None]) -> None:
        self.connections: set[Connection] = set()
        self._loop = loop
        self._dispatch = dispatch
        self._quiet = quiet
        self._listener = socket.socket(fileno=os.dup(listener))
        self._listener.setblocking(False)
        loop.watch(self._listener.fileno(), self._accept)

    def _accept(self, _: int) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                client, _address = self._listener.accept()
                client.setblocking(False)
                self.connections.add(Connection(self._loop, client, self._dispatch, self._closed))

    def _closed(self, connection: Connection) -> None:
        self.connections.discard(connection)
        self._quiet()
