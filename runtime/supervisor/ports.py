"""Published host ports: held by listening sockets while the container lives, so that conflicts are found at once. In the supervisor's worker.

The firewall sends ordinary traffic to the container before it reaches these sockets; what it cannot send there (from ``::1``, say) is accepted
here and relayed.
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

from runtime.errors import Conflict, RuntimeFailure
from runtime.spec import PortSpec
from runtime.supervisor.relay import TcpRelay, UdpRelay

if TYPE_CHECKING:
    from runtime.supervisor.facts import Facts
    from runtime.supervisor.loop import Loop

_BACKLOG = 128
NAMESERVER_PORT = 53
_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


class Ports:
    """The sockets of the project's published ports, by container id."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._held: dict[str, list[TcpRelay | UdpRelay]] = {}

    def reserve(self, facts: Facts, *, insist: bool = True) -> None:
        """Bind every published port. Raises Conflict with Docker's words when one is taken, unless not ``insist``ing; held already is fine."""
        target = _target(facts)
        if facts.id in self._held or target is None:
            return
        held = self._held[facts.id] = []
        try:
            for port in facts.ports:
                held += self._bind(port, target)
        except RuntimeFailure:
            if insist:
                self.release(facts)
                raise

    def release(self, facts: Facts) -> None:
        """Close the container's sockets; none is fine."""
        for relay in self._held.pop(facts.id, ()):
            relay.close()

    def _bind(self, port: PortSpec, target: str) -> list[TcpRelay | UdpRelay]:
        if port.protocol not in _KINDS:
            return []
        addresses = [port.host_ip.strip("[]")] if port.host_ip else ["0.0.0.0", "::"]  # noqa: S104  what "8080:80" means
        bound = []
        for address in addresses:
            listener = _listener(port, address, optional=not port.host_ip and address == "::")
            if listener is not None:
                kind = TcpRelay if port.protocol == "tcp" else UdpRelay
                bound.append(kind(self._loop, listener, (target, port.container_port)))
        return bound


def _target(facts: Facts) -> str | None:
    """The container's address for relayed traffic."""
    return next((a for e in facts.endpoints for a in (e.ipv4, e.ipv6) if a), None)


def _listener(port: PortSpec, address: str, *, optional: bool) -> socket.socket | None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        bound = socket.socket(family, _KINDS[port.protocol])
    except OSError:  # no IPv6 on this host
        if optional:
            return None
        raise
    try:
        bound.setblocking(False)
        if port.protocol == "tcp":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if port.host_port == NAMESERVER_PORT:  # our own name servers have it on the gateways
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((address, port.host_port))
        if port.protocol == "tcp":
            bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        if optional and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            return None
        raise _refusal(port, address, error) from error
    return bound


def _refusal(port: PortSpec, address: str, error: OSError) -> RuntimeFailure:
    shown = f"[{address}]" if ":" in address else address
    place = f"Bind for {shown}:{port.host_port} failed"
    if error.errno == errno.EADDRINUSE:
        return Conflict(
            f"{place}: port is already allocated", hint=f"see who has it: ss -lnp 'sport = :{port.host_port}'; or choose another host port"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return RuntimeFailure(
            f"{place}: {shown} is not an address of this host", hint="use 0.0.0.0, 127.0.0.1 or one of: ip -brief address"
        )
    return RuntimeFailure(f"{place}: {error.strerror}")
