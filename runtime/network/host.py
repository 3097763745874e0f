"""What the host's network looks like, read from /proc and by ioctl: routes and ports in use, the uplink. Stdlib only, any process.

Everything concerns the caller's network namespace (``/proc/thread-self/net``), whatever is mounted at ``/sys``.
"""

from __future__ import annotations

import fcntl
import socket
import struct

from runtime.spec import PortSpec

_NET = "/proc/thread-self/net"
_TCP_LISTEN = "0A"  # net/tcp_states.h
_SIOCGIFMTU, _SIOCGIFHWADDR = 0x8921, 0x8927
_RTF_UP, _RTF_REJECT = 0x1, 0x200
DEFAULT_MTU = 1500
ANY_V4, ANY_V6 = "0.0.0.0", "::"  # noqa: S104 - names of the wildcard, as the user publishes on it


def ports_in_use() -> frozenset[tuple[str, str, int]]:
    """(protocol, address, port) of every listening TCP socket and bound UDP socket; wildcard addresses are "0.0.0.0" and "::"."""
    found: set[tuple[str, str, int]] = set()
    for protocol in ("tcp", "udp"):
        for suffix in ("", "6"):
            found.update((protocol, *local) for local in _bound(f"{_NET}/{protocol}{suffix}", listening=protocol == "tcp"))
    return frozenset(found)


def routes_in_use() -> tuple[str, ...]:
    """Destinations (CIDR) of every route except default, loopback, link-local and multicast ones; sorted, without doubles."""
    return tuple(sorted({*_routes_v4(), *_routes_v6()}))


def uplink() -> str | None:
    """The link of the default route (IPv4 first, lowest metric), or None."""
    choices = [(int(f[6]), f[0]) for f in _fields(f"{_NET}/route") if f[1] == "00000000" and f[7] == "00000000" and int(f[3], 16) & _RTF_UP]
    choices = choices or [
        (int(f[5], 16), f[9])
        for f in _fields(f"{_NET}/ipv6_route", header=False)
        if f[1] == "00" and f[9] != "lo" and not int(f[8], 16) & _RTF_REJECT
    ]
    return min(choices)[1] if choices else None


def uplink_mtu() -> int:
    """The MTU of the default route's link; 1500 when there is no such route."""
    link = uplink()
    return link_mtu(link) or DEFAULT_MTU if link else DEFAULT_MTU


def link_mtu(link: str) -> int | None:
    """A link's MTU (SIOCGIFMTU, netdevice(7)), or None when it does not exist."""
    request = struct.pack("16si12x", link.encode(), 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        try:
            return int(struct.unpack("16si12x", fcntl.ioctl(control, _SIOCGIFMTU, request))[1])
        except OSError:
            return None


def link_address(link: str) -> str | None:
    """A link's hardware address (SIOCGIFHWADDR, netdevice(7)), or None when it does not exist."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        try:
            answer = fcntl.ioctl(control, _SIOCGIFHWADDR, struct.pack("16s24x", link.encode()))
        except OSError:
            return None
    return answer[18:24].hex(":")


def link_exists(link: str) -> bool:
    """Whether the caller's namespace has a link of that name."""
    try:
        socket.if_nametoindex(link)
    except OSError:
        return False
    return True


def free_port(protocol: str) -> int:
    """A port of the ephemeral range that nobody listens on (ip(7): the kernel chooses when it is asked to bind port 0)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM) as trial:
        trial.bind(("", 0))
        return int(trial.getsockname()[1])


def shown(port: PortSpec) -> str:
    """The host's side of a published port as Docker's messages show it: ``0.0.0.0:8080``."""
    address = f"[{port.host_ip}]" if ":" in port.host_ip else port.host_ip or ANY_V4
    return f"{address}:{port.host_port}"


def _bound(path: str, *, listening: bool) -> list[tuple[str, int]]:
    return [_socket_address(f[1]) for f in _fields(path) if not listening or f[3] == _TCP_LISTEN]


def _socket_address(text: str) -> tuple[str, int]:
    """``0100007F:1F90`` → ("127.0.0.1", 8080): 32-bit words in the host's byte order (proc(5))."""
    words, _, port = text.partition(":")
    packed = b"".join(struct.pack("=I", int(words[i : i + 8], 16)) for i in range(0, len(words), 8))
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed), int(port, 16)


def _routes_v4() -> list[str]:
    found = []
    for fields in _fields(f"{_NET}/route"):
        destination, mask = (struct.pack("=I", int(fields[i], 16)) for i in (1, 7))
        length = int.from_bytes(mask, "big").bit_count()
        if length and int(fields[3], 16) & _RTF_UP and destination[0] != 127 and destination[:2] != b"\xa9\xfe":
            found.append(f"{socket.inet_ntoa(destination)}/{length}")
    return found


def _routes_v6() -> list[str]:
    found = []
    for fields in _fields(f"{_NET}/ipv6_route", header=False):
        destination, length = bytes.fromhex(fields[0]), int(fields[1], 16)
        if length and fields[9] != "lo" and destination[0] != 0xFF and destination[:2] != b"\xfe\x80":
            found.append(f"{socket.inet_ntop(socket.AF_INET6, destination)}/{length}")
    return found


def _fields(path: str, *, header: bool = True) -> list[list[str]]:
    try:
        with open(path) as file:
            lines = file.read().splitlines()
    except FileNotFoundError:  # a kernel without IPv6
        return []
    return [line.split() for line in lines[1 if header else 0 :]]
