"""Somebody attached to a container's streams over a connection. In the supervisor's worker.

Without a terminal, output is framed: one byte for the stream (1 stdout, 2 stderr), four for the length (big-endian), then the bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.supervisor.streams import LONGEST_BACKLOG

if TYPE_CHECKING:
    from runtime.supervisor.container import Container
    from runtime.supervisor.server import Connection


class Attached:
    """Joins a connection and the container's present or next run."""

    def __init__(self, container: Container, connection: Connection, *, stdin_once: bool) -> None:
        self._container = container
        self._connection = connection
        self._stdin_once = stdin_once
        self._early = bytearray()
        self._ended = False
        self._framed = not container.facts.tty
        container.attach(self)
        connection.on_close.append(lambda: container.detach(self))
        connection.on_drained = self._drained
        connection.upgrade(self._input)

    def joined(self) -> None:
        """The container's streams are there: pass on what came before they were."""
        early, self._early = bytes(self._early), bytearray()
        if early:
            self._input(early)
        if self._ended:
            self._input(b"")

    def output(self, stream: int, data: bytes) -> None:
        """Send output on."""
        head = bytes([stream + 1]) + len(data).to_bytes(4, "big") if self._framed else b""
        self._connection.send(head + data)

    def backlog(self) -> int:
        """Bytes the client has not taken."""
        return self._connection.backlog()

    def pause(self) -> None:
        """Take no input for now."""
        self._connection.pause(True)

    def resume(self) -> None:
        """Take input again."""
        self._connection.pause(self._ended)

    def end(self) -> None:
        """The container has ended."""
        self._connection.end()

    def _input(self, data: bytes) -> None:
        streams = self._container.streams
        self._ended = self._ended or not data
        if streams is None:
            self._early += data
            if len(self._early) > LONGEST_BACKLOG:
                self.pause()
        elif data:
            streams.feed(self, data)
        elif self._stdin_once:
            streams.end_input()

    def _drained(self) -> None:
        if self._container.streams is not None:
            self._container.streams.continue_output()
