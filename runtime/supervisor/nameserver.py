"""The DNS server of a project's networks: sockets on the gateways' addresses, answers by ``runtime.network.resolver``. In the supervisor's worker.

Sockets are bound with SO_REUSEPORT, because supervisors of several projects may serve one network, and IP_FREEBIND, because the gateway's
address may come after them. Every supervisor can answer for every container: the names are on disk.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

from runtime import codec
from runtime.network import resolver
from runtime.network.resolver import Forward, NamesDirectory
from runtime.spec import ContainerSpec
from runtime.store import entries, read_file
from runtime.supervisor.names import network
from runtime.supervisor.nameserver_tcp import TcpListener
from runtime.supervisor.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.store import Paths
    from runtime.supervisor.facts import Facts
    from runtime.supervisor.loop import Loop

_FREEBIND = {socket.AF_INET: (socket.IPPROTO_IP, 15), socket.AF_INET6: (socket.IPPROTO_IPV6, 78)}
_TURN = 32


class Nameserver:
    """Serves the networks of running containers; ``serve`` and ``release`` follow their starts and ends."""

    def __init__(self, loop: Loop, paths: Paths, project: str, moved: Callable[[str, str], None]) -> None:
        """``moved`` is told of a network (its id) and a gateway where port 53 is somebody else's."""
        self._loop = loop
        self._paths = paths
        self._project = project
        self._names = NamesDirectory(f"{paths.run}/names")
        self._upstream = Upstream(loop)
        self._served: dict[str, list[socket.socket | TcpListener]] = {}
        self._users: dict[str, set[str]] = {}
        self._dns: dict[str, tuple[str, ...]] = {}
        self._turn = 0
        self._moved = moved
        self._was_moved = f"{paths.run}/nameservers.moved"

    def serve(self, facts: Facts) -> None:
        """Listen on the gateways of the container's networks."""
        self._dns[facts.id] = facts.dns
        for endpoint in facts.endpoints:
            self._users.setdefault(endpoint.network, set()).add(facts.id)
            if not self._served.get(endpoint.network):
                self._served[endpoint.network] = self._listen(endpoint.network)

    def release(self, facts: Facts) -> None:
        """Stop listening where the container was the last to listen for."""
        self._dns.pop(facts.id, None)
        for name in [n for n, users in self._users.items() if facts.id in users]:
            self._users[name].discard(facts.id)
            if not self._users[name]:
                del self._users[name]
                self._close(name)

    def addresses(self) -> list[str]:
        """Where it listens."""
        return [str(s.getsockname()[0]) for sockets in self._served.values() for s in sockets if isinstance(s, socket.socket)]

    def answer(self, query: bytes, asker: str, reply: Callable[[bytes], None], *, tcp: bool) -> None:
        """Answer one query, now or when an upstream server has."""
        self._turn += 1
        found = resolver.answer(query, asker, self._names.current(), turn=self._turn, tcp=tcp)
        if not isinstance(found, Forward):
            if found:
                reply(found)
            return
        servers = self._servers(found.container)
        self._upstream.ask(query, servers, lambda answer: reply(answer or resolver.failure(query)), tcp=tcp)

    def _servers(self, container_id: str | None) -> list[str]:
        """The asker's own ``dns``, or the host's; never ourselves."""
        own = self._dns.get(container_id) if container_id in self._dns else self._foreign_dns(container_id)
        ours = set(self.addresses())
        return [s for s in own or resolver.host_servers() if s not in ours]

    def _foreign_dns(self, container_id: str | None) -> tuple[str, ...]:
        for project in entries(self._paths.projects) if container_id else ():
            text = read_file(f"{self._paths.container(project, str(container_id))}/spec.json")
            if text is not None:
                return codec.loads(ContainerSpec, text).dns
        return ()

    def _listen(self, name: str) -> list[socket.socket | TcpListener]:
        found = network(self._paths, name)
        gateways = [s.gateway for s in found.subnets if s.gateway] if found is not None else []
        opened: list[socket.socket | TcpListener] = []
        for gateway in gateways:
            taken = False
            try:
                opened += self._open(gateway, resolver.PORT)
            except OSError:  # by a server on every address, say
                taken = True
            if not taken and not os.path.exists(self._was_moved):
                continue
            with contextlib.suppress(OSError):  # taken, too: names do not work there, everything else does
                opened += self._open(gateway, resolver.SECOND_PORT)
            if taken and found is not None:
                self._move(found.id, gateway)
        return opened

    def _move(self, network_id: str, gateway: str) -> None:
        """From now on supervisors listen on both ports, where they can: the rule stays with the network, though the other server may leave."""
        os.close(os.open(self._was_moved, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._moved(network_id, gateway)

    def _open(self, gateway: str, port: int) -> list[socket.socket | TcpListener]:
        datagrams = _bound(gateway, port, socket.SOCK_DGRAM)
        try:
            connections = _bound(gateway, port, socket.SOCK_STREAM)
            connections.listen()
        except OSError:
            datagrams.close()
            raise
        self._loop.watch(datagrams.fileno(), lambda _: self._receive(datagrams))
        return [datagrams, TcpListener(self._loop, connections, self.answer)]

    def _receive(self, bound: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(_TURN):
                query, asker = bound.recvfrom(4096)
                self.answer(query, str(asker[0]), lambda answer, to=asker: _send(bound, answer, to), tcp=False)  # type: ignore[misc]

    def _close(self, name: str) -> None:
        for opened in self._served.pop(name, ()):
            if isinstance(opened, socket.socket):
                self._loop.forget(opened.fileno())
            opened.close()


def _bound(address: str, port: int, kind: socket.SocketKind) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    bound = socket.socket(family, kind)
    try:
        bound.setblocking(False)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.setsockopt(*_FREEBIND[family], 1)
        bound.bind((address, port))
    except OSError:
        bound.close()
        raise
    os.set_inheritable(bound.fileno(), False)
    return bound


def _send(bound: socket.socket, answer: bytes, to: tuple[str, int]) -> None:
    """Send, unless the socket was closed or the asker is gone meanwhile: it will ask again."""
    with contextlib.suppress(OSError):
        bound.sendto(answer, to)
