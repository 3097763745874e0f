"""The short form of ``ports``: ``[[IP:]HOST[-HOST2]:]CONTAINER[-CONTAINER2][/PROTOCOL]``. Pure."""

from __future__ import annotations

from typing import NamedTuple

_PROTOCOLS = ("tcp", "udp", "sctp")
_DIGITS = frozenset("0123456789")


class Publication(NamedTuple):
    """One container port out of a short form; ``published`` is "", a port or a range that one free port is taken from."""

    target: int
    published: str
    host_ip: str
    protocol: str


def parse(text: str) -> list[Publication]:
    """Ports out of one short form. Raises ValueError that names the fault."""
    body, *rest = text.split("/")
    protocol = rest[0].lower() if rest and rest[0] else "tcp"
    if protocol not in _PROTOCOLS:
        raise ValueError(f"invalid protocol: {protocol!r} (tcp, udp or sctp)")
    host_ip, host, container = _sections(body)
    if not container:
        raise ValueError(f"no port specified: {text!r}")
    first, last = _range(container, "containerPort")
    if not first:
        raise ValueError(f"invalid containerPort: {container}: ports begin at 1")
    if not host:
        return _ordered([Publication(port, "", host_ip, protocol) for port in range(first, last + 1)])
    host_first, host_last = _range(host, "hostPort")
    if host_last - host_first != last - first:
        if last != first:
            raise ValueError(f"invalid ranges specified for container and host Ports: {container} and {host}")
        return [Publication(first, f"{host_first}-{host_last}", host_ip, protocol)]
    return _ordered([Publication(first + i, str(host_first + i), host_ip, protocol) for i in range(last - first + 1)])


def _ordered(ports: list[Publication]) -> list[Publication]:
    """In the order of the reference: by the text of the port, so that 100 comes before 99."""
    return sorted(ports, key=lambda p: str(p.target)) if len(ports) > 1 else ports


def _sections(body: str) -> tuple[str, str, str]:
    """(host address, host port, container port) as texts, checked for an address where one stands."""
    before, colon, container = body.rpartition(":")
    if not colon:
        return "", "", body
    address, colon, host = before.rpartition(":")
    if not colon:
        return "", before, container
    if address.startswith("["):
        if not address.endswith("]"):
            raise ValueError(f"invalid IP address: {address}")
        address = address[1:-1]
    elif ":" in address:
        raise ValueError(f"invalid IP address: {address} (write [{address}]:{host}:{container})")
    if address and not is_address(address):
        raise ValueError(f"invalid IP address: {address}")
    return address, host, container


def is_address(text: str) -> bool:
    """Whether ``text`` is an IPv4 or IPv6 address."""
    import ipaddress

    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _range(text: str, what: str) -> tuple[int, int]:
    start, dash, end = text.partition("-")
    first = _port(start, text, what)
    last = _port(end, text, what) if dash else first
    if last < first:
        raise ValueError(f"invalid {what}: {text}: the range ends before it begins")
    return first, last


def _port(text: str, whole: str, what: str) -> int:
    if not text or not _DIGITS.issuperset(text) or len(text) > 20:
        raise ValueError(f"invalid {what}: {whole}")
    port = int(text)
    if port > 65535:
        raise ValueError(f"invalid {what}: {whole}: ports end at 65535")
    return port
