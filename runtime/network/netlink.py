"""rtnetlink(7) in batches: many messages in one send, with the kernel's verdict on each. In the network worker.

A plain socket, because it must be opened inside a container's namespace in microseconds and used outside any event loop.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from runtime.network.messages import ACK, DUMP, GETLINK, HEADER, IFLA_IFALIAS, IFLA_IFNAME, NEWLINK, REQUEST, link, text, texts

if TYPE_CHECKING:
    from typing import Any

_SOL_NETLINK, _CAP_ACK, _EXT_ACK = 270, 10, 11
_NLMSG_ERROR, _NLMSG_DONE, _NLMSGERR_ATTR_MSG = 2, 3, 1
_CHUNK = 64  # messages per send: their acknowledgements fit into the socket's receive buffer


class Refused(OSError):
    """The kernel refused one message: errno, and the kernel's own words in ``strerror`` where it gives any."""


class RouteSocket:
    """A NETLINK_ROUTE socket in the network namespace that the caller is in when it is made."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.bind((0, 0))
        self._socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
        self._sequence = 0

    def run(self, messages: Sequence[bytes]) -> list[Refused | None]:
        """Send all messages, in order; per message None or why it was refused."""
        verdicts: list[Refused | None] = []
        for start in range(0, len(messages), _CHUNK):
            verdicts += self._run(messages[start : start + _CHUNK])
        return verdicts

    def do(self, *messages: bytes) -> None:
        """Send messages of which none may fail. Raises the first Refused."""
        for refusal in self.run(messages):
            if refusal:
                raise refusal

    def link_names(self, prefix: str) -> dict[str, int]:
        """Names and indexes of all links whose name begins with ``prefix``."""
        return {name: index for index, name, _ in self.links() if name.startswith(prefix)}

    def links(self) -> list[tuple[int, str, Mapping[str, Any]]]:
        """Every link: index, name, attributes (by their kernel names, decoded as deep as pyroute2 knows them)."""
        from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

        found: list[tuple[int, str, Mapping[str, Any]]] = []
        for packet in self._dump(link(GETLINK, DUMP)):
            decoded = ifinfmsg(packet)
            decoded.decode()
            attributes = dict(decoded["attrs"])
            found.append((decoded["index"], attributes["IFLA_IFNAME"], attributes))
        return found

    def alias(self, name: str) -> str:
        """The alias (IFLA_IFALIAS) of the link of that name; "" without one, or without the link."""
        self._socket.send(self._numbered(link(GETLINK, 0, text(IFLA_IFNAME, name)), REQUEST))
        [(_, packet)] = _split(self._socket.recv(1 << 16))
        is_link = struct.unpack_from("=H", packet, 4)[0] == NEWLINK
        return texts(packet).get(IFLA_IFALIAS, "") if is_link else ""

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _run(self, messages: Sequence[bytes]) -> list[Refused | None]:
        first = self._sequence + 1
        self._socket.send(b"".join([self._numbered(m, REQUEST | ACK) for m in messages]))
        verdicts: list[Refused | None] = [None] * len(messages)
        pending = len(messages)
        while pending:
            for sequence, packet in _split(self._socket.recv(65536)):
                if 0 <= sequence - first < len(verdicts):
                    verdicts[sequence - first] = _refusal(packet)
                    pending -= 1
        return verdicts

    def _numbered(self, message: bytes, flags: int) -> bytes:
        self._sequence += 1
        length, kind, own, _, _ = HEADER.unpack_from(message)
        return HEADER.pack(length, kind, own | flags, self._sequence, 0) + message[HEADER.size :]

    def _dump(self, message: bytes) -> Iterator[bytes]:
        self._socket.send(self._numbered(message, REQUEST))
        while True:
            for _, packet in _split(self._socket.recv(1 << 20)):
                kind = struct.unpack_from("=H", packet, 4)[0]
                if kind in (_NLMSG_DONE, _NLMSG_ERROR):
                    return
                yield packet


def _split(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + HEADER.size <= len(data):
        length, _, _, sequence, _ = HEADER.unpack_from(data, offset)
        yield sequence, data[offset : offset + length]
        offset += (length + 3) & ~3


def _refusal(packet: bytes) -> Refused | None:
    code = -struct.unpack_from("=i", packet, 16)[0]
    return Refused(code, _words(packet) or os.strerror(code)) if code else None


def _words(packet: bytes) -> str:
    """NLMSGERR_ATTR_MSG behind the error code and the echoed header (netlink(7), NETLINK_EXT_ACK)."""
    offset = 16 + 4 + 16
    while offset + 4 <= len(packet):
        length, kind = struct.unpack_from("=HH", packet, offset)
        if length < 4:
            break
        if kind & 0x3FFF == _NLMSGERR_ATTR_MSG:
            return packet[offset + 4 : offset + length].rstrip(b"\0").decode(errors="replace")
        offset += (length + 3) & ~3
    return ""
