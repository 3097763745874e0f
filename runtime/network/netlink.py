"""rtnetlink(7) in batches: many messages, marshalled by pyroute2's classes, in one send, with the kernel's verdict on each. In the network worker.

A plain socket, because it must be opened inside a container's namespace in microseconds and used outside any event loop.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

NEWLINK, DELLINK, GETLINK, NEWADDR, NEWROUTE, DELROUTE = 16, 17, 18, 20, 24, 25  # linux/rtnetlink.h
REQUEST, ACK, REPLACE, EXCL, CREATE, DUMP = 0x1, 0x4, 0x100, 0x200, 0x400, 0x300  # linux/netlink.h
IFF_UP = 0x1
IFA_F_NODAD = 0x02

_SOL_NETLINK, _CAP_ACK, _EXT_ACK = 270, 10, 11
_NLMSG_ERROR, _NLMSG_DONE, _NLMSGERR_ATTR_MSG = 2, 3, 1
_HEADER = struct.Struct("=IHHII")
_CHUNK = 64  # messages per send: their acknowledgements fit into the socket's receive buffer

Attributes = Sequence[tuple[str, Any]]


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
        """Every link: index, name, attributes (by their kernel names)."""
        found: list[tuple[int, str, Mapping[str, Any]]] = []
        for packet in self._dump(link(GETLINK, DUMP, {})):
            decoded = ifinfmsg(packet)
            decoded.decode()
            attributes = dict(decoded["attrs"])
            found.append((decoded["index"], attributes["IFLA_IFNAME"], attributes))
        return found

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
        length, kind, own, _, _ = _HEADER.unpack_from(message)
        return _HEADER.pack(length, kind, own | flags, self._sequence, 0) + message[_HEADER.size :]

    def _dump(self, message: bytes) -> Iterator[bytes]:
        self._socket.send(self._numbered(message, REQUEST))
        while True:
            for _, packet in _split(self._socket.recv(1 << 20)):
                kind = struct.unpack_from("=H", packet, 4)[0]
                if kind in (_NLMSG_DONE, _NLMSG_ERROR):
                    return
                yield packet


def link(kind: int, flags: int, fields: Mapping[str, int], attributes: Attributes = ()) -> bytes:
    """A link message (RTM_NEWLINK …) with the fields of struct ifinfomsg and IFLA attributes."""
    return _marshal(ifinfmsg, kind, flags, fields, attributes)


@cache
def up(index: int) -> bytes:
    """Switch a link on."""
    return link(NEWLINK, 0, {"index": index, "flags": IFF_UP, "change": IFF_UP})


def address(index: int, text: str, length: int) -> bytes:
    """Give a link an address, or make sure it has it. IPv6 addresses skip duplicate detection, so that they serve at once."""
    v6 = ":" in text
    fields = {"family": socket.AF_INET6 if v6 else socket.AF_INET, "prefixlen": length, "index": index, "flags": IFA_F_NODAD if v6 else 0}
    attributes: list[tuple[str, Any]] = [("IFA_LOCAL", text), ("IFA_ADDRESS", text)]
    if not v6 and length < 31:
        attributes.append(("IFA_BROADCAST", _broadcast(text, length)))
    return _marshal(ifaddrmsg, NEWADDR, CREATE | REPLACE, fields, attributes)


@cache
def default_route(index: int, gateway: str) -> bytes:
    """Send everything without a better route to ``gateway`` through the link."""
    family = socket.AF_INET6 if ":" in gateway else socket.AF_INET
    fields = {"family": family, "table": 254, "proto": 3, "scope": 0, "type": 1}  # main, boot, universe, unicast
    return _marshal(rtmsg, NEWROUTE, CREATE | REPLACE, fields, [("RTA_GATEWAY", gateway), ("RTA_OIF", index)])


def _marshal(kind: Any, number: int, flags: int, fields: Mapping[str, int], attributes: Attributes) -> bytes:
    message = kind()
    for name, value in fields.items():
        message[name] = value
    message["attrs"] = list(attributes)
    message["header"]["type"] = number
    message["header"]["flags"] = flags
    message.encode()
    return bytes(message.data)


def _split(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, _, _, sequence, _ = _HEADER.unpack_from(data, offset)
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


def _broadcast(text: str, length: int) -> str:
    number = int.from_bytes(socket.inet_aton(text), "big") | ((1 << (32 - length)) - 1)
    return socket.inet_ntoa(number.to_bytes(4, "big"))
