"""rtnetlink(7) messages that make links, addresses and routes, as bytes for ``netlink.RouteSocket``. In the network worker; stdlib only.

Written by hand because every command that starts containers waits for them: importing pyroute2's classes takes longer than the kernel needs for fifty
containers. The tests hold each message against pyroute2's own encoding.
"""

from __future__ import annotations

import socket
import struct
from functools import cache
from sys import byteorder
from typing import Final

NEWLINK, DELLINK, GETLINK, NEWADDR, NEWROUTE = 16, 17, 18, 20, 24  # linux/rtnetlink.h
REQUEST, ACK, REPLACE, EXCL, CREATE, DUMP = 0x1, 0x4, 0x100, 0x200, 0x400, 0x300  # linux/netlink.h
IFF_UP = 0x1
IFA_F_NODAD = 0x02
HEADER: Final = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port

# linux/if_link.h, linux/veth.h
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_MASTER, IFLA_LINKINFO, IFLA_IFALIAS, IFLA_GROUP, IFLA_NET_NS_FD = 1, 3, 4, 10, 18, 20, 27, 28
_INFO_KIND, _INFO_DATA, _INFO_SLAVE_KIND, _INFO_SLAVE_DATA = 1, 2, 4, 5
_VETH_INFO_PEER, _BRPORT_MODE = 1, 4
# linux/if_addr.h, linux/rtnetlink.h
_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST = 1, 2, 4
_RTA_OIF, _RTA_GATEWAY = 4, 5
_MAIN_TABLE, _PROTO_BOOT, _SCOPE_UNIVERSE, _UNICAST = 254, 3, 0, 1

_IFINFOMSG, _IFADDRMSG, _RTMSG = struct.Struct("=BxHiII"), struct.Struct("=BBBBI"), struct.Struct("=BBBBBBBBI")
_ATTRIBUTE = struct.Struct("=HH")


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute (netlink(7), struct nlattr), padded to four bytes."""
    return _ATTRIBUTE.pack(4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def number(kind: int, value: int) -> bytes:
    """An attribute of 32 bits."""
    return _ATTRIBUTE.pack(8, kind) + value.to_bytes(4, byteorder)


def text(kind: int, value: str) -> bytes:
    """A text attribute, ended by a zero byte."""
    return attribute(kind, value.encode() + b"\0")


def hardware_address(value: str) -> bytes:
    """IFLA_ADDRESS from ``02:42:ac:11:00:02``."""
    return attribute(IFLA_ADDRESS, bytes.fromhex(value.replace(":", "")))


def kind_of_link(kind: str, data: bytes = b"") -> bytes:
    """IFLA_LINKINFO: what a new link is to be, and the kind's own attributes."""
    return attribute(IFLA_LINKINFO, text(_INFO_KIND, kind) + (attribute(_INFO_DATA, data) if data else b""))


def veth_peer(attributes: bytes) -> bytes:
    """The data of a veth: its other end's attributes."""
    return attribute(_VETH_INFO_PEER, _IFINFOMSG.pack(0, 0, 0, 0, 0) + attributes)


def hairpin() -> bytes:
    """IFLA_LINKINFO of a bridge's port that may send back what came in by it."""
    mode = attribute(_BRPORT_MODE, b"\1")
    return attribute(IFLA_LINKINFO, text(_INFO_SLAVE_KIND, "bridge") + attribute(_INFO_SLAVE_DATA, mode))


def link(kind: int, flags: int, attributes: bytes = b"", *, index: int = 0, up: bool = False) -> bytes:
    """A link message (RTM_NEWLINK …): struct ifinfomsg and IFLA attributes."""
    state = IFF_UP if up else 0
    return _message(kind, flags, _IFINFOMSG.pack(0, 0, index, state, state) + attributes)


@cache
def up(index: int) -> bytes:
    """Switch a link on."""
    return link(NEWLINK, 0, index=index, up=True)


def address(index: int, value: str, length: int) -> bytes:
    """Give a link an address, or make sure it has it. IPv6 addresses skip duplicate detection, so that they serve at once."""
    v6 = ":" in value
    family = socket.AF_INET6 if v6 else socket.AF_INET
    packed = socket.inet_pton(family, value)
    attributes = attribute(_IFA_LOCAL, packed) + attribute(_IFA_ADDRESS, packed)
    if not v6 and length < 31:
        attributes += attribute(_IFA_BROADCAST, _broadcast(packed, length))
    return _message(NEWADDR, CREATE | REPLACE, _IFADDRMSG.pack(family, length, IFA_F_NODAD if v6 else 0, 0, index) + attributes)


@cache
def default_route(index: int, gateway: str) -> bytes:
    """Send everything without a better route to ``gateway`` through the link."""
    family = socket.AF_INET6 if ":" in gateway else socket.AF_INET
    fields = _RTMSG.pack(family, 0, 0, 0, _MAIN_TABLE, _PROTO_BOOT, _SCOPE_UNIVERSE, _UNICAST, 0)
    attributes = attribute(_RTA_GATEWAY, socket.inet_pton(family, gateway)) + number(_RTA_OIF, index)
    return _message(NEWROUTE, CREATE | REPLACE, fields + attributes)


def texts(packet: bytes) -> dict[int, str]:
    """The attributes of a link message as texts, by kind; of use for those that are texts (IFLA_IFNAME, IFLA_IFALIAS)."""
    found: dict[int, str] = {}
    offset = HEADER.size + _IFINFOMSG.size
    while offset + 4 <= len(packet):
        length, kind = _ATTRIBUTE.unpack_from(packet, offset)
        if length < 4:
            break
        found[kind & 0x3FFF] = packet[offset + 4 : offset + length].rstrip(b"\0").decode(errors="replace")
        offset += (length + 3) & ~3
    return found


def _message(kind: int, flags: int, body: bytes) -> bytes:
    return HEADER.pack(HEADER.size + len(body), kind, flags, 0, 0) + body


def _broadcast(packed: bytes, length: int) -> bytes:
    return (int.from_bytes(packed, "big") | ((1 << (32 - length)) - 1)).to_bytes(4, "big")
