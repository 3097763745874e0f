"""Relaying connections and datagrams from a host port to a container, for what address translation does not reach. In the supervisor's worker."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from runtime.supervisor.loop import READ, WRITE

if TYPE_CHECKING:
    from runtime.supervisor.loop import Loop

_CHUNK = 1 << 16
_MOST_CLIENTS = 256
_UDP_IDLE = 90.0
_UDP_TURN = 32

Address = tuple[str, int]


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class TcpRelay:
    """A listening socket whose connections are joined with new ones to ``target``."""

    def __init__(self, loop: Loop, listener: socket.socket, target: Address) -> None:
        self._loop = loop
        self._listener = listener
        self._target = target
        self._pairs: set[_Pair] = set()
        loop.watch(listener.fileno(), self._accept)

    def close(self) -> None:
        """Stop listening, and hang up."""
        self._loop.forget(self._listener.fileno())
        self._listener.close()
        for pair in list(self._pairs):
            pair.close()

    def _accept(self, _: int) -> None:
        with contextlib.suppress(OSError):
            client, _address = self._listener.accept()
            if len(self._pairs) >= _MOST_CLIENTS:
                client.close()
                return
            server = socket.socket(_family(self._target[0]), socket.SOCK_STREAM)
            for end in (client, server):
                end.setblocking(False)
            server.connect_ex(self._target)
            self._pairs.add(_Pair(self._loop, client, server, self._pairs.discard))


class _Pair:
    """Two connected sockets; what one receives the other sends, ends of file included."""

    def __init__(self, loop: Loop, client: socket.socket, server: socket.socket, closed: Callable[[_Pair], None]) -> None:
        self._loop = loop
        self._ends = (client, server)
        self._waiting = [bytearray(), bytearray()]  # to be sent by the end of the same number
        self._finished = [False, False]  # whether the end of the same number has sent its last
        self._shut = [False, False]  # whether it has been told that nothing more comes
        self._closed = closed
        for number, end in enumerate(self._ends):
            loop.watch(end.fileno(), lambda events, n=number: self._turn(n, events), READ | WRITE)  # type: ignore[misc]

    def close(self) -> None:
        """Hang up both."""
        for end in self._ends:
            if end.fileno() >= 0:
                self._loop.forget(end.fileno())
                end.close()
        self._closed(self)

    def _turn(self, number: int, events: int) -> None:
        try:
            if events & WRITE and self._waiting[number]:
                del self._waiting[number][: self._ends[number].send(self._waiting[number])]
            if events & ~WRITE and not self._finished[number] and not self._waiting[1 - number]:
                self._receive(number)
            self._settle()
        except BlockingIOError:
            return
        except OSError:
            self.close()

    def _receive(self, number: int) -> None:
        data = self._ends[number].recv(_CHUNK)
        self._waiting[1 - number] += data
        self._finished[number] = not data

    def _settle(self) -> None:
        """Pass an end of file on once everything before it was sent; watch each end for what it can do."""
        for number, end in enumerate(self._ends):
            other = 1 - number
            if self._finished[other] and not self._waiting[number] and not self._shut[number]:
                self._shut[number] = True
                end.shutdown(socket.SHUT_WR)
        if all(self._finished) and not any(self._waiting):
            self.close()
            return
        for number, end in enumerate(self._ends):
            wanted = (WRITE if self._waiting[number] else 0) | (0 if self._finished[number] or self._waiting[1 - number] else READ)
            if wanted:
                self._loop.watch(end.fileno(), lambda events, n=number: self._turn(n, events), wanted)  # type: ignore[misc]
            else:
                self._loop.forget(end.fileno())


class UdpRelay:
    """A bound socket; each client's datagrams go to ``target`` from a socket of its own, and what comes back goes to the client."""

    def __init__(self, loop: Loop, bound: socket.socket, target: Address) -> None:
        self._loop = loop
        self._bound = bound
        self._target = target
        self._clients: dict[Address, tuple[socket.socket, float]] = {}
        loop.watch(bound.fileno(), self._inbound)

    def close(self) -> None:
        """Close all sockets."""
        for client in list(self._clients):
            self._forget(client)
        self._loop.forget(self._bound.fileno())
        self._bound.close()

    def _inbound(self, _: int) -> None:
        with contextlib.suppress(OSError):
            for _turn in range(_UDP_TURN):
                data, client = self._bound.recvfrom(_CHUNK)
                self._upstream(client).send(data)

    def _upstream(self, client: Address) -> socket.socket:
        if client not in self._clients:
            self._expire()
            upstream = socket.socket(_family(self._target[0]), socket.SOCK_DGRAM)
            upstream.setblocking(False)
            upstream.connect(self._target)
            self._loop.watch(upstream.fileno(), lambda _: self._outbound(client))
        else:
            upstream = self._clients[client][0]
        self._clients[client] = (upstream, time.monotonic())
        return upstream

    def _outbound(self, client: Address) -> None:
        with contextlib.suppress(OSError):
            self._bound.sendto(self._clients[client][0].recv(_CHUNK), client)

    def _expire(self) -> None:
        """Forget clients that were silent for long, and the most silent one when there are too many."""
        oldest = time.monotonic() - _UDP_IDLE
        silent = [c for c, (_, last) in self._clients.items() if last < oldest]
        if len(self._clients) - len(silent) >= _MOST_CLIENTS:
            silent.append(min(self._clients, key=lambda c: self._clients[c][1]))
        for client in dict.fromkeys(silent):
            self._forget(client)

    def _forget(self, client: Address) -> None:
        upstream = self._clients.pop(client)[0]
        self._loop.forget(upstream.fileno())
        upstream.close()
