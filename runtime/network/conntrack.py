"""Connection tracking must forget UDP flows to ports that are published or taken back: a busy sender would be led astray for ever. Stdlib only.

ctnetlink (linux/netfilter/nfnetlink_conntrack.h) with its filter on protocol and destination port, which kernels have since 5.8; older ones refuse
the message, and such flows end by their time-out as everywhere.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable

_NETLINK_NETFILTER = 12
_CT_DELETE = (1 << 8) | 2  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE
_REQUEST_ACK = 0x1 | 0x4
_NESTED = 0x8000
_TUPLE_ORIG, _TUPLE_PROTO, _FILTER, _FILTER_ORIG_FLAGS = 1, 2, 25, 1
_PROTO_NUM, _PROTO_DST_PORT = 1, 3
_BY_NUM_AND_DST_PORT = 1 << 3 | 1 << 5
_HEADER = struct.Struct("=IHHII")


def forget_udp(ports: Iterable[int]) -> None:
    """Drop the tracked flows to these UDP ports, IPv4 and IPv6; what the kernel does not support is left."""
    messages = [_delete(family, port) for port in ports for family in (socket.AF_INET, socket.AF_INET6)]
    if not messages:
        return
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER) as channel:
        for message in messages:
            channel.send(message)
            channel.recv(4096)


def _delete(family: int, port: int) -> bytes:
    protocol = _attribute(_PROTO_NUM, struct.pack("=B", socket.IPPROTO_UDP)) + _attribute(_PROTO_DST_PORT, struct.pack("!H", port))
    flags = _attribute(_FILTER_ORIG_FLAGS, struct.pack("=I", _BY_NUM_AND_DST_PORT))
    wanted = _attribute(_TUPLE_ORIG | _NESTED, _attribute(_TUPLE_PROTO | _NESTED, protocol)) + _attribute(_FILTER | _NESTED, flags)
    body = struct.pack("=BBH", family, 1, 0) + wanted  # version 1: this family only
    return _HEADER.pack(_HEADER.size + len(body), _CT_DELETE, _REQUEST_ACK, 1, 0) + body


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
