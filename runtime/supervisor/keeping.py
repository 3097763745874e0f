"""The worker's side of the pair: giving the keeper descriptors to hold, hearing of exits, and taking the keeper's place when it dies. In the worker."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from runtime.supervisor import keeper
from runtime.supervisor.keeper import EXIT, Estate
from runtime.supervisor.loop import Loop

_PATIENCE = 1.0  # a keeper that is stopped (SIGSTOP) must not stop the worker for good
Exited = Callable[[int, int], None]


class Keeping:
    """The channel to the keeper. Descriptors given to ``hold`` are ours too, until ``drop`` closes both copies."""

    def __init__(self, loop: Loop, estate: Estate, channel: socket.socket, exited: Exited) -> None:
        self._loop = loop
        self._estate = estate
        self._channel = channel
        self._exited = exited
        self._leaving = False
        self._start()

    def hold(self, name: str, descriptor: int) -> None:
        """Keep a descriptor over the worker's death under ``name``."""
        self._estate.holdings[name] = descriptor
        self._say(f"hold {name}", [descriptor])

    def held(self, name: str) -> int | None:
        """The descriptor kept under ``name``, also by an earlier worker."""
        return self._estate.holdings.get(name)

    def drop(self, name: str) -> None:
        """Close the descriptor kept under ``name``, everywhere."""
        descriptor = self._estate.holdings.pop(name, None)
        if descriptor is not None:
            os.close(descriptor)
            self._say(f"drop {name}")

    def drop_strangers(self, known: set[str]) -> None:
        """Drop what is held for containers not in ``known``: an earlier worker died before it could."""
        for name in [n for n in self._estate.holdings if n.partition(":")[0] not in known]:
            self.drop(name)

    def leave(self) -> None:
        """Tell the keeper that the worker ends because nothing is left to do."""
        self._leaving = True
        self._say("leave")

    def _start(self) -> None:
        self._channel.settimeout(_PATIENCE)
        self._loop.watch(self._channel.fileno(), self._hear)

    def _say(self, message: str, descriptors: list[int] | None = None) -> None:
        try:
            socket.send_fds(self._channel, [message.encode()], descriptors or [])
        except OSError:  # the keeper is dead: _hear() sees it too, and what is held lives on in this process
            return

    def _hear(self, _: int) -> None:
        try:
            message, descriptors, _, _ = socket.recv_fds(self._channel, EXIT.size, 1, socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC)
        except (BlockingIOError, TimeoutError):
            return
        except ConnectionError:
            message, descriptors = b"", []
        if descriptors:  # there is a new guard, and this is the lower end of its channel
            os.close(self._estate.guard)
            self._estate.guard = descriptors[0]
        elif message:
            self._exited(*EXIT.unpack(message))
        elif not self._leaving:
            self._replace_keeper()

    def _replace_keeper(self) -> None:
        """Fork: the child goes on as the worker, with everything in memory; this process, the containers' parent, becomes the keeper."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._loop.forget(self._channel.fileno())
        self._channel.close()
        worker = os.fork()
        if worker:
            theirs.close()
            keeper.take_over(self._estate, ours, worker)
        ours.close()
        self._channel = theirs
        self._loop.rebuild()
        self._estate.show("supervisor")
        self._start()
